"""The factory's side of models of the group: reads the bag, verifies, keeps, answers.

Woken by the group's notice, at start and every minute; the leading brain alone reads. A push is
settled once, by its number, whatever is restarted; a lower number than the highest settled one is
refused. What became of it goes up in the same commit. It judges no window.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from factory_brain.application.ports import Audit, Transaction
from factory_brain.application.shadow.ports import Group
from factory_brain.application.warning import off_loop
from factory_brain.application.warning.ports import Rows, Settled
from factory_brain.domain.warning import Plant
from shared.alarm.warning_checks import model_fault
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import ContractError, Rejected, RetryableTransportError
from shared.messages.codec import decode
from shared.messages.subjects import BRAIN, CLOUD_DOMAIN, Node
from shared.messages.warning import (
    KEY,
    MAX_BAG_BYTES,
    MOST,
    SCHEMA,
    SignedWarning,
    WarningBag,
    WarningPush,
    WarningReport,
    read,
)
from shared.security import verifies
from shared.telemetry import logger

log = logger("warning")
EVERY_S, AFTER_FAILURE_S = 60.0, 10.0
REMEMBERED = 64
"""Refused bytes that are remembered so as to be told once."""
LONGEST_MS = 370 * 86_400_000
"""A model that is to hold longer is refused: plants change."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose pushes are taken, and for which plants."""

    site: str
    release: Ed25519PublicKey
    plants: Callable[[], list[Plant]]


