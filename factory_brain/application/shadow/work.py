"""The counting itself, as run in a process of its own: plain data in, plain data out.

Called through `adapters/shadow_process.py`, which imports it only there: the brain itself starts
without it. Imports no adapter and no clock.
"""

from __future__ import annotations

from factory_brain.application.shadow.tasks import (
    ENGINEER,
    LIVE,
    DayCount,
    FaultCount,
    Question,
)
from factory_brain.domain.shadow import (
    MOST_EPISODES,
    Episode,
    Signal,
    longest,
    tally,
    told_alone,
)
from shared.alarm.excursions import NEVER, count, spans, verdicts
from shared.alarm.grid import Grid, grid_around
from shared.alarm.point import Setting
from shared.alarm.shadow import bounds_of


def count_day(signal: Signal, questions: list[Question]) -> list[DayCount]:
    """Count one tag's alarm points over the span of its signal."""
    spread = signal.spread()
    return [_count(signal, each, spread) for each in questions]


def _count(signal: Signal, asked: Question, spread: tuple[float, float] | None) -> DayCount:
    grid = grid_of(asked, spread[1] if spread else 0.0)
    since, until = signal.since, signal.until
    found = count(signal.times, signal.values, grid, since=since, until=until)
    told = {name: _episodes(signal, asked, each) for name, each in asked.named.items()}
    alone = told_alone(told.get(ENGINEER, []), told.get(LIVE, []), since, until)
    return DayCount(
        alarm=asked.alarm,
        grid=grid.to_dict(),
        activations=found.activations.astype("<i4").tobytes(),
        standing=found.standing_s.astype("<f4").tobytes(),
        named={name: tally(each, since, until) for name, each in told.items()},
        engineer_only=longest(alone, until),
        engineer_only_more=max(0, len(alone) - MOST_EPISODES),
        mean=spread[0] if spread else None,
        sigma=spread[1] if spread else None,
    )


def judge(signal: Signal, start: int, end: int, questions: list[Question]) -> list[FaultCount]:
    """When each candidate would have told of a fault in [start, end]."""
    spread = signal.spread()
    made: list[FaultCount] = []
    for asked in questions:
        grid = grid_of(asked, spread[1] if spread else 0.0)
        delays = verdicts(signal.times, signal.values, grid, start, end, until=signal.until)
        named = {
            name: float(
                verdicts(
                    signal.times, signal.values, _only(each, asked), start, end,
                    until=signal.until,
                )[0]
            )
            for name, each in asked.named.items()
        }  # fmt: skip
        made.append(FaultCount(asked.alarm, grid.to_dict(), delays.astype("<f4").tobytes(), named))
    return made


def grid_of(asked: Question, sigma: float) -> Grid:
    """The grid that was given, else one around the engineer's setting."""
    if asked.grid:
        return Grid.from_dict(asked.grid)
    bounds, own = bounds_of(asked.bounds), asked.named[ENGINEER]
    filters = tuple(dict.fromkeys((own.filter, *bounds.filters)))
    return grid_around(own, asked.side, bounds, sigma, filters, bounds.centre or 0.0)


def _only(setting: Setting, asked: Question) -> Grid:
    return Grid(
        asked.side, (setting.limit,), (setting.deadband,), (setting.on_delay_ms,),
        (setting.off_delay_ms,), (setting.filter,), bounds_of(asked.bounds).centre or 0.0,
        None if setting.filter == "raw" else asked.named[ENGINEER].on_raw,
    )  # fmt: skip


def _episodes(signal: Signal, asked: Question, setting: Setting) -> list[Episode]:
    found = spans(
        signal.times, signal.values, setting, asked.side, until=signal.until,
        centre=bounds_of(asked.bounds).centre or 0.0, fallback=asked.named[ENGINEER].on_raw,
    )  # fmt: skip
    return [
        (began, None if ended == NEVER else ended)
        for began, ended in zip(found.raised.tolist(), found.cleared.tolist(), strict=True)
    ]
