"""Messages of the group to this factory's desk: verified, kept once, shown, acknowledged.

Woken by the group's notice, at start and every minute. A message is words for people: nothing in
the plant follows from it. What became of it goes up in the same commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from factory_brain.application.ports import Audit, Transaction
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import ContractError, Rejected, RetryableTransportError
from shared.messages.bodies import Body, MailReceipt
from shared.messages.codec import decode
from shared.messages.mail import KEY, GroupMessage, SignedBag, unpacked
from shared.messages.subjects import BRAIN, CLOUD_DOMAIN, Node
from shared.security import verifies
from shared.telemetry import logger
from shared.web.dto_dispatch import MessageList, MessageOut

log = logger("group_mail")
EVERY_S, AFTER_FAILURE_S = 60.0, 10.0
KEPT_MS = 400 * 86_400_000
TAKEN_MS = 366 * 86_400_000
"""An older message may have been here and been forgotten: it is not taken as new."""
Say = Callable[[Transaction, str, Body], Awaitable[None]]


class MailRows(Protocol):
    """See `adapters/postgres/mail_store.py`."""

    async def keep(
        self, tx: Transaction, /, messages: Sequence[GroupMessage], at: int
    ) -> list[str]:
        """Keep those that are new; returns which."""
        ...

    async def acknowledge(
        self, tx: Transaction, /, message: str, actor: str, reply: str, at: int
    ) -> bool | None:
        """Whether it was not acknowledged before; None: there is none such."""
        ...

    async def listed(self, now: int) -> Sequence[Any]:
        """Those that wait first."""
        ...

    async def forget(self, before: int) -> None:
        """Delete what is older."""
        ...


class GroupMail:
    """The desk's letter box."""

    def __init__(
        self, site: str, bus: Bus, clock: Clock, release: Ed25519PublicKey, rows: MailRows,
        transaction: Callable[[], AbstractAsyncContextManager[Transaction]], say: Say, audit: Audit,
    ) -> None:  # fmt: skip
        self._site, self._bus, self._clock, self._release = site, bus, clock, release
        self._rows, self._transaction, self._say, self._audit = rows, transaction, say, audit
        self._node = Node(site, BRAIN)
        self._wake = asyncio.Event()
        self._refused = b""
        self.on_change: list[Callable[[], Awaitable[None]]] = []

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
                log.info("mail_unreachable", error=str(error))
            await self._rows.forget(self._clock.now_ms() - KEPT_MS)
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def read(self) -> list[str]:
        """Take what the bag holds; returns the ids of what was new."""
        data = await self._bus.bucket_get(self._node.directive_bucket, KEY, CLOUD_DOMAIN)
        if data is None:
            return []
        try:
            signed = decode(data, SignedBag)
            if not verifies(self._release, signed.signature, signed.payload):
                raise ContractError("its signature is not the group's")
            bag = unpacked(signed.payload, self._site)
        except ContractError as error:
            if data != self._refused:
                self._refused = data
                log.error("mail_refused", error=str(error))
            return []
        now = self._clock.now_ms()
        fresh = [m for m in bag.messages if m.expires_at > now and m.at > now - TAKEN_MS]
        async with self._transaction() as tx:
            new = await self._rows.keep(tx, fresh, now)
            for message in new:
                receipt = MailReceipt(site=self._site, message=message, status="received", at=now)
                await self._say(tx, "mail_receipt", receipt)
        if new:
            await self._changed()
        return new

    async def acknowledge(self, message: str, actor: str, reply: str) -> MessageList | Rejected:
        """A person has read it, and may answer; a second one changes nothing."""
        now = self._clock.now_ms()
        async with self._transaction() as tx:
            done = await self._rows.acknowledge(tx, message, actor, reply, now)
            if done is None:
                return Rejected("unknown_message", {"message": message})
            if done:
                await self._audit(
                    tx, now, actor, "group_message_acknowledged", message, {"reply": reply}
                )
                receipt = MailReceipt(
                    site=self._site, message=message, status="acknowledged", actor=actor,
                    reply=reply, at=now,
                )  # fmt: skip
                await self._say(tx, "mail_receipt", receipt)
        if done:
            await self._changed()
        return await self.listed()

    async def listed(self) -> MessageList:
        """What waits for somebody first."""
        rows = await self._rows.listed(self._clock.now_ms())
        return MessageList(messages=[self._shown(row) for row in rows])

    def _shown(self, row: Any) -> MessageOut:
        status = "acknowledged" if row["acked_at"] is not None else "received"
        names = MessageOut.model_fields.keys() - {"site", "status"}
        return MessageOut(**{name: row[name] for name in names}, site=self._site, status=status)

    async def _changed(self) -> None:
        for told in self.on_change:
            await told()
