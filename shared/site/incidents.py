"""`incidents.yaml`: how alarms are understood together, and which causes people may give.

Read by `loader`, run by the brain. Every field has a default: a site without the file groups too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from shared.alarm.definition import AlarmDefinition
from shared.site.fields import AssetId, Duration, Model, Names

if TYPE_CHECKING:
    from shared.site.reader import Reader
    from shared.site.site import Site

RuleId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Pattern = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.*-]{1,96}$")]
Equal = Literal["asset", "area"]
Protected = Literal["priority_1", "safety"]


class MatchSpec(Model):
    """Which alarms: all that is written must hold; `*` stands for any characters."""

    alarms: list[Pattern] = Field(default_factory=list)
    asset: AssetId | None = None
    """In this asset or below it."""
    priorities: list[Annotated[int, Field(ge=1, le=4)]] = Field(default_factory=list)
    kinds: list[str] = Field(default_factory=list)
    tag_classes: list[str] = Field(default_factory=list)


class RelatedSpec(Model):
    """Alarms that belong to one incident, wherever they are in the tree."""

    id: RuleId
    first: MatchSpec
    then: MatchSpec
    within: Annotated[Duration, Field(gt=0, le=86_400_000)] = 300_000
    equal: Equal | None = None


class ParentSpec(Model):
    """While `parent` stands, standing `children` are shown behind it."""

    id: RuleId
    parent: MatchSpec
    children: MatchSpec
    within: Annotated[Duration, Field(gt=0, le=86_400_000)] = 600_000
    """So close together they are one incident too."""
    equal: Equal | None = None
    also: list[Protected] = Field(default_factory=list)
    """Children that are otherwise never hidden."""


class InhibitSpec(Model):
    """While `source` stands, `target` says nothing new and is shown behind it."""

    id: RuleId
    source: MatchSpec
    target: MatchSpec
    equal: Equal | None = None
    also: list[Protected] = Field(default_factory=list)


class GroupingSpec(Model):
    """How close alarms are that belong together."""

    same_asset: Duration = 300_000
    same_area: Duration = 60_000
    """For alarms of neighbours: what lies in the same parent, the root excepted."""
    longest: Annotated[Duration, Field(gt=0, le=7 * 86_400_000)] = 8 * 3_600_000
    """An incident takes no alarm later than this after its first."""
    unknown_clock: Duration = 5_000
    """What the clock of an edge may be off that has not measured it."""


class ChatteringSpec(Model):
    """An alarm that comes and goes."""

    raises: Annotated[int, Field(ge=2, le=100)] = 3
    within: Annotated[Duration, Field(gt=0, le=3_600_000)] = 60_000
    hold: Annotated[Duration, Field(le=86_400_000)] = 600_000
    """So long after the last of them it is still marked."""


class CauseSpec(Model):
    """What people may give as the cause when they close an incident."""

    id: RuleId
    name: Names


CAUSES = [
    CauseSpec(id="equipment", name=Names(zh="设备故障", en="Equipment fault")),
    CauseSpec(id="instrument", name=Names(zh="仪表故障", en="Instrument fault")),
    CauseSpec(id="process", name=Names(zh="工艺波动", en="Process upset")),
    CauseSpec(id="operation", name=Names(zh="操作", en="Operation")),
    CauseSpec(id="supply", name=Names(zh="能源或物料供应", en="Supply of energy or material")),
    CauseSpec(id="unknown", name=Names(zh="未查明", en="Not found out")),
]


class IncidentsFile(Model):
    """`incidents.yaml`."""

    grouping: GroupingSpec = GroupingSpec()
    related: list[RelatedSpec] = Field(default_factory=list)
    parents: list[ParentSpec] = Field(default_factory=list)
    inhibit: list[InhibitSpec] = Field(default_factory=list)
    chattering: ChatteringSpec = ChatteringSpec()
    fleeting: Duration = 10_000
    stale: Duration = 86_400_000
    causes: list[CauseSpec] = Field(default_factory=lambda: list(CAUSES), min_length=1)


def pattern(text: str) -> re.Pattern[str]:
    """The expression for a name with `*` in it."""
    return re.compile(".*".join(re.escape(part) for part in text.split("*")))


def matches(match: MatchSpec, alarm: AlarmDefinition, path: tuple[str, ...]) -> bool:
    """Whether an alarm, whose asset has this path, is one of them."""
    return (
        (not match.alarms or any(pattern(p).fullmatch(alarm.id) for p in match.alarms))
        and (match.asset is None or match.asset in path)
        and (not match.priorities or alarm.priority in match.priorities)
        and (not match.kinds or alarm.kind in match.kinds)
        and (not match.tag_classes or alarm.tag_class in match.tag_classes)
    )


def is_protected(alarm: AlarmDefinition, also: Iterable[Protected]) -> bool:
    """Whether no rule may hide it: safety or priority 1, and the rule does not name them."""
    if alarm.safety and "safety" not in also:
        return True
    return alarm.priority == 1 and "priority_1" not in also


def check_incidents(site: Site, reader: Reader) -> None:
    """Add a fault for each rule that could not do what it says."""
    file = site.incidents
    for rule in file.related:
        _check_rule(site, reader, ("related", rule.id), {"first": rule.first, "then": rule.then})
    for rule in file.parents:
        parts = {"parent": rule.parent, "children": rule.children}
        _check_rule(site, reader, ("parents", rule.id), parts)
        _check_hiding(site, reader, ("parents", rule.id), parts, rule.also)
    for rule in file.inhibit:
        parts = {"source": rule.source, "target": rule.target}
        _check_rule(site, reader, ("inhibit", rule.id), parts)
        _check_hiding(site, reader, ("inhibit", rule.id), parts, rule.also)


def _matching(site: Site, match: MatchSpec) -> list[AlarmDefinition]:
    tree = site.assets
    return [a for a in site.alarms.values() if matches(match, a, tree.path(a.asset))]


def _check_rule(
    site: Site, reader: Reader, item: tuple[str, str], parts: dict[str, MatchSpec]
) -> None:
    for name, match in parts.items():
        if match == MatchSpec():
            reader.fault(
                f"{item[1]}: `{name}` names no alarm", reader.place(*item, name),
                "write `alarms`, `asset`, `priorities`, `kinds` or `tag_classes`",
            )  # fmt: skip
        elif not _matching(site, match):
            reader.fault(
                f"{item[1]}: no alarm of this site is meant by `{name}`",
                reader.place(*item, name),
                "correct it; `*` stands for any characters of an alarm's id",
            )


def _check_hiding(
    site: Site, reader: Reader, item: tuple[str, str], parts: dict[str, MatchSpec],
    also: list[Protected],
) -> None:  # fmt: skip
    above, below = ({a.id for a in _matching(site, match)} for match in parts.values())
    name = list(parts)[1]
    if both := sorted(above & below):
        reader.fault(
            f"{item[1]}: {both[0]!r} would be hidden behind itself", reader.place(*item, name),
            f"take it out of `{name}`",
        )  # fmt: skip
    elif below and all(is_protected(site.alarms[one], also) for one in below):
        reader.fault(
            f"{item[1]}: hides nothing, `{name}` are safety or priority 1 alone",
            reader.place(*item, name),
            "name them in `also` if they may be hidden, or drop the rule",
        )
