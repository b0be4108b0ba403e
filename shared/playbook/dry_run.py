"""What a playbook would do about an alarm, by the tags as they are: no effect, no socket, no row.

Called by `andon playbook dry-run`. The interpreter itself is walked with the tags held still and
its waits passed over; a command ends as its conditions, interlocks and limits say now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.expression import (
    ExpressionError,
    StaticEnvironment,
    TagReading,
    Unknown,
    compile_expression,
)
from shared.playbook.binding import bound_devices, logical_tags, read_tags
from shared.playbook.journal import Advance, Context, Effect, Record, noted
from shared.playbook.model import Playbook
from shared.playbook.run import advance
from shared.playbook.site_inputs import given
from shared.site.model import DeviceSpec, OperationSpec
from shared.site.site import Site

MOST_LOOKS = 20_000
"""So often it is looked at most; every playbook ends by its deadline long before."""
ENDED = frozenset({"success", "failure", "needs_human", "cancelled"})


@dataclass(frozen=True, slots=True)
class Would:
    """One thing that would happen."""

    at_ms: int
    """After the start."""
    path: str
    verb: str
    phase: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """What would happen, as far as the present tags tell."""

    starts: Mapping[str, str]
    """Trigger -> whether it would start a run: yes, no, or why that cannot be told."""
    devices: Mapping[str, str | None]
    """Logical device -> the site's, or None when the site has none."""
    tags: Mapping[str, Mapping[str, Any]]
    """Logical tag -> what it reads."""
    happens: tuple[Would, ...]
    ended: str
    waits_for: tuple[str, ...] = ()
    """Questions that stand open at the end."""
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Given:
    """What a dry run goes by."""

    book: Playbook
    site: Site
    alarm: Mapping[str, Any]
    readings: Mapping[str, TagReading]
    """By the site's tags."""
    now: int
    books: Mapping[str, Playbook] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    """Question's step -> what people are taken to answer."""


def wanted_tags(book: Playbook, site: Site, alarm: Mapping[str, Any]) -> list[str]:
    """The site's tags that a dry run reads: those of conditions, interlocks and values before."""
    devices = site.bindings.devices
    bound = bound_devices(book, alarm, devices)
    names = logical_tags(bound, devices)
    found = {names[name] for name in read_tags(book) if name in names}
    for device in bound.values():
        for text in devices[device].interlocks:
            found |= _compiled(text).tags
        found |= {op.capture_before for op in devices[device].operations.values()
                  if op.capture_before}  # fmt: skip
    return sorted(found)


def dry_run(what: Given) -> Story:
    """Tell what would happen."""
    return _Dry(what).told()


def _compiled(text: str) -> Any:
    return compile_expression(text)


