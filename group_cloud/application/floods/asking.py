"""Asks the memory what floods resemble, at each horizon as the factory's own time reaches it.

Runs beside the following of floods: fitting a memory may take long, in a process of its own. What
was asked stands in the tables, so that a cloud that is started again goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import isfinite
from typing import Any

from group_cloud.application.floods.aside import FAULTS, FIRST_MS, Aside
from group_cloud.application.floods.ports import (
    Answer,
    Flood,
    FloodRows,
    Memory,
    Near,
    Raised,
    Recall,
    Resembled,
)
from group_cloud.application.ports import Records
from group_cloud.domain.floods import BEGIN, next_horizon, reached, too_few
from shared.clock import Clock
from shared.errors import StoreError
from shared.telemetry import logger

log = logger("floods")
LOOK_S = 5.0
REST_AFTER_S = 900.0
"""So long after the last question the learner's process is ended."""
Until = Callable[[str], int | None]
"""Up to when a factory has told all it knows, by its own clock; None: it was not heard."""


class FloodAsking:
    """Gives the answers."""

    def __init__(
        self, rows: FloodRows, records: Records, recall: Recall, clock: Clock, told_until: Until
    ) -> None:
        self._rows, self._records, self._recall = rows, records, recall
        self._clock, self._told_until = clock, told_until
        self._wake = asyncio.Event()
        self._warm: dict[str, str] = {}
        # A flood is left alone for longer than its tenant, whose other floods are tried before.
        self._tenants, self._floods = Aside(clock), Aside(clock, 2 * FIRST_MS)
        self._asked_at = 0
        self.on_answer: Callable[[], None] = lambda: None

    def wake(self) -> None:
        """A flood has begun."""
        self._wake.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self.look()
            except StoreError as error:
                log.warning("floods_not_compared", error=str(error))
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            finally:
                self._wake.clear()

    async def look(self) -> int:
        """Whatever is due now; returns how many answers were given."""
        given, floods, memories = 0, await self._rows.open(), dict[str, Memory]()
        # Those of a tenant that failed come last: to fail may take minutes.
        for flood in sorted(floods, key=lambda each: self._tenants.failed(each.tenant)):
            if flood.asked < BEGIN or self._left_alone(flood):
                continue
            try:
                if flood.tenant not in memories:
                    memories[flood.tenant] = await self._rows.memory(flood.tenant)
                given += await self._follow(flood, memories[flood.tenant])
            except FAULTS as error:
                self._tenants.put(flood.tenant)
                self._floods.put(flood.name)
                log.error("flood_not_compared", flood=flood.name, error=repr(error))
            else:
                self._tenants.well(flood.tenant)
                self._floods.well(flood.name)
        if not floods and self._clock.mono_ms() - self._asked_at > REST_AFTER_S * 1000:
            self._warm.clear()
            await self._recall.rest()
        return given

    def _left_alone(self, flood: Flood) -> bool:
        return self._tenants.holds(flood.tenant) or self._floods.holds(flood.name)

    async def _follow(self, flood: Flood, memory: Memory) -> int:
        given, asked = 0, flood.asked
        while (horizon := next_horizon(asked)) is not None:
            now = self._clock.now_ms()
            complete = reached(flood.first_at, horizon, self._told_until(flood.site), now)
            if complete is None:
                break
            answer = await self._answer(flood, memory, horizon, complete)
            async with self._records.transaction() as tx:
                given += await self._rows.answer(tx, answer)
            self.on_answer()
            asked = horizon
            if answer.settled:
                return given
        await self._warmed(memory)
        return given

    async def _answer(self, flood: Flood, memory: Memory, horizon: int, complete: bool) -> Answer:
        few = too_few(memory.causes)
        said = Resembled(False, True, 0.0, None)
        if not few:
            alarms = await self._rows.happened(
                flood.site, flood.incident, flood.first_at, float(horizon)
            )
            said = sound(await self._ask(memory, alarms, float(horizon)))
        shown = await self._shown(flood.tenant, said)
        # What belongs to another tenant by now is not named, and nothing is known without a name.
        known = said.known and bool(shown) and shown[0] is not None
        why = "" if known or not said.settled else "too_few" if few else "unlike"
        return Answer(
            flood.site, flood.incident, horizon, self._clock.now_ms(), flood.tenant, known=known,
            settled=said.settled, why=why, trust=round(said.trust, 4),
            remembered=len(memory.causes), complete=complete,
            nearest=shown[0] if shown else None, others=[s for s in shown[1:] if s is not None],
        )  # fmt: skip

    async def _shown(self, tenant: str, said: Resembled) -> list[dict[str, Any] | None]:
        if said.nearest is None:
            return []
        near: list[Near] = [said.nearest, *said.others]
        found = {
            f"{each['site']}/{each['incident']}": each
            for each in await self._rows.shown(tenant, near)
        }
        return [found.get(each.name) for each in near]

    async def _ask(self, memory: Memory, alarms: list[Raised], minutes: float) -> Resembled:
        self._asked_at = self._clock.mono_ms()
        said = await self._recall.ask(memory, None, alarms, minutes)
        if said is None:
            episodes = await self._rows.episodes(memory.tenant)
            said = await self._recall.ask(memory, episodes, alarms, minutes)
        if said is None:
            raise StoreError("the learner does not hold what it was given")
        self._warm[memory.tenant] = memory.version
        return said

    async def _warmed(self, memory: Memory) -> None:
        """A flood goes on: what fits long is fitted before it is needed."""
        if not too_few(memory.causes) and self._warm.get(memory.tenant) != memory.version:
            await self._ask(memory, [], 0.0)


def sound(said: Resembled) -> Resembled:
    """Unknown in the place of an answer with a figure that is none."""
    near = [] if said.nearest is None else [said.nearest, *said.others]
    figures = [said.trust, *(each.similarity for each in near)]
    if all(isfinite(figure) for figure in figures):
        return said
    return Resembled(False, said.settled, 0.0, None)
