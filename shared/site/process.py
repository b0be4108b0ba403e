"""`process.yaml`: the stations that product units pass, in the order of the process.

Read by `loader`; the brain records passages at these stations. Pure, no IO.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from shared.site.assets import AssetTree
from shared.site.fields import AssetId, Duration, Model, Names, TagId

if TYPE_CHECKING:
    from shared.alarm.definition import AlarmDefinition
    from shared.site.reader import Reader
    from shared.site.site import Site

StationId = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$")]
Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,23}$|^$")]
Role = Literal["unit", "batch", "recipe", "inside"]


class UnitTags(Model):
    """A station that shows the unit in it by numbers: each change of `tag` is the next unit.

    0 stands for no unit. Texts do not travel with samples: those stations report by REST.
    """

    tag: TagId
    prefix: Prefix = ""
    """Put before the number, so that two lines' counters never name the same unit."""
    batch: TagId | None = None
    batch_prefix: Prefix = ""
    recipe: TagId | None = None
    inside: TagId | None = None
    """True while a unit is in the station; left out: until the number changes."""

    def roles(self) -> dict[Role, str]:
        """role -> tag, of those that are given."""
        named: dict[Role, str | None] = {
            "unit": self.tag, "batch": self.batch, "recipe": self.recipe, "inside": self.inside,
        }  # fmt: skip
        return {role: tag for role, tag in named.items() if tag is not None}


class StationSpec(Model):
    """One step of the process, where units come in and go out."""

    id: StationId
    asset: AssetId
    name: Names
    follows: list[StationId] = Field(default_factory=list)
    """The stations that units come from."""
    unit: UnitTags | None = None
    """Left out: the station's passages are reported by REST, or by `event`."""
    event: Annotated[str, Field(max_length=100)] = ""
    """An inbound webhook's event of this type at this asset is a passage; its text, the unit."""
    stay: Duration | None = None
    """How long a unit stays that is reported without its leaving."""
    tags: list[TagId] = Field(default_factory=list)
    """The values that describe the step; left out: all numbers of the asset."""


class ProcessFile(Model):
    """`process.yaml`."""

    stations: list[StationSpec] = Field(default_factory=list)


def concerns(alarm: AlarmDefinition, station: StationSpec, tree: AssetTree) -> bool:
    """Whether an alarm says something of what happens to units in a station.

    It does on the station's asset and what lies in it, on what the asset lies in (a line's alarm is
    its fillers' too; not the whole site's), and on the station's own tags.
    """
    if alarm.tag and alarm.tag in station.tags:
        return True
    if tree.within(alarm.asset, station.asset):
        return True
    return alarm.asset != tree.root and tree.within(station.asset, alarm.asset)


def process_tags(station: StationSpec, site: Site) -> list[str]:
    """The tags that describe a step, without those that only name the unit."""
    if station.tags:
        return list(station.tags)
    naming = set(station.unit.roles().values()) if station.unit else set[str]()
    return [
        tag.id for tag in site.tags.values()
        if tag.asset == station.asset and tag.type == "number" and tag.id not in naming
        and tag.report is not False
    ]  # fmt: skip


def check_process(site: Site, reader: Reader) -> None:
    """Add a fault for each reference to what is not there, and for each circle."""
    stations, seen = site.stations, dict[str, str]()
    for station in stations.values():
        for index, tag in enumerate(station.tags):
            reader.reference("tag", tag, site.tags, "stations", station.id, "tags", index)
        for index, before in enumerate(station.follows):
            reader.reference("station", before, stations, "stations", station.id, "follows", index)
        if station.unit is not None:
            _check_unit(station, station.unit, site, reader)
            if station.unit.tag in seen:
                reader.fault(
                    f"{station.id}: {station.unit.tag!r} names the units of "
                    f"{seen[station.unit.tag]!r} already",
                    reader.place("stations", station.id, "unit", "tag"),
                    "each station needs a tag of its own",
                )
            seen[station.unit.tag] = station.id
        if _in_circle(station.id, stations):
            reader.fault(
                f"{station.id}: follows itself", reader.place("stations", station.id, "follows"),
                "report rework as a second passage; `follows` is the usual way through",
            )  # fmt: skip


def _check_unit(station: StationSpec, unit: UnitTags, site: Site, reader: Reader) -> None:
    for role, tag in unit.roles().items():
        key = "tag" if role == "unit" else role
        reader.reference("tag", tag, site.tags, "stations", station.id, "unit", key)
        spec = site.tags.get(tag)
        if spec is None:
            continue
        wrong = ""
        if spec.type == "string":
            wrong = "texts do not travel with samples: report passages by REST"
        elif spec.report is False:
            wrong = "let it `report`, or its changes never come to the factory"
        elif spec.report not in ("change", "raw"):
            wrong = "let it report changes, not windows"
        elif spec.deadband:
            wrong = "leave `deadband` out: each number is another unit"
        if wrong:
            place = reader.place("stations", station.id, "unit", key)
            reader.fault(f"{station.id}: {tag!r} cannot tell units", place, wrong)


def _in_circle(start: str, stations: dict[str, StationSpec]) -> bool:
    waiting, seen = list(stations[start].follows), set[str]()
    while waiting:
        here = waiting.pop()
        if here == start:
            return True
        if here not in seen and here in stations:
            seen.add(here)
            waiting += stations[here].follows
    return False
