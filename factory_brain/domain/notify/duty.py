"""Who is on duty: layers of people who take turns, leave and swaps. Pure.

Turns change at wall-clock times counted in days, so that daylight saving moves no handover.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from factory_brain.domain.notify.hours import holds, instant, local_day, windows_near
from shared.site.notify import LayerSpec, RosterSpec


@dataclass(frozen=True, slots=True)
class Override:
    """Leave (`by` is None) or a swap; without `instead_of` whoever has the turn is relieved."""

    id: str
    since: int
    until: int
    instead_of: str | None = None
    by: str | None = None

    def at(self, at: int) -> bool:
        """Whether it is in force."""
        return self.since <= at < self.until


@dataclass(frozen=True, slots=True)
class Duty:
    """Who is on duty, by which layer or override; nobody is an answer too."""

    person: str | None
    layer: int | None = None
    override: str | None = None


NOBODY = Duty(None)


def zone_of(name: str, site: str) -> ZoneInfo:
    """A zone by name, else the site's."""
    return ZoneInfo(name or site)


def written_overrides(roster: RosterSpec, zone: ZoneInfo) -> list[Override]:
    """The overrides of the site's file, as instants."""
    return [
        Override(
            f"{roster.id}-{index}", _instant(each.since, zone), _instant(each.until, zone),
            each.instead_of, each.by,
        )
        for index, each in enumerate(roster.overrides)
    ]  # fmt: skip


def _instant(at: datetime, zone: ZoneInfo) -> int:
    local = at if at.tzinfo is not None else at.replace(tzinfo=zone)
    return int(local.timestamp() * 1000)


def on_duty(
    roster: RosterSpec, zone: ZoneInfo, at: int, overrides: Sequence[Override] = ()
) -> Duty:
    """Who is on duty at `at`; of several overrides the newest (the last of the list) counts."""
    now = [each for each in overrides if each.at(at)]
    plain = [each for each in now if each.instead_of is None and each.by is not None]
    for each in reversed(plain):
        person, _ = _stand_in(each.by, now)
        if person is not None:
            return Duty(person, None, each.id)
    for index in range(len(roster.layers) - 1, -1, -1):
        layer = roster.layers[index]
        if layer.hours and not holds(layer.hours, zone, at):
            continue
        turn = _turn(layer, zone, at)
        if turn < 0:
            continue
        person, override = _stand_in(layer.people[turn % len(layer.people)], now)
        if person is not None:
            return Duty(person, index, override)
    return NOBODY


def _stand_in(person: str | None, now: Sequence[Override]) -> tuple[str | None, str | None]:
    """Follow the swaps from a person; None when the last of them is on leave."""
    seen: set[str] = set()
    by: str | None = None
    while person is not None and person not in seen:
        seen.add(person)
        swap = next((each for each in reversed(now) if each.instead_of == person), None)
        if swap is None:
            return person, by
        person, by = swap.by, swap.id
    return None, by


def _turn(layer: LayerSpec, zone: ZoneInfo, at: int) -> int:
    """The number of the turn that holds `at`; negative before the first."""
    days = layer.every * (7 if layer.turn == "weekly" else 1)
    turn = (local_day(at, zone) - layer.start).days // days
    # The handover's hour decides about the day on which turns change.
    return turn if at >= _handover(layer, zone, turn) else turn - 1


def _handover(layer: LayerSpec, zone: ZoneInfo, turn: int) -> int:
    days = layer.every * (7 if layer.turn == "weekly" else 1)
    return instant(layer.start + timedelta(days=days * turn), layer.handover, zone)


def changes_after(
    roster: RosterSpec, zone: ZoneInfo, at: int, overrides: Iterable[Override] = ()
) -> int:
    """The next instant at which another person may be on duty."""
    edges: list[int] = []
    for layer in roster.layers:
        edges.append(_handover(layer, zone, _turn(layer, zone, at) + 1))
        for since, until in windows_near(layer.hours, zone, at):
            edges += [since, until]
    for each in overrides:
        edges += [each.since, each.until]
    return min(edge for edge in edges if edge > at)
