"""Tells factories what their floods resemble: a signed bag in the factory's own bucket.

Woken by every answer; also takes up news of incidents, so that a flood is spoken of within seconds
of its being told. Nothing at a factory follows from it: it is advice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from itertools import groupby
from math import isfinite

import msgspec

from group_cloud.application.floods.aside import FAULTS
from group_cloud.application.floods.learning import FloodLearning
from group_cloud.application.floods.ports import FloodRows, Tellable
from group_cloud.application.ports import Records, Sign
from group_cloud.domain.floods import DAY_MS, SPAN_MS
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import RetryableTransportError
from shared.messages.codec import encode
from shared.messages.floods import (
    KEY,
    MOST,
    FloodAnswer,
    Like,
    SignedFloods,
    State,
    Why,
    fitting,
    packed,
)
from shared.messages.subjects import BRAIN, Node
from shared.telemetry import logger

log = logger("floods")
AGAIN_S = 30.0
FAILED_MOST = 3
"""After so many factories that could not be told in one round the next round goes on."""
TOLD_MS = 2 * DAY_MS
"""So long after it began a flood is spoken of in its factory's bag ..."""
KEPT_MS = 30 * DAY_MS + SPAN_MS
"""... and so long an answer is of use to whoever looks at the incident."""


class FloodTelling:
    """The quick half: follows floods, and speaks of them to their factories."""

    def __init__(
        self, rows: FloodRows, records: Records, learning: FloodLearning, bus: Bus, clock: Clock,
        sign: Sign,
    ) -> None:  # fmt: skip
        self._rows, self._records, self._learning = rows, records, learning
        self._bus, self._clock, self._sign = bus, clock, sign
        self._wake = asyncio.Event()
        self._put: dict[str, bytes] = {}
        """site -> digest of the bag that lies in its bucket since this process began."""
        self._failed = set[str]()
        self.on_change: Callable[[], None] = lambda: None
        self.on_begun: Callable[[], None] = lambda: None

    def wake(self) -> None:
        """Something came from a factory, or an answer was given."""
        self._wake.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            self._wake.clear()
            try:
                await self.look()
            except RetryableTransportError as error:
                log.warning("floods_not_told", error=str(error))
            try:
                async with asyncio.timeout(AGAIN_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """One round."""
        news = await self._learning.take_up()
        begun = await self._learning.begin()
        if begun:
            self.on_begun()
        if news or begun:
            self.on_change()
        await self.tell()

    async def tell(self) -> None:
        """Put into the buckets what is new in them."""
        now = self._clock.now_ms()
        every = await self._rows.tellable(now - TOLD_MS)
        bags = {s: list(found) for s, found in groupby(every, key=lambda each: each.site)}
        failed = 0
        # Those that failed come last: to fail may take seconds, each.
        for site in sorted(bags, key=lambda site: (site in self._failed, site)):
            try:
                await self._bag(site, await self._answers(bags[site]))
                self._failed.discard(site)
            except FAULTS as error:
                log.error("floods_not_told", site=site, error=repr(error))
                self._failed.add(site)
                failed += 1
            if failed == FAILED_MOST:
                break
        self._failed &= set(bags)

    async def _answers(self, found: Sequence[Tellable]) -> list[FloodAnswer]:
        answers = list[FloodAnswer]()
        for each in found[:MOST]:
            try:
                answers.append(await self._numbered(each))
            except FAULTS as error:
                log.error(
                    "flood_untellable", site=each.site, incident=each.incident, error=repr(error)
                )
        return answers

    async def _numbered(self, each: Tellable) -> FloodAnswer:
        """As the factory gets it; another number as soon as anything in it is another."""
        plain = answer_of(each)
        digest = hashlib.blake2b(encode(plain), digest_size=16).hexdigest()
        number = each.number
        if digest != each.told:
            async with self._records.transaction() as tx:
                number = await self._rows.told(tx, each, digest)
            self.on_change()
        return msgspec.structs.replace(plain, number=number)

    async def _bag(self, site: str, answers: Sequence[FloodAnswer]) -> None:
        bag = fitting(site, answers)
        payload = packed(bag)
        digest = hashlib.blake2b(payload, digest_size=16).digest()
        if self._put.get(site) == digest:
            return
        if len(bag.answers) < len(answers):
            log.error("floods_left_out", site=site, answers=len(answers) - len(bag.answers))
        node = Node(site, BRAIN)
        signed = SignedFloods(payload=payload, signature=self._sign(payload))
        await self._bus.ensure_bucket(node.directive_bucket)
        await self._bus.bucket_put(node.directive_bucket, KEY, encode(signed))
        self._put[site] = digest
        await self._bus.publish(node.directive, b"")


def answer_of(each: Tellable) -> FloodAnswer:
    """Without its number; what would name another tenant's factory is held back."""
    answer = each.answer
    sound = isfinite(answer.trust)
    like = _like(each) if answer.known and each.ours and sound else None
    known = like is not None
    state: State = "known" if known else "unknown" if answer.settled else "comparing"
    why: Why = "" if state != "unknown" else "too_few" if answer.why == "too_few" else "unlike"
    return FloodAnswer(
        incident=each.incident, number=0, state=state, why=why, at=answer.at,
        expires_at=each.first_at + KEPT_MS, trust=answer.trust if sound else 0.0,
        horizon_min=answer.horizon, remembered=answer.remembered, nearest=like,
    )  # fmt: skip


def _like(each: Tellable) -> Like | None:
    """None also for what no factory would take: it must not keep the others from their bags."""
    try:
        return msgspec.convert(each.answer.nearest, Like) if each.answer.nearest else None
    except msgspec.ValidationError as error:
        log.error("flood_untellable", site=each.site, incident=each.incident, error=str(error))
        return None