class WarningModels:
    """Models of the group at one factory."""

    def __init__(
        self, trust: Trust, bus: Bus, clock: Clock, rows: Rows, group: Group, audit: Audit
    ) -> None:
        self._trust, self._bus, self._clock = trust, bus, clock
        self._rows, self._group, self._audit = rows, group, audit
        self._node = Node(trust.site, BRAIN)
        self._wake = asyncio.Event()
        self._told: OrderedDict[bytes, None] = OrderedDict()
        self.on_change: list[Callable[[], None]] = []

    async def listen(self) -> None:
        """Be woken by the group's notices."""

        async def on_notice(_: str, __: bytes) -> bytes | None:
            self._wake.set()
            return None

        await self._bus.subscribe(self._node.directive, on_notice)

    async def run(self) -> None:
        """Read the bag for ever."""
        while True:
            self._wake.clear()
            wait = EVERY_S
            try:
                await self.read()
            except RetryableTransportError as error:
                wait = AFTER_FAILURE_S
                log.info("warning_models_unreachable", error=str(error))
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def read(self) -> None:
        """Settle what the bag holds, the lowest number first."""
        data = await self._bus.bucket_get(self._node.directive_bucket, KEY, CLOUD_DOMAIN)
        if data is None:
            return
        try:
            if len(data) > MAX_BAG_BYTES:
                raise ContractError(f"a bag of {len(data)} bytes")
            bag = decode(data, WarningBag)
        except ContractError as error:
            await self._not_genuine(data, Rejected("unreadable", {"error": str(error)[:200]}))
            return
        for signed in bag.pushes[:MOST]:
            await self.settle(signed)

    async def settle(self, signed: SignedWarning) -> Settled | Rejected:
        """Take one push or refuse it; a repetition changes nothing."""
        try:
            if not verifies(self._trust.release, signed.signature, signed.payload):
                raise ContractError("its signature is not the group's")
            push = read(signed.payload)
        except ContractError as error:
            why = Rejected("not_genuine", {"error": str(error)[:200]})
            await self._not_genuine(signed.payload + signed.signature, why)
            return why
        if push.schema != SCHEMA or push.site != self._trust.site:
            why = Rejected("other_site", {"site": push.site[:64], "schema": push.schema[:64]})
            await self._not_genuine(signed.payload + signed.signature, why)
            return why
        # Before the transaction: the check loads numpy when the first model comes.
        refusal = await self._unfit(push)
        async with self._rows.transaction() as tx:
            await self._group.fence(tx)
            highest = await self._rows.highest(tx)
            known = await self._rows.settled(tx, push.counter)
            if known is not None and known.push == push.id:
                return known
            if push.counter <= highest:
                return await self._lower(tx, push, highest)
            done = _done(push, refusal, signed.payload, self._clock.now_ms())
            await self._keep(tx, push, done)
        log.info("warning_push_settled", push=push.id, status=done.status, code=done.code)
        for told in self.on_change:
            told()
        return done

    async def _keep(self, tx: Transaction, push: WarningPush, done: Settled) -> None:
        await self._rows.settle(tx, done)
        await self._audit(
            tx, done.at, f"group:{push.approved_by}"[:200], f"warning_{push.kind}_{done.status}",
            push.id,
            {"plant": push.plant, "counter": push.counter, "code": done.code,
             "params": done.params, "reason": push.reason[:500], "expires_at": push.expires_at},
        )  # fmt: skip
        await self._group.say(tx, "warning_report", self._report(push, done.status, done))

    async def _lower(self, tx: Transaction, push: WarningPush, highest: int) -> Rejected:
        """A number that is over: told once, as nobody re-reads what was settled."""
        why = Rejected("old_counter", {"counter": push.counter, "highest": highest})
        if self._first_time(push.id.encode()):
            now = self._clock.now_ms()
            await self._audit(tx, now, "group", "warning_push_refused", push.id,
                              {"code": why.code, **why.params})  # fmt: skip
            refused = Settled(push.counter, push.id, push.plant, push.kind, "refused", why.code,
                              why.params, at=now)  # fmt: skip
            await self._group.say(
                tx, "warning_report", self._report(push, "refused", refused)
            )  # fmt: skip
        return why

    async def _unfit(self, push: WarningPush) -> Rejected | None:
        """Why a genuine push cannot be taken."""
        now = self._clock.now_ms()
        if not now < push.expires_at <= now + LONGEST_MS:
            return Rejected("expired", {"expires_at": push.expires_at})
        if push.kind == "withdraw":
            return None
        plant = next((p for p in self._trust.plants() if p.key == push.plant), None)
        if plant is None or list(plant.tags) != push.tags:
            return Rejected("unknown_plant", {"plant": push.plant[:64]})
        try:
            fault = model_fault(push.model, push.tags, push.plant)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            fault = f"not a model: {error!r}"[:200]
        if fault:
            return Rejected("model_unfit", {"why": fault})
        if not await off_loop.usable(push.model):
            return Rejected("model_unfit", {"why": "its coefficients do not fit what runs here"})
        return None

    async def _not_genuine(self, data: bytes, why: Rejected) -> None:
        if not self._first_time(data):
            return
        log.error("warning_push_not_genuine", code=why.code, **why.params)
        now = self._clock.now_ms()
        async with self._rows.transaction() as tx:
            await self._audit(
                tx, now, "unknown", "warning_push_refused", self._trust.site,
                {"code": why.code, **why.params},
            )  # fmt: skip
            await self._group.say(
                tx, "warning_report",
                WarningReport(
                    site=self._trust.site, push="", counter=0, plant="", status="refused",
                    code=why.code, params=why.params, at=now,
                ),
            )  # fmt: skip

    def _report(self, push: WarningPush, status: str, done: Settled) -> WarningReport:
        return WarningReport(
            site=self._trust.site, push=push.id, counter=push.counter, plant=push.plant,
            status=status, code=done.code, params=done.params, at=done.at,
        )  # fmt: skip

    def _first_time(self, data: bytes) -> bool:
        key = hashlib.blake2b(data, digest_size=16).digest()
        new = key not in self._told
        self._told[key] = None
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return new


def _done(push: WarningPush, refusal: Rejected | None, payload: bytes, now: int) -> Settled:
    if refusal is not None:
        return Settled(
            push.counter, push.id, push.plant, push.kind, "refused", refusal.code, refusal.params,
            at=now,
        )  # fmt: skip
    return Settled(
        push.counter, push.id, push.plant, push.kind, "applied", payload=payload,
        expires_at=push.expires_at, at=now,
    )  # fmt: skip
