"""Labelled occurrences made up for the learning tests."""

from __future__ import annotations

import random

from group_cloud.domain.evidence import Shadow
from shared.alarm.definition import Bounds
from shared.alarm.point import Setting
from shared.alarm.shadow import candidates

CURRENT = Setting(1230.0, 5.0, 1_000, 2_000)
BOUNDS = Bounds(limit_min=1200.0, limit_max=1265.0, on_delay_max_ms=60_000, deadband_max=20.0)
STEP = 6.5
TRIED = list(candidates(CURRENT, "HI", BOUNDS, STEP).values())


def setting(limit: float, on_delay_ms: int = 1_000) -> Setting:
    return Setting(limit, 5.0, on_delay_ms, 2_000)


def peak(
    number: int, height: float, seconds: float, current: Setting = CURRENT,
    tried: list[Setting] | None = None,
) -> Shadow:  # fmt: skip
    """An excursion of so many degrees for so many seconds: who would have announced it, and when.

    A steady ramp: it passes `limit` when height allows and stays beyond for a share of the time.
    """
    verdicts: dict[Setting, tuple[bool, float]] = {}
    for each in tried or TRIED:
        beyond = seconds * 1000 if height > each.limit else 0
        announced = beyond > each.on_delay_ms
        wait = (each.on_delay_ms - current.on_delay_ms) / 1000 + max(
            0.0, each.limit - current.limit
        ) / 10
        verdicts[each] = (announced, max(0.0, wait)) if announced else (False, -1.0)
    return Shadow(f"occ-{number:04d}", 1_700_000_000_000 + number * 60_000, current, verdicts)


def nuisance(number: int, height: float = 1233.0, seconds: float = 2.0) -> tuple[Shadow, str]:
    return peak(number, height, seconds), "nuisance"


def true(number: int, height: float = 1290.0, seconds: float = 600.0) -> tuple[Shadow, str]:
    return peak(number, height, seconds), "true"


def history(seed: int, count: int) -> list[tuple[Shadow, str]]:
    """A mixed history: mostly short nuisance, now and then the real thing."""
    chance = random.Random(seed)
    return [
        true(n, chance.uniform(1240, 1300), chance.uniform(20, 900))
        if chance.random() < 0.2
        else nuisance(n, chance.uniform(1231, 1248), chance.uniform(1.5, 8))
        for n in range(count)
    ]
