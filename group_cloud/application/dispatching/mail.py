"""Messages of the group to a factory's desk, and what comes back of them.

A message waits, signed, in the factory's bucket until the factory has said that it is in its
database; it is shown there and acknowledged by a person. Called by the web, the ingest and its own
loop; it starts nothing at a factory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from group_cloud.application.ports import Audit, Records, Sign, Transaction
from group_cloud.domain.scope import Scope
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import Rejected, RetryableTransportError
from shared.ids import uuid7
from shared.messages.bodies import MailReceipt
from shared.messages.codec import encode
from shared.messages.mail import KEY, GroupMessage, SignedBag, fitting, packed
from shared.messages.subjects import BRAIN, Node
from shared.telemetry import logger
from shared.web.dto_dispatch import MessageList, MessageOut, MessageRequest

log = logger("mail")
AGAIN_S = 30.0
MOST_WAITING = 200
"""Messages that may wait for one factory."""


class MailRows(Protocol):
    """See `adapters/postgres/mail_store.py`."""

    async def sees(self, scope: Scope, site: str) -> bool:
        """Whether a site is within."""
        ...

    async def count(self, tx: Transaction, /, site: str) -> int:
        """How many wait for a site, which stays locked."""
        ...

    async def add(self, tx: Transaction, /, site: str, made: GroupMessage) -> None:
        """Keep a message."""
        ...

    async def waiting(self, now: int) -> dict[str, list[GroupMessage]]:
        """site -> what was sent and not received."""
        ...

    async def receipt(self, tx: Transaction, /, site: str, told: MailReceipt, at: int) -> bool:
        """What became of one."""
        ...

    async def listed(self, scope: Scope, site: str | None) -> Sequence[Any]:
        """Newest first."""
        ...


class Mail:
    """The group's mail to desks."""

    def __init__(
        self, rows: MailRows, records: Records, audit: Audit, bus: Bus, clock: Clock, sign: Sign
    ) -> None:
        self._rows, self._records, self._audit = rows, records, audit
        self._bus, self._clock, self._sign = bus, clock, sign
        self._wake = asyncio.Event()
        self.on_change: Callable[[], None] = lambda: None

    async def send(self, asked: MessageRequest, actor: str, scope: Scope) -> MessageOut | Rejected:
        """Keep a message; it goes out at once, and again until the factory has it."""
        if not await self._rows.sees(scope, asked.site):
            return Rejected("unknown_site", {"site": asked.site})
        async with self._records.transaction() as tx:
            made = await self.post(tx, asked, actor)
        if not isinstance(made, Rejected):
            self.posted()
        return made

    async def post(
        self, tx: Transaction, asked: MessageRequest, actor: str
    ) -> MessageOut | Rejected:
        """Keep a message in the caller's transaction; `posted` is called when it has committed."""
        now = self._clock.now_ms()
        made = GroupMessage(
            id=uuid7(self._clock), text=asked.text, priority=asked.priority, author=actor, at=now,
            expires_at=now + asked.expires_s * 1000,
        )  # fmt: skip
        if await self._rows.count(tx, asked.site) >= MOST_WAITING:
            return Rejected("mail_full", {"site": asked.site, "most": MOST_WAITING})
        await self._rows.add(tx, asked.site, made)
        await self._audit(
            tx, now, actor, "desk_message", made.id, {"site": asked.site, "text": asked.text}
        )
        return MessageOut(
            id=made.id, site=asked.site, text=made.text, priority=made.priority, author=actor,
            at=now, expires_at=made.expires_at, status="sent",
        )  # fmt: skip

    def posted(self) -> None:
        """Something waits to be sent."""
        self._wake.set()
        self.on_change()

    async def listed(self, scope: Scope, site: str | None = None) -> MessageList:
        """Newest first."""
        rows = await self._rows.listed(scope, site)
        names = MessageOut.model_fields
        return MessageList(messages=[MessageOut(**{n: row[n] for n in names}) for row in rows])

    async def take(self, tx: Transaction, site: str, told: MailReceipt, at: int) -> None:
        """A factory has received a message, or a person there has acknowledged it."""
        if await self._rows.receipt(tx, site, told, at) and told.status != "received":
            await self._audit(
                tx, at, f"site:{site}", "desk_message_acknowledged", told.message,
                {"by": told.actor, "reply": told.reply},
            )  # fmt: skip

    async def run(self) -> None:
        """Put what waits into the factories' buckets, again until it is received."""
        while True:
            try:
                await self.put_all()
            except RetryableTransportError as error:
                log.warning("mail_not_sent", error=str(error))
            try:
                async with asyncio.timeout(AGAIN_S):
                    await self._wake.wait()
            except TimeoutError:
                continue
            finally:
                self._wake.clear()

    async def put_all(self) -> None:
        """One round."""
        for site, messages in (await self._rows.waiting(self._clock.now_ms())).items():
            node = Node(site, BRAIN)
            payload = packed(fitting(site, messages))
            bag = SignedBag(payload=payload, signature=self._sign(payload))
            await self._bus.ensure_bucket(node.directive_bucket)
            await self._bus.bucket_put(node.directive_bucket, KEY, encode(bag))
            await self._bus.publish(node.directive, b"")