class _Dry:
    def __init__(self, what: Given) -> None:
        self.what, self.now = what, what.now
        devices = what.site.bindings.devices
        self.devices: Mapping[str, DeviceSpec] = devices
        self.bound: dict[str, dict[str, str]] = {
            name: bound_devices(book, what.alarm, devices)
            for name, book in {**what.books, "": what.book}.items()
        }
        names: dict[str, str] = {}
        for bound in self.bound.values():
            names.update(logical_tags(bound, devices))
        self.logical = {n: what.readings[t] for n, t in names.items() if t in what.readings}
        self.journal: dict[str, Record] = {}
        self.answers: dict[str, Mapping[str, Any]] = {}
        self.happens: list[Would] = []
        values = what.site.bindings.inputs.get(what.book.playbook, {})
        self.inputs = given(what.book, values)

    def told(self) -> Story:
        last = self._play()
        bound, used = self.bound[""], read_tags(self.what.book)
        tags = {
            name: {"value": reading.value, "good": reading.good, "age_s": round(reading.age_s, 3)}
            for name, reading in sorted(self.logical.items()) if name in used
        }  # fmt: skip
        return Story(
            starts=dict(self._starts()), tags=tags, happens=tuple(self.happens),
            devices={name: bound.get(name) for name in self.what.book.devices},
            ended=last.status if last.status in ENDED else "waiting",
            waits_for=tuple(asking.step for asking in last.asks), metrics=last.metrics,
        )  # fmt: skip

    def _starts(self) -> Iterator[tuple[str, str]]:
        alarm, codes = self.what.alarm, self.what.site.bindings.alarms
        env = StaticEnvironment({"alarm": alarm, "inputs": self.inputs})
        for trigger in self.what.book.triggers:
            if trigger.alarm is None:
                continue
            if alarm.get("id") not in codes.get(trigger.alarm, [trigger.alarm]):
                yield trigger.id, "no: another alarm"
            elif alarm.get("transition", "raised") != trigger.transition:
                yield trigger.id, f"no: it waits for {trigger.transition}"
            elif trigger.where is None:
                yield trigger.id, "yes"
            else:
                roots = ("alarm", "inputs")
                found = compile_expression(trigger.where, roots=roots).evaluate(env)
                unknown = found.reason if isinstance(found, Unknown) else ""
                why = "yes" if found is True else f"no: {unknown or 'where is false'}"
                yield trigger.id, why

    def _play(self) -> Advance:
        book, start = self.what.book, self.what.now
        ahead = Advance()
        for _ in range(MOST_LOOKS):
            context = self._context(start + book.deadline)
            ahead = advance(book, self.journal, context, self.now)
            for effect in ahead.effects:
                self._note(effect)
            answered = self._answer(ahead)
            if ahead.status in ENDED:
                return ahead
            if ahead.effects or answered:
                continue
            if ahead.wake_at is None:
                return ahead
            self.now = max(ahead.wake_at, self.now + 1)
        return ahead

    def _context(self, deadline: int) -> Context:
        what = self.what
        run = {
            "id": "dry-run", "started_by": "", "elapsed_s": (self.now - what.now) / 1000,
            "drill": False, "incident": "",
            "peaks": {name: reading.value for name, reading in self.logical.items()},
        }  # fmt: skip
        site = {"id": what.site.info.site, "name": what.site.info.name.zh}
        return Context(
            alarm=what.alarm, inputs=self.inputs, site=site, run=run,
            tags=StaticEnvironment(tags=self.logical), answers=self.answers,
            deadline_at=deadline, books=what.books,
        )  # fmt: skip

    def _answer(self, ahead: Advance) -> bool:
        found = False
        for asking in ahead.asks:
            option = self.what.answers.get(asking.step)
            if option in asking.options and asking.path not in self.answers:
                votes = [{"answer": option, "by": f"dry-run-{n}"} for n in range(asking.quorum)]
                self.answers[asking.path] = {**votes[0], "votes": votes}
                found = True
        return found

    def _note(self, effect: Effect) -> None:
        """What would be journalled; what acts is taken to be done."""
        phase, data = effect.phase, dict(effect.data)
        if effect.kind == "command":
            phase, data = self._command(effect)
        elif effect.kind == "http":
            phase = "done"
        elif effect.kind == "webhook" and phase == "intent":
            self.answers[effect.path] = {"phase": "done", "data": {}}
        shown = effect.kind not in ("settle", "await") or effect.step is not None
        noted(self.journal, effect.path, Record(phase, self.now, data, effect.attempt))
        if shown:
            verb = effect.step.verb if effect.step else effect.kind
            self.happens.append(Would(self.now - self.what.now, effect.path, verb, phase, data))

    # commands, as the edge would look at them

    def _command(self, effect: Effect) -> tuple[Any, dict[str, Any]]:
        spec = effect.step.command if effect.step else None
        if effect.step is not None and spec is None and effect.step.compensate is not None:
            spec = effect.step.compensate.command
        assert spec is not None
        data = {**effect.data, "op": spec.op}
        device = self.bound.get(effect.book, self.bound[""]).get(spec.device)
        if device is None:
            return "failed", {**data, "kind": "unbound_device", "device": spec.device}
        data["device"] = device
        found = self.devices[device]
        operation = found.operations.get(spec.op)
        if operation is None:
            return "failed", {**data, "kind": "refused", "reason": "unknown_operation"}
        logical = StaticEnvironment(tags=self.logical)
        site = StaticEnvironment(tags=self.what.readings)
        for text in effect.data.get("require", ()):
            if why := _not_true(text, logical):
                return "failed", {**data, "kind": "interlock", "reason": why}
        for text in found.interlocks:
            if why := _not_true(text, site):
                return "failed", {**data, "kind": "interlock", "reason": why}
        if why := _beyond(operation, data.get("args", {})):
            return "failed", {**data, "kind": "refused", "reason": why}
        before = self.what.readings.get(operation.capture_before or "")
        if before is not None and before.good:
            data["before"] = before.value
        return "done", data


def _not_true(text: str, env: StaticEnvironment) -> str:
    """Why a condition does not hold now; empty if it does."""
    try:
        value = compile_expression(text).evaluate(env)
    except ExpressionError as error:
        return str(error)
    if value is True:
        return ""
    return f"{text}: {value.reason if isinstance(value, Unknown) else 'false'}"


def _beyond(operation: OperationSpec, args: Mapping[str, Any]) -> str:
    value = args.get(operation.arg or "")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ""
    if operation.min is not None and value < operation.min:
        return f"{value:g} < {operation.min:g}"
    if operation.max is not None and value > operation.max:
        return f"{value:g} > {operation.max:g}"
    return ""
