"""What the group says this factory's floods resemble: verified, kept, shown in the incident.

Woken by the group's notice, at start and every minute. It is advice for people: it starts nothing
and sorts nothing. Of each incident the answer with the highest number holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from factory_brain.application.ports import Transaction
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import ContractError, RetryableTransportError
from shared.messages.codec import decode
from shared.messages.floods import KEY, FloodAnswer, Like, SignedFloods, unpacked
from shared.messages.subjects import BRAIN, CLOUD_DOMAIN, Node
from shared.security import verifies
from shared.telemetry import logger
from shared.web.dto_base import Text
from shared.web.dto_floods import (
    FactoryLikeness,
    FactoryLikenessList,
    FloodDone,
    FloodLike,
    FloodLikeness,
)

log = logger("flood_likeness")
EVERY_S, AFTER_FAILURE_S = 60.0, 10.0


class LikenessRows(Protocol):
    """See `adapters/postgres/likeness_store.py`."""

    async def keep(
        self, tx: Transaction, /, answers: Sequence[FloodAnswer], at: int
    ) -> list[FloodAnswer]:
        """Keep what is newer than what is held, of incidents that are known; returns which."""
        ...

    async def of(self, incident: str, now: int) -> FloodAnswer | None:
        """What holds for an incident and has not expired."""
        ...

    async def forget(self, now: int) -> None:
        """Delete what has expired."""
        ...


class FloodLikenesses:
    """The group's answers about this factory's floods."""

    def __init__(
        self, site: str, bus: Bus, clock: Clock, release: Ed25519PublicKey, rows: LikenessRows,
        transaction: Callable[[], AbstractAsyncContextManager[Transaction]],
    ) -> None:  # fmt: skip
        self._site, self._bus, self._clock, self._release = site, bus, clock, release
        self._rows, self._transaction = rows, transaction
        self._node = Node(site, BRAIN)
        self._wake = asyncio.Event()
        self._refused = b""
        self.on_change: list[Callable[[FactoryLikenessList], Awaitable[None]]] = []

    async def listen(self) -> None:
        """Be woken by the group's notices."""

        async def on_notice(_: str, __: bytes) -> bytes | None:
            self._wake.set()
            return None

        await self._bus.subscribe(self._node.directive, on_notice)

    async def run(self) -> None:
        """Read the bag for ever; the leading brain alone."""
        while True:
            self._wake.clear()
            wait = EVERY_S
            try:
                await self.read()
            except RetryableTransportError as error:
                wait = AFTER_FAILURE_S
                log.info("likeness_unreachable", error=str(error))
            await self._rows.forget(self._clock.now_ms())
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def read(self) -> list[str]:
        """Take what the bag holds; returns the incidents of which it said something new."""
        data = await self._bus.bucket_get(self._node.directive_bucket, KEY, CLOUD_DOMAIN)
        if data is None:
            return []
        try:
            signed = decode(data, SignedFloods)
            if not verifies(self._release, signed.signature, signed.payload):
                raise ContractError("its signature is not the group's")
            bag = unpacked(signed.payload, self._site)
        except ContractError as error:
            if data != self._refused:
                self._refused = data
                log.error("likeness_refused", error=str(error))
            return []
        now = self._clock.now_ms()
        fresh = [each for each in bag.answers if each.expires_at > now]
        async with self._transaction() as tx:
            new = await self._rows.keep(tx, fresh, now)
        await self._tell(new)
        return [each.incident for each in new]

    async def changed(self, incident: str) -> None:
        """Another brain has taken an answer: this one's consoles are told of it as well."""
        found = await self._rows.of(incident, self._clock.now_ms())
        await self._tell([found] if found else [])

    async def _tell(self, new: Sequence[FloodAnswer]) -> None:
        if new:
            items = [FactoryLikeness(incident=e.incident, likeness=shown(e)) for e in new]
            for told in self.on_change:
                await told(FactoryLikenessList(items=items))

    async def of(self, incident: str) -> FloodLikeness | None:
        """What an incident is told to be like."""
        found = await self._rows.of(incident, self._clock.now_ms())
        return shown(found) if found else None


def shown(answer: FloodAnswer) -> FloodLikeness:
    """As the console gets it."""
    return FloodLikeness(
        state=answer.state, why=answer.why, trust=answer.trust, horizon_min=answer.horizon_min,
        at=answer.at, remembered=answer.remembered,
        nearest=_like(answer.nearest) if answer.nearest else None,
    )  # fmt: skip


def _like(like: Like) -> FloodLike:
    return FloodLike(
        site=like.site, site_name=_text(like.site_names), incident=like.incident, at=like.at,
        cause=like.cause, cause_name=_text(like.cause_names) if like.cause_names else None,
        done=[FloodDone(playbook=each.playbook, ok=each.ok) for each in like.done],
        words=like.words, took_min=like.took_min, similarity=like.similarity,
    )  # fmt: skip


def _text(names: dict[str, str]) -> Text:
    return Text(zh=names.get("zh", ""), en=names.get("en", ""))
