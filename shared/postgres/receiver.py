"""Commits received frames exactly once: rows and watermark in one transaction.

Called by the receiving loop; the tier gives `apply`, which writes its own rows on the same
connection. It never acknowledges a message itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import asyncpg
import msgspec

from shared.clock import Clock
from shared.errors import ContractError
from shared.messages.bodies import GapRecord
from shared.messages.codec import decode
from shared.messages.control import Hello, Welcome
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import HISTORY
from shared.outbox.receiving import Batch, Receipt, Received
from shared.outbox.watermark import judge
from shared.postgres.pool import Connection
from shared.telemetry import logger

log = logger("receiver")


Apply = Callable[[Connection, Batch], Awaitable[None]]
_FAULTY_EVENT = (
    asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ContractError, ValueError,
    TypeError, LookupError, ArithmeticError,
)  # fmt: skip
"""What the content of an event can be to blame for."""


class FrameReceiver:
    """The receiving end of all lanes of a tier."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, apply: Apply) -> None:
        self._pool, self._clock, self._apply = pool, clock, apply

    async def receive(self, frame: Frame) -> Receipt:
        """Store what is new, quarantine what conflicts or cannot be read, advance the watermark."""
        now = self._clock.now_ms()
        key = (frame.source, frame.epoch, frame.lane)
        async with self._pool.acquire() as connection, connection.transaction():
            watermark = await self._watermark(connection, frame, now)
            gap = _leading_gap(frame)
            if gap is None and frame.oldest > watermark + 1:
                lost = frame.oldest - 1
                await self._gap(connection, frame, watermark + 1, lost, "receiver_lost_state", now)
                watermark = lost
            verdict = judge(frame, watermark, gap.last if gap else None)
            if verdict.waits:
                return Receipt(watermark, waits=True)
            bad = 0
            if verdict.repeated:
                bad += await self._check_repeat(connection, frame, now)
            events: list[Received] = []
            for seq, raw in verdict.fresh:
                try:
                    events.append(Received(seq, decode(bytes(raw), Event)))
                except ContractError as error:
                    await self._quarantine(connection, frame, seq, str(error), bytes(raw), now)
                    bad += 1
            await self._store_gaps(connection, frame, events, watermark, now)
            refused = 0
            if events:
                refused = await self._apply_all(connection, frame, Batch(*key, now, events))
                bad += refused
            if verdict.fresh or bad:
                await connection.execute(
                    "UPDATE watermark SET seq = $4, quarantined = quarantined + $5, "
                    "updated_at = $6 WHERE source = $1 AND epoch = $2 AND lane = $3",
                    *key, verdict.watermark, bad, now,
                )  # fmt: skip
            if verdict.fresh and frame.lane != HISTORY:
                await connection.execute(
                    "INSERT INTO frame_digest (source, epoch, lane, first, last, digest, at) "
                    "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                    *key, frame.first, frame.last, _digest(frame), now,
                )  # fmt: skip
            return Receipt(verdict.watermark, False, len(events) - refused, bad)

    async def _watermark(self, connection: Connection, frame: Frame, now: int) -> int:
        key = (frame.source, frame.epoch, frame.lane)
        row = await connection.fetchrow(
            "SELECT seq FROM watermark WHERE source = $1 AND epoch = $2 AND lane = $3 FOR UPDATE",
            *key,
        )
        if row is not None:
            return row["seq"]
        # First frame of a lane. If it does not begin at 1, this database has lost what it once
        # committed (a restore): the hole is recorded and shown, not waited for.
        start = 0
        gap = _leading_gap(frame)
        if frame.first > 1 and gap is None and await self._is_unknown(connection, frame):
            start = frame.first - 1
            await self._gap(connection, frame, 1, start, "receiver_lost_state", now)
        await connection.execute(
            "INSERT INTO source_epoch (source, epoch, boot, registered_at) "
            "VALUES ($1, $2, '', $3) ON CONFLICT DO NOTHING",
            frame.source, frame.epoch, now,
        )  # fmt: skip
        row = await connection.fetchrow(
            "INSERT INTO watermark (source, epoch, lane, seq, quarantined, updated_at) "
            "VALUES ($1, $2, $3, $4, 0, $5) "
            "ON CONFLICT (source, epoch, lane) DO UPDATE SET updated_at = $5 RETURNING seq",
            *key, start, now,
        )  # fmt: skip
        assert row is not None
        return row["seq"]

    async def _apply_all(self, connection: Connection, frame: Frame, batch: Batch) -> int:
        """Let the tier write its rows; an event that it cannot write is set aside.

        Otherwise one such event would stop its lane for ever. A fault of the database is no fault
        of the event: it travels on. Returns how many were set aside.
        """
        try:
            async with connection.transaction():
                await self._apply(connection, batch)
        except _FAULTY_EVENT:
            bad = 0
            for item in batch.events:
                bad += await self._apply_one(connection, frame, batch, item)
            return bad
        return 0

    async def _apply_one(
        self, connection: Connection, frame: Frame, batch: Batch, item: Received
    ) -> int:
        try:
            async with connection.transaction():
                await self._apply(connection, replace(batch, events=[item]))
        except _FAULTY_EVENT as error:
            log.error(
                "event_refused", source=frame.source, lane=frame.lane, seq=item.seq,
                error=repr(error),
            )  # fmt: skip
            raw = bytes(frame.events[item.seq - frame.first])
            reason = f"cannot be stored: {error}".replace("\x00", "\\0")[:500]
            await self._quarantine(connection, frame, item.seq, reason, raw, batch.received_at)
            return 1
        return 0

    async def _is_unknown(self, connection: Connection, frame: Frame) -> bool:
        return not await connection.fetchval(
            "SELECT true FROM source_epoch WHERE source = $1 AND epoch = $2",
            frame.source, frame.epoch,
        )  # fmt: skip

    async def _check_repeat(self, connection: Connection, frame: Frame, now: int) -> int:
        """A resend must be byte-equal; the same position with other content is quarantined."""
        row = await connection.fetchrow(
            "SELECT last, digest FROM frame_digest "
            "WHERE source = $1 AND epoch = $2 AND lane = $3 AND first = $4",
            frame.source, frame.epoch, frame.lane, frame.first,
        )  # fmt: skip
        if row is None or row["last"] != frame.last or row["digest"] == _digest(frame):
            return 0
        log.error("position_conflict", source=frame.source, lane=frame.lane, first=frame.first)
        for seq, raw in enumerate(frame.events, start=frame.first):
            await self._quarantine(connection, frame, seq, "position_conflict", bytes(raw), now)
        return len(frame.events)

    async def _quarantine(
        self, connection: Connection, frame: Frame, seq: int, reason: str, data: bytes,
        now: int,
    ) -> None:  # fmt: skip
        await connection.execute(
            "INSERT INTO quarantined (source, epoch, lane, seq, reason, data, at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7)",
            frame.source, frame.epoch, frame.lane, seq, reason, data, now,
        )  # fmt: skip

    async def _store_gaps(
        self,
        connection: Connection,
        frame: Frame,
        events: list[Received],
        watermark: int,
        now: int,
    ) -> None:
        for item in events:
            body = item.event.body
            if isinstance(body, GapRecord):
                # What the sender dropped may include the record of an earlier gap.
                first = body.first
                if item.seq == frame.first and watermark + 1 < first:
                    first = watermark + 1
                await self._gap(connection, frame, first, body.last, body.reason, now)

    async def _gap(
        self, connection: Connection, frame: Frame, first: int, last: int, reason: str,
        now: int,
    ) -> None:  # fmt: skip
        await connection.execute(
            "INSERT INTO gap (source, epoch, lane, first, last, reason, at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            frame.source, frame.epoch, frame.lane, first, last, reason, now,
        )  # fmt: skip

    async def hello(self, hello: Hello) -> Welcome:
        """Register a new epoch; an epoch already registered by another boot is refused."""
        now = self._clock.now_ms()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO source_epoch (source, epoch, boot, registered_at) "
                "VALUES ($1, $2, $3, $4) ON CONFLICT (source, epoch) "
                "DO UPDATE SET boot = $3 WHERE source_epoch.boot = ''",
                hello.source, hello.epoch, hello.boot, now,
            )  # fmt: skip
            boot = await connection.fetchval(
                "SELECT boot FROM source_epoch WHERE source = $1 AND epoch = $2",
                hello.source, hello.epoch,
            )  # fmt: skip
            if boot != hello.boot:
                log.error("epoch_reused", source=hello.source, epoch=hello.epoch)
                return Welcome(accepted=False, code="epoch_reused", at=now)
            return Welcome(
                accepted=True,
                at=now,
                watermarks=await self._of(connection, hello.source, [hello.epoch, *hello.held]),
            )

    async def watermarks(self, source: str) -> tuple[dict[str, int], dict[str, int]]:
        """(watermarks, quarantined counts) of a source's newest epochs, by `epoch/lane`."""
        rows = await self._pool.fetch(
            "SELECT epoch, lane, seq, quarantined FROM watermark WHERE source = $1 "
            "ORDER BY updated_at DESC LIMIT 50",
            source,
        )
        return (
            {f"{r['epoch']}/{r['lane']}": r["seq"] for r in rows},
            {f"{r['epoch']}/{r['lane']}": r["quarantined"] for r in rows if r["quarantined"]},
        )

    async def _of(self, connection: Connection, source: str, epochs: list[str]) -> dict[str, int]:
        rows = await connection.fetch(
            "SELECT epoch, lane, seq FROM watermark WHERE source = $1 AND epoch = ANY($2)",
            source, epochs,
        )  # fmt: skip
        return {f"{r['epoch']}/{r['lane']}": r["seq"] for r in rows}


def _digest(frame: Frame) -> bytes:
    state = hashlib.blake2b(digest_size=16)
    for raw in frame.events:
        state.update(bytes(raw))
    return state.digest()


def _leading_gap(frame: Frame) -> GapRecord | None:
    """The gap record that begins this frame, if one does (it stands at its last position)."""
    try:
        body = decode(bytes(frame.events[0]), Event).body if frame.events else None
    except (ContractError, msgspec.DecodeError):
        return None
    return body if isinstance(body, GapRecord) and body.last == frame.first else None
