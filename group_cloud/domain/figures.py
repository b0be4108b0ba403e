"""What an occurrence adds to its factory's figures, and how its newest word changes that. Pure.

The ingest folds transitions into occurrences and writes the difference of two contributions: so
each episode counts once, whatever comes late, twice or out of order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from shared.messages.bodies import AlarmTransition

DAY_MS = 86_400_000
TEN_MS = 600_000
MINUTE_MS = 60_000
FLOOD = 10
"""More alarms than this in ten minutes are a flood (ISA-18.2, EEMUA 191)."""
AHEAD_MS = DAY_MS
"""A clock may be this far ahead before what it stamps is left out of the figures."""


@dataclass(frozen=True, slots=True)
class Occurred:
    """One occurrence as newest told; times are UTC ms, 0: not yet."""

    occurrence: str
    alarm: str
    asset: str
    tag: str
    priority: int
    version: int
    raised_at: int = 0
    returned_at: int = 0
    acked_at: int = 0
    annunciated: bool = False
    counted: bool = False
    """It lies in the time that the figures hold."""


def told(old: Occurred | None, said: AlarmTransition, at: int) -> Occurred:
    """The occurrence after `said`, which its source stamped `at`; any order gives the same."""
    base = old or Occurred(said.occurrence, said.alarm, "", "", said.priority, -1)
    if said.version >= base.version:
        base = replace(
            base, asset=said.asset, tag=said.tag, priority=said.priority, version=said.version,
            returned_at=said.returned_at,
        )  # fmt: skip
    raised = said.raised_at or (said.source_time if said.kind == "raised" else 0)
    acked = at if said.kind == "acknowledged" else 0
    return replace(
        base,
        raised_at=_earlier(base.raised_at, raised),
        acked_at=_earlier(base.acked_at, acked),
        annunciated=base.annunciated or said.annunciate or said.annunciated_version > 0,
    )


def _earlier(one: int, other: int) -> int:
    return min(one, other) if one > 0 and other > 0 else max(one, other)


def in_time(found: Occurred, now: int, days: int) -> bool:
    """Whether the figures hold its day: not too old, and not of a clock that runs ahead."""
    return now - days * DAY_MS <= found.raised_at <= now + AHEAD_MS


Key = tuple[str, int, int | str]
"""(table, day or ten minutes, priority or alarm)."""
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "stat_day": (
        "raised", "annunciated", "acked", "ack_ms", "acked_1m", "acked_10m", "returned",
        "standing_ms",
    ),
    "stat_alarm": ("raised", "annunciated", "standing_ms"),
    "stat_ten": ("annunciated",),
}  # fmt: skip
KEYS: Mapping[str, tuple[str, ...]] = {
    "stat_day": ("day", "priority"), "stat_alarm": ("day", "alarm"), "stat_ten": ("ten",),
}  # fmt: skip


def contributions(found: Occurred | None) -> Iterator[tuple[Key, tuple[int, ...]]]:
    """What one occurrence adds to the sums, by key, in the order of `COLUMNS`."""
    if found is None or not found.counted or found.raised_at <= 0:
        return
    day = found.raised_at // DAY_MS
    told_of, returned = int(found.annunciated), int(found.returned_at > 0)
    standing = max(0, found.returned_at - found.raised_at) if returned else 0
    acked = int(found.acked_at > 0)
    after = max(0, found.acked_at - found.raised_at) if acked else 0
    yield (
        ("stat_day", day, found.priority),
        (
            1, told_of, acked, after, int(bool(acked) and after <= MINUTE_MS),
            int(bool(acked) and after <= TEN_MS), returned, standing,
        ),
    )  # fmt: skip
    yield ("stat_alarm", day, found.alarm), (1, told_of, standing)
    if told_of:
        yield ("stat_ten", found.raised_at // TEN_MS, ""), (1,)


class Sums:
    """The differences that a batch makes, to be written in one go."""

    def __init__(self) -> None:
        self._sums: dict[Key, list[int]] = {}

    def change(self, before: Occurred | None, after: Occurred) -> None:
        """`before` counts no more, `after` does."""
        for sign, each in ((-1, before), (1, after)):
            for key, values in contributions(each):
                held = self._sums.setdefault(key, [0] * len(values))
                for index, value in enumerate(values):
                    held[index] += sign * value

    def rows(self, table: str) -> list[tuple[tuple[int | str, ...], list[int]]]:
        """(key, differences) of one table, sorted; what comes to nothing is left out."""
        width = len(KEYS[table])
        return sorted(
            ((key[1 : 1 + width], values) for key, values in self._sums.items()
             if key[0] == table and any(values)),
            key=lambda row: row[0],
        )  # fmt: skip
