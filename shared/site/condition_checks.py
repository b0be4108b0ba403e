"""Checks what alarms' conditions say about tags, other alarms and time zones of their site.

Called by `loader` once all files are read; says where and how to mend, never stops at the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.alarm.condition import ConditionSpec
from shared.alarm.definition import AlarmDefinition
from shared.expression import ExpressionError, compile_expression
from shared.site.reader import Reader
from shared.site.site import Site

NUMERIC = ("limit", "deviation", "rate", "zscore")
NOTHING_MORE = ConditionSpec()


def check_conditions(site: Site, reader: Reader) -> None:
    """Add a fault for each condition that cannot work on this site."""
    _check_timezone(site, reader)
    edge_of = {tag.id: site.sources[tag.source].edge for tag in site.tags.values()
               if tag.source in site.sources}  # fmt: skip
    for alarm in site.alarms.values():
        check = _Check(site, reader, alarm, edge_of)
        check.types()
        check.other_tags()
        check.values()
        check.model()
    _check_circles(site, reader)


def _check_timezone(site: Site, reader: Reader) -> None:
    if _knows(site.info.timezone):
        return
    if _knows("UTC"):
        reader.fault(
            f"unknown time zone {site.info.timezone!r}",
            "site.yaml:1:1",
            "write one of the time zone database, for example Asia/Shanghai",
        )
    elif any(alarm.condition and alarm.condition.schedule for alarm in site.alarms.values()):
        reader.fault(
            "alarms have a `schedule`, and this machine has no time zone database",
            "site.yaml",
            "install the package tzdata",
        )


def _knows(timezone: str) -> bool:
    try:
        _ = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


class _Check:
    """The checks of one alarm."""

    def __init__(
        self, site: Site, reader: Reader, alarm: AlarmDefinition, edge_of: dict[str, str]
    ) -> None:
        self.site, self.reader, self.alarm, self.edge_of = site, reader, alarm, edge_of
        self.spec = alarm.condition or NOTHING_MORE

    def fault(self, message: str, mend: str, *path: str | int) -> None:
        where = self.reader.place("alarms", self.alarm.id, *path)
        self.reader.fault(f"{self.alarm.id}: {message}", where, mend)

    def type_of(self, tag: str) -> str | None:
        """The type of a tag; None of one that does not exist, which is another fault."""
        found = self.site.tags.get(tag)
        return found.type if found else None

    def types(self) -> None:
        """Arithmetic needs numbers; a state is of the tag's own type."""
        kind = self.type_of(self.alarm.tag)
        if self.alarm.kind in NUMERIC and kind not in (None, "number"):
            self.fault(
                f"a {self.alarm.kind} alarm needs a number, {self.alarm.tag} is a {kind}",
                "use kind discrete, or a tag of type number",
                "tag",
            )

    def other_tags(self) -> None:
        """Set-point and command: they exist, on the same edge, of a type that can be compared."""
        other, alarm = self.spec.against, self.alarm
        if not other:
            return
        name = "setpoint" if alarm.kind == "deviation" else "command"
        if other not in self.site.tags:
            self.reader.reference("tag", other, self.site.tags, "alarms", alarm.id)
            return
        if other == alarm.tag:
            self.fault(f"`{name}` is the alarm's own tag", "name the other one", name)
        elif self.edge_of.get(other) != alarm.edge:
            self.fault(
                f"`{name}` {other} is on edge {self.edge_of.get(other)}, the alarm on {alarm.edge}",
                "read it by a source of the alarm's own edge",
                name,
            )
        mine, theirs = self.type_of(alarm.tag), self.type_of(other)
        if alarm.kind == "deviation" and theirs != "number":
            self.fault(f"`setpoint` {other} is a {theirs}", "name a tag of type number", name)
        if alarm.kind == "discrepancy" and "string" in (mine, theirs) and mine != theirs:
            self._check_pairs(mine, theirs)

    def _check_pairs(self, mine: str | None, theirs: str | None) -> None:
        if not self.spec.pairs:
            self.fault(
                f"`command` is a {theirs}, the tag a {mine}: they never agree",
                "say with `pairs` which feedbacks agree with which command",
                "command",
            )

    def values(self) -> None:
        """States of an alarm that its tag can never have."""
        kind = self.type_of(self.alarm.tag)
        if kind is None or self.alarm.kind != "discrete":
            return
        listed = [("any_of", v) for v in self.spec.any_of]
        listed += [("none_of", v) for v in self.spec.none_of]
        if self.alarm.equals is not None:
            listed.append(("equals", self.alarm.equals))
        for name, value in listed:
            if isinstance(value, str) != (kind == "string"):
                self.fault(
                    f"`{name}` {value!r} is never the value of {self.alarm.tag}, a {kind}",
                    "write a quoted text" if kind == "string" else "write a number or true/false",
                    name,
                )

    def model(self) -> None:
        """Inputs of a model: tags or expressions over tags of the alarm's edge."""
        model = self.spec.model
        if model is None:
            return
        known = [tag for tag, edge in self.edge_of.items() if edge == self.alarm.edge]
        for index, text in enumerate(model.inputs):
            if text in known:
                continue
            try:
                _ = compile_expression(text, tags=known)
            except ExpressionError as error:
                self.fault(
                    f"model input {text!r}, column {error.column}: {error.text['en']}",
                    "write a tag of this edge, or an expression over its tags",
                    "model", "inputs", index,
                )  # fmt: skip


def _check_circles(site: Site, reader: Reader) -> None:
    """Alarms that speak of each other would never come to rest."""
    speaks = {alarm.id: set(_alarms_in(alarm, site)) for alarm in site.alarms.values()}
    for start in speaks:
        path, seen = [start], {start}
        while path:
            for other in speaks.get(path.pop(), ()):
                if other == start:
                    reader.fault(
                        f"{start}: its condition depends on itself through alarm(...)",
                        reader.place("alarms", start, "when"),
                        "let the alarms of a circle speak of tags instead",
                    )
                    path = []
                    break
                if other not in seen:
                    seen.add(other)
                    path.append(other)


def _alarms_in(alarm: AlarmDefinition, site: Site) -> Iterator[str]:
    if not alarm.when:
        return
    try:
        expression = compile_expression(alarm.when, alarms=list(site.alarms))
    except ExpressionError:
        return
    yield from expression.alarms
