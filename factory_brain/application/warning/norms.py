"""What a plant's tags are when all is well: mean and sigma of a commissioning, made once.

Of the first four days of the stored history without a recorded fault near them and with half of
their windows free of alarms, those windows alone. It refuses where there are not so many, and never
adapts afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from factory_brain.application.warning import off_loop
from factory_brain.application.warning.ports import Norm, Reads, Rows, Samples
from factory_brain.domain.shadow import DAY_MS
from factory_brain.domain.warning import (
    COMMISSIONING_DAYS,
    LATENESS_DAYS,
    Plant,
    commissioning,
)
from shared.clock import Clock
from shared.site.assets import AssetTree
from shared.telemetry import logger

log = logger("warning")
MINUTES_A_DAY = 1440
AGAIN_MS = DAY_MS // 24
"""So often a plant that has no commissioning is looked at again."""
DAYS_BACK = 60


class Norms:
    """The commissioning of each plant."""

    def __init__(
        self, clock: Clock, rows: Rows, reads: Reads, samples: Samples,
        assets: Callable[[], AssetTree],
    ) -> None:  # fmt: skip
        self._clock, self._rows, self._reads, self._samples = clock, rows, reads, samples
        self._assets = assets
        self._refused: dict[str, tuple[int, str]] = {}

    async def of(self, plant: Plant) -> Norm | str:
        """A plant's norm, or the code of why there is none."""
        found = await self._rows.norm(plant.key)
        if found is not None:
            return found
        now = self._clock.now_ms()
        at, why = self._refused.get(plant.key, (0, ""))
        if why and now - at < AGAIN_MS:
            return why
        made = await self._make(plant, now)
        if isinstance(made, str):
            self._refused[plant.key] = (now, made)
            log.info("no_commissioning", plant=plant.key, line=plant.line, code=made)
            return made
        return await self._rows.keep_norm(made)

    async def _make(self, plant: Plant, now: int) -> Norm | str:
        oldest = await self._samples.oldest(plant.tags)
        if oldest is None:
            return "tags_without_history"
        first = max(-(-oldest // DAY_MS), now // DAY_MS - DAYS_BACK)
        last = now // DAY_MS - LATENESS_DAYS
        assets = self._assets()
        record = await self._reads.record(assets, plant.line, first * DAY_MS, now)
        alarms = await self._reads.alarmed(
            assets, plant.line, first * DAY_MS, last * DAY_MS
        )  # fmt: skip
        days = await asyncio.to_thread(
            commissioning, range(first, last), record.faults, alarms
        )  # fmt: skip
        chosen, minutes = list[int](), []
        for day in sorted(days):
            found = await self._samples.minutes(plant.tags, day * DAY_MS, MINUTES_A_DAY)
            if await off_loop.spreads([found], [days[day]]) is None:
                continue
            chosen.append(day)
            minutes.append(found)
            if len(chosen) == COMMISSIONING_DAYS:
                break
        if len(chosen) < COMMISSIONING_DAYS:
            return "too_few_commissioning_days"
        quiet = [days[day] for day in chosen]
        found = await off_loop.spreads(minutes, quiet)
        if found is None:
            return "too_few_commissioning_days"
        mean, sigma = found
        return Norm(plant.key, plant.tags, tuple(mean), tuple(sigma), tuple(chosen), now)
