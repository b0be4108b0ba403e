"""One alarm point's condition over time: limit, deadband, on-delay, off-delay.

Pure. The edge's rules, the shadow candidates and the replay of history all run this function, so
that a proposed setting is judged by the very code that would run it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from shared.alarm.filters import Filter

Side = Literal["HIHI", "HI", "LO", "LOLO"]
Change = Literal["raise", "clear"]


@dataclass(frozen=True, slots=True)
class Setting:
    """Tunable numbers of one limit alarm; limit and deadband in the tag's unit, delays in ms."""

    limit: float
    deadband: float = 0.0
    on_delay_ms: int = 0
    off_delay_ms: int = 0
    filter: Filter = "raw"
    """What the limit is held against."""

    @property
    def on_raw(self) -> Setting:
        """The same numbers held against the samples themselves."""
        return self if self.filter == "raw" else replace(self, filter="raw")


@dataclass(frozen=True, slots=True)
class PointState:
    """`beyond`: past the limit (deadband applied) since `since`; `raw`: the same after delays."""

    beyond: bool = False
    since: int = 0
    raw: bool = False


def is_high(side: Side) -> bool:
    """Whether the alarm is on the high side."""
    return side in ("HI", "HIHI")


def beyond(setting: Setting, side: Side, was: bool, value: float) -> bool:
    """Whether `value` is past the limit; the deadband applies to leaving it."""
    margin = setting.deadband if was else 0.0
    if is_high(side):
        return value > setting.limit - margin
    return value < setting.limit + margin


def sample(
    setting: Setting, side: Side, state: PointState, value: float, at: int
) -> tuple[PointState, Change | None]:
    """Take one good sample at source time `at`; bad ones are not passed (they hold the state)."""
    return follow(setting, state, beyond(setting, side, state.beyond, value), at)


def follow(
    setting: Setting, state: PointState, now_beyond: bool, at: int
) -> tuple[PointState, Change | None]:
    """The value is past the limit, or is not, from `at` on."""
    if now_beyond != state.beyond:
        state = replace(state, beyond=now_beyond, since=at)
    return tick(setting, state, at)


def tick(setting: Setting, state: PointState, at: int) -> tuple[PointState, Change | None]:
    """Let time pass to `at`: delays end by the clock, not by the next message."""
    deadline = due(setting, state)
    if deadline is None or at < deadline:
        return state, None
    return replace(state, raw=state.beyond), "raise" if state.beyond else "clear"


def due(setting: Setting, state: PointState) -> int | None:
    """When the pending change takes effect, None if none is pending."""
    if state.beyond == state.raw:
        return None
    return state.since + (setting.on_delay_ms if state.beyond else setting.off_delay_ms)
