"""Signs the head of the audit chain from time to time, and looks at what was added since.

Run as a task of the brain and of the cloud. The anchor is kept beside the log and goes up to the
group with the factory's summary, so that a chain written anew as a whole is found too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.clock import Clock
from shared.postgres.audit_log import anchor_from
from shared.postgres.audit_verify import Anchor, Report, anchor_payload, verify_chain
from shared.security import verifies
from shared.telemetry import logger

log = logger("audit")
EVERY_S = 60.0
OnReport = Callable[[Report], Awaitable[None]]


class AuditAnchors:
    """Makes the anchors of one tier's audit log."""

    def __init__(
        self, pool: asyncpg.Pool, clock: Clock, key: Ed25519PrivateKey, *, tier: str, site: str
    ) -> None:
        self._pool, self._clock, self._key = pool, clock, key
        self._tier, self._site = tier, site
        self._upto: tuple[int, str] = (0, "")
        self.newest: Anchor | None = None
        self.on_report: list[OnReport] = []

    async def run(self) -> None:
        """Anchor for ever what was added."""
        while True:
            await self.once()
            await asyncio.sleep(EVERY_S)

    async def once(self) -> Anchor | None:
        """Look at what is new and sign the head when it moved; a broken chain is not signed."""
        if self.newest is None:
            await self._recall()
        async with self._pool.acquire() as connection:
            report = await verify_chain(connection, after=self._upto)
            if report.holds and self._upto[0]:
                head = await connection.fetchval(
                    "SELECT hash FROM audit WHERE id = $1", self._upto[0]
                )
                if head != self._upto[1]:
                    report.fault("removed", self._upto[0], self._upto[0], "the head seen is gone")
        for listener in self.on_report:
            await listener(report)
        if not report.holds:
            log.error("audit_broken", faults=[fault.says for fault in report.faults[:5]])
            return None
        if report.last > self._upto[0]:
            self._upto = (report.last, report.last_hash)
        if report.last and (self.newest is None or report.last > self.newest.id):
            self.newest = await self._sign(report.last, report.last_hash)
        return self.newest

    async def _recall(self) -> None:
        """Go on from the newest anchor of an earlier run, if it is our own."""
        row = await self._pool.fetchrow("SELECT * FROM audit_anchor ORDER BY id DESC LIMIT 1")
        if row is None:
            return
        found = anchor_from(row)
        if verifies(self._key.public_key(), found.signature, found.payload):
            self.newest, self._upto = found, (found.id, found.hash)
        else:
            log.error("audit_anchor_forged", entry=found.id)

    async def _sign(self, entry: int, entry_hash: str) -> Anchor:
        now = self._clock.now_ms()
        payload = anchor_payload(self._tier, self._site, entry, entry_hash, now)
        anchor = Anchor(self._tier, self._site, entry, entry_hash, now, self._key.sign(payload))
        await self._pool.execute(
            "INSERT INTO audit_anchor (id, hash, tier, site, at, signature) "
            "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
            entry, entry_hash, self._tier, self._site, now, anchor.signature,
        )  # fmt: skip
        return anchor
