"""Follows floods: takes up what factories tell of them, and remembers those that are over.

Woken by the ingest. An incident becomes an episode when it was a flood, is closed and people
recorded its cause: once, by its newest revision, never a drill. It names a cause to nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from group_cloud.application.floods.aside import FAULTS, Aside
from group_cloud.application.floods.ports import Answer, Episode, Flood, FloodRows, Told
from group_cloud.application.ports import Records
from group_cloud.domain.floods import (
    BEGIN,
    HORIZONS_MIN,
    MINUTE_MS,
    is_episode,
    plausible,
    too_few,
)
from shared.clock import Clock
from shared.messages.floods import WORDS
from shared.telemetry import logger

log = logger("floods")
AT_ONCE = 100
RUNS, NAME = 10, 200
LONGEST_MIN = 1e7


class FloodLearning:
    """Turns news of incidents into floods that are followed and episodes that are remembered."""

    def __init__(self, rows: FloodRows, records: Records, clock: Clock) -> None:
        self._rows, self._records, self._clock = rows, records, clock
        self._aside = Aside(clock)

    async def take_up(self) -> int:
        """All news; returns how many incidents."""
        taken = 0
        while found := await self._rows.news(AT_ONCE):
            noted = [told for told in found if await self._taken_up(told)]
            for tenant in sorted({await self._rows.tenant_of(told.site) for told in noted}):
                await self._tidied(tenant)
            taken += len(noted)
            if not noted:
                break
        return taken

    async def _taken_up(self, told: Told) -> bool:
        """Whether it is news no more: what cannot be learnt from stops no other."""
        try:
            await self._one(told)
        except FAULTS as error:
            log.error("flood_set_aside", site=told.site, incident=told.incident, error=repr(error))
            return await self._passed_over(told)
        return True

    async def _passed_over(self, told: Told) -> bool:
        """Note the revision alone; the next one is looked at again."""
        bare = replace(told, flood=False, first_at=0, ended_at=None)
        try:
            async with self._records.transaction() as tx:
                await self._rows.follow(tx, bare, self._clock.now_ms())
                await self._rows.forget(tx, told.site, told.incident)
        except FAULTS as error:
            log.error("flood_unnoted", site=told.site, incident=told.incident, error=repr(error))
            return False
        return True

    async def _tidied(self, tenant: str) -> None:
        try:
            await self._rows.tidy(tenant)
        except FAULTS as error:
            log.error("floods_not_tidied", tenant=tenant, error=repr(error))

    async def begin(self) -> int:
        """Say of each new flood at once that it is compared, or that there is too little to."""
        begun = 0
        for flood in await self._rows.open():
            if flood.asked >= BEGIN or self._aside.holds(flood.name):
                continue
            try:
                begun += await self._begun(flood)
            except FAULTS as error:
                self._aside.put(flood.name)
                log.error("flood_not_begun", flood=flood.name, error=repr(error))
        return begun

    async def _begun(self, flood: Flood) -> bool:
        memory, now = await self._rows.memory(flood.tenant), self._clock.now_ms()
        few = too_few(memory.causes)
        made = Answer(
            flood.site, flood.incident, BEGIN, now, flood.tenant, known=False, settled=few,
            why="too_few" if few else "", trust=0.0, remembered=len(memory.causes),
            complete=True,
        )  # fmt: skip
        async with self._records.transaction() as tx:
            return await self._rows.answer(tx, made)

    async def _one(self, told: Told) -> None:
        runs = await self._rows.runs(told.site, told.body.get("runs") or [])
        drill = any(run["drill"] for run in runs)
        now = self._clock.now_ms()
        if not plausible(told.first_at, now):
            told = replace(told, flood=False, first_at=0, ended_at=None)
        if told.ended_at is not None and not plausible(told.ended_at, now):
            told = replace(told, ended_at=None)
        kept = is_episode(told.status, told.flood, told.cause, told.outcome, drill)
        episode = await self._episode(told, runs) if kept else None
        async with self._records.transaction() as tx:
            if not await self._rows.follow(tx, told, now):
                return
            if episode is not None and episode.alarms:
                await self._rows.remember(tx, episode, now)
            else:
                await self._rows.forget(tx, told.site, told.incident)
            await self._rows.judge(tx, told.site, told.incident, told.cause if kept else "")

    async def _episode(self, told: Told, runs: Sequence[dict[str, object]]) -> Episode:
        took = ((told.ended_at or told.first_at) - told.first_at) / MINUTE_MS
        took = min(max(0.0, took), LONGEST_MIN)
        alarms = await self._rows.happened(
            told.site, told.incident, told.first_at, min(took, HORIZONS_MIN[-1])
        )
        done = [
            {"playbook": str(run["playbook"])[:NAME], "ok": run["success"]} for run in runs[:RUNS]
        ]
        names, words = told.body.get("cause_names") or {}, told.body.get("comment") or ""
        return Episode(
            told.site, told.incident, told.revision, told.first_at, told.cause, in_both(names),
            done, words[:WORDS], round(took, 1), alarms,
        )  # fmt: skip


def in_both(names: dict[str, str]) -> dict[str, str]:
    """A name as far as a factory is told it: two languages, not endless."""
    return {language: names[language][:NAME] for language in ("zh", "en") if language in names}
