"""Answers the group's questions: what a proposal's two settings told over this factory's samples.

Run by the brain that leads; woken by the group's notice. Only lists and a trend of a few hundred
points go up. It changes no setting, and answers only for alarm points that may be tuned.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from factory_brain.application.shadow.ports import Days, Faults, Group
from factory_brain.domain.shadow import DAY_MS, Signal, countable, lead_of, line_of
from shared.alarm.definition import AlarmDefinition
from shared.alarm.point import Setting, Side
from shared.alarm.shadow import setting_of
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import ContractError, RetryableTransportError, StoreError
from shared.messages.bodies import TrialAnswer
from shared.messages.codec import decode
from shared.messages.subjects import BRAIN, CLOUD_DOMAIN, Node
from shared.messages.trials import KEY, MOST, SCHEMA, SignedTrials, TrialItem, Trials, read
from shared.security import verifies
from shared.site.assets import AssetTree
from shared.telemetry import logger

log = logger("shadow")
EVERY_S = 60.0
AGAIN_MS = 600_000
"""After this a question that still stands is answered again: the first answer may be lost."""
EMPTY_AGAIN_MS = 60_000
"""Sooner, where there was no sample yet to answer from."""
REMEMBERED = 1_000
MOST_FAULTS = 200


@dataclass(frozen=True, slots=True)
class Tried:
    """What both settings told, as `trial_work.tried` makes it."""

    before: int
    after: int
    vanish: list[list[int]]
    later: list[list[int]]
    new: int
    vanish_more: int
    later_more: int
    points: list[list[float]]
    faults: list[list[Any]]


@dataclass(frozen=True, slots=True)
class TrialWork:
    """One question with all that it is answered from."""

    side: Side
    current: Setting
    proposed: Setting
    faults: tuple[tuple[str, int, int], ...]
    centre: float = 0.0
    """What the filter `day` is written around."""
    fallback: Setting | None = None
    """The engineer's setting on raw samples: it counts while a filter's window is not known."""


class Tries(Protocol):
    """See `adapters/shadow_process.py`."""

    async def tried(self, signal: Signal, work: TrialWork) -> Tried:
        """Run both settings over a signal."""
        ...

    async def close(self) -> None:
        """There is nothing to try for a while."""
        ...


@dataclass(frozen=True, slots=True)
class Here:
    """The factory as far as questions are concerned."""

    site: str
    definitions: Mapping[str, AlarmDefinition]
    assets: AssetTree
    days: int
    """Days of samples that are stored."""


class TrialDesk:
    """Answers the group."""

    def __init__(
        self, here: Here, bus: Bus, clock: Clock, release: Ed25519PublicKey, days: Days,
        faults: Faults, tries: Tries, group: Group,
    ) -> None:  # fmt: skip
        self._here, self._bus, self._clock, self._release = here, bus, clock, release
        self._days, self._faults, self._tries, self._group = days, faults, tries, group
        self._node = Node(here.site, BRAIN)
        self._wake = asyncio.Event()
        self._done: OrderedDict[tuple[str, str], int] = OrderedDict()
        """Question -> when it may be answered again."""
        self.answered = 0
        self.refused = 0
        """Bundles of questions that the group had not signed for this factory."""

    async def listen(self) -> None:
        """Hear the group's notices."""

        async def on_notice(_: str, __: bytes) -> bytes | None:
            self._wake.set()
            return None

        await self._bus.subscribe(self._node.directive, on_notice)

    async def run(self) -> None:
        """Answer for ever."""
        while True:
            self._wake.clear()
            try:
                await self.round()
            except (RetryableTransportError, StoreError) as error:
                log.info("trials_unanswered", error=str(error))
            finally:
                await self._tries.close()
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def round(self) -> int:
        """Answer what stands open; returns how many questions."""
        data = await self._bus.bucket_get(self._node.directive_bucket, KEY, CLOUD_DOMAIN)
        asked = self._authentic(data) if data is not None else None
        if asked is None:
            return 0
        before, now = self.answered, self._clock.now_ms()
        for item in asked.items[:MOST]:
            again_at = self._done.get((item.proposal, item.digest))
            definition = self._here.definitions.get(item.alarm)
            if again_at is not None and now < again_at:
                continue
            if definition is None or definition.edge != item.edge or not countable(definition):
                continue
            known = await self._answer(item, definition, now)
            self._done[item.proposal, item.digest] = now + (AGAIN_MS if known else EMPTY_AGAIN_MS)
            while len(self._done) > REMEMBERED:
                self._done.popitem(last=False)
        return self.answered - before

    def _authentic(self, data: bytes) -> Trials | None:
        try:
            signed = decode(data, SignedTrials)
            good = verifies(self._release, signed.signature, signed.payload)
            asked = read(signed.payload) if good else None
        except ContractError:
            asked = None
        if asked is None or (asked.schema, asked.site) != (SCHEMA, self._here.site):
            self.refused += 1
            log.error("trials_refused")
            return None
        return asked

    async def _answer(self, item: TrialItem, definition: AlarmDefinition, now: int) -> bool:
        """Answer one question; whether there was any sample to answer from."""
        assert definition.side is not None
        days = min(max(item.days, 1 / 24), float(self._here.days))
        since = now - round(days * DAY_MS)
        current, proposed = setting_of(item.current), setting_of(item.proposed)
        lead = lead_of(current, proposed)
        signal = await self._days.signal(definition.tag, since, now, lead)
        line = line_of(self._here.assets, definition.asset)
        faults = tuple(
            (fault.id, fault.start, fault.end)
            for fault in await self._faults.recent(since, MOST_FAULTS)
            if fault.line == line and fault.start >= since
        )
        work = TrialWork(
            definition.side, current, proposed, faults, definition.centre, definition.fallback
        )
        found = await self._tries.tried(signal, work)
        body = TrialAnswer(
            site=self._here.site, edge=item.edge, alarm=item.alarm, proposal=item.proposal,
            digest=item.digest, since=since, until=now, coverage=round(signal.coverage, 6),
            points=found.points, before=found.before, after=found.after, vanish=found.vanish,
            vanish_more=found.vanish_more, later=found.later, later_more=found.later_more,
            new=found.new, faults=found.faults,
        )  # fmt: skip
        async with self._faults.transaction() as tx:
            await self._group.fence(tx)
            await self._group.say(tx, "trial_answer", body)
        self.answered += 1
        return bool(found.points)
