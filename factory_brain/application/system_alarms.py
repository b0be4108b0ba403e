"""The product's own conditions as alarms of the list: raised, sounding, acknowledged, gone.

They go through the live view like any other alarm and never into the plant's journal, so that no
figure of the plant counts them. Called by whoever finds something wrong; writes through its store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from factory_brain.application.live_view import LiveView
from factory_brain.application.ports import Audit
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.system_words import SYSTEM_TAG, alarm_of, title, words_of
from shared.alarm.states import AlarmState
from shared.clock import Clock, HybridTime
from shared.errors import Rejected, StoreError
from shared.messages.bodies import AlarmTransition, Fact
from shared.telemetry import logger

log = logger("health")
WRITE_S = 2.0
BRAIN = "brain"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of one source, as stored."""

    source: str
    code: str
    active: bool
    params: dict[str, Any]
    episode: int
    raised_at: int
    returned_at: int | None = None
    acked_by: str | None = None
    acked_at: int | None = None

    @property
    def occurrence(self) -> str:
        """The episode's id in the list."""
        return f"{alarm_of(self.source, self.code)}#{self.episode}"

    @property
    def shown(self) -> bool:
        """Whether it belongs in the list."""
        return self.active or (self.acked_at is None and words_of(self.code).keeps)


class ConditionStore(Protocol):
    """Where conditions are kept (see `adapters/postgres/system_store.py`)."""

    async def read(self) -> list[Condition]:
        """All that are on, or went and were not acknowledged."""
        ...

    async def put(
        self, source: str, code: str, active: bool, params: dict[str, Any], at: int
    ) -> None:
        """Switch one on or off; raises StoreError."""
        ...

    async def acknowledge(
        self, occurrence: Condition, actor: str, at: int, comment: str, audit: Audit
    ) -> bool:
        """Record who acknowledged an episode, with its audit entry; False if it was done."""
        ...


class SystemAlarms:
    """The list's rows about Andon itself."""

    def __init__(
        self, site: str, clock: Clock, store: ConditionStore, audit: Audit, live: LiveView
    ) -> None:
        self._site, self._clock, self._store = site, clock, store
        self._audit, self._live = audit, live
        self._shown: dict[str, Condition] = {}
        self._unstored: dict[tuple[str, str], Condition] = {}
        """What could not be written: the database may be what is wrong."""
        self.judged_elsewhere: Callable[[], bool] = lambda: False
        """Whether another brain leads and finds what is wrong."""
        self._busy = asyncio.Lock()

    @property
    def conditions(self) -> list[Condition]:
        """What is shown now."""
        return list(self._shown.values())

    async def set(self, source: str, code: str, active: bool, params: dict[str, Any]) -> None:
        """Switch one of the brain's own findings; shown even where it cannot be stored."""
        now = self._clock.now_ms()
        try:
            async with asyncio.timeout(WRITE_S):
                await self._store.put(source, code, active, params, now)
            self._unstored.pop((source, code), None)
        except (StoreError, TimeoutError) as error:
            log.error("condition_not_stored", source=source, code=code, error=str(error))
            if active:
                self._unstored[source, code] = Condition(source, code, True, params, now, now)
            else:
                self._unstored.pop((source, code), None)
        await self.refresh()

    async def refresh(self) -> None:
        """Bring the list to what is stored."""
        async with self._busy:
            found = {alarm_of(c.source, c.code): c for c in self._unstored.values()}
            try:
                async with asyncio.timeout(WRITE_S):
                    stored = await self._store.read()
                if self.judged_elsewhere():  # and its findings can be read
                    self._unstored.clear()
                    found.clear()
                found.update((alarm_of(c.source, c.code), c) for c in stored)
            except (StoreError, TimeoutError) as error:
                log.warning("conditions_not_read", error=str(error))
                found = {**self._shown, **found}
            shown = {alarm: each for alarm, each in found.items() if each.shown}
            for alarm, before in self._shown.items():
                if alarm not in shown:
                    last = found.get(alarm, before)
                    await self._live.on_occurrence(self._occurrence(last, gone=True), True)
            for alarm, each in shown.items():
                if self._shown.get(alarm) != each:
                    await self._live.on_occurrence(self._occurrence(each), True)
            self._shown = shown
            on = sorted((c for c in shown.values() if c.active), key=lambda c: c.raised_at)
            self._live.set_system([title(c.source, c.code, c.params) for c in on])

    async def acknowledge(
        self, alarm: str, occurrence: str, actor: str, comment: str
    ) -> Rejected | None:
        """Acknowledge the episode that was on the screen."""
        held = self._shown.get(alarm)
        if held is None:
            return Rejected("Bad_EventIdUnknown", {"alarm": alarm})
        if held.occurrence != occurrence:
            return Rejected("not_seen", {"alarm": alarm, "reason": "newer_occurrence"})
        if held.acked_at is not None:
            code = "Bad_ConditionBranchAlreadyAcked"
            return Rejected(code, {"alarm": alarm, "by": held.acked_by or ""})
        try:
            async with asyncio.timeout(WRITE_S):
                await self._store.acknowledge(
                    held, actor, self._clock.now_ms(), comment, self._audit
                )
        except (StoreError, TimeoutError):
            return Rejected("not_stored", {"alarm": alarm})
        await self.refresh()
        return None

    def _occurrence(self, each: Condition, *, gone: bool = False) -> Occurrence:
        """As the live view knows occurrences."""
        alarm, active = alarm_of(each.source, each.code), each.active and not gone
        facts: tuple[Fact, ...] = ()
        if each.acked_at is not None:
            facts = (
                Fact(
                    id=f"{each.occurrence}/ack", alarm=alarm, occurrence=each.occurrence,
                    version_seen=2, action="acknowledge", actor=each.acked_by or "",
                    place="factory", hlc=str(HybridTime(each.acked_at)),
                ),
            )  # fmt: skip
        name = title(each.source, each.code, each.params)
        waits = not gone and (active or words_of(each.code).keeps)
        transition = AlarmTransition(
            alarm=alarm, occurrence=each.occurrence, version=1 if active else 2,
            annunciated_version=1, kind="raised" if active else "returned", annunciate=active,
            state=AlarmState(raw=active, active=active, acked=not waits).to_dict(),
            settings_version=0, priority=words_of(each.code).priority, asset=self._site,
            tag=SYSTEM_TAG, source_time=each.raised_at, receive_time=each.raised_at,
            raised_at=each.raised_at, names={"zh": name.zh, "en": name.en},
        )  # fmt: skip
        order = f"{each.episode:020d}/{not active:d}/{each.acked_at is not None:d}/{gone:d}"
        return Occurrence(
            each.occurrence, alarm, _edge(each.source), transition, order, each.raised_at,
            each.returned_at, each.raised_at, False, facts,
        )  # fmt: skip


def _edge(source: str) -> str:
    """The node that a source's name means: `f1.e1` and `e1` are edge e1."""
    return source.rpartition(".")[2] or BRAIN
