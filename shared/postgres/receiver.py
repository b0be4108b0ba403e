"""Commits received frames exactly once: rows and watermark in one transaction.

Called by the receiving loop; the tier gives `apply`, which writes its own rows on the same
connection. It never acknowledges a message itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace

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


MOST_POSITION = 1 << 62
Key = tuple[str, str, str]


@dataclass(slots=True)
class _Lane:
    """What one transaction does to one lane, whose watermark it has locked."""

    key: Key
    watermark: int
    events: list[Received] = field(default_factory=list)
    raw: dict[int, msgspec.Raw] = field(default_factory=dict)
    digests: list[tuple[int, int, bytes]] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)
    bad: int = 0
    moved: bool = False


class FrameReceiver:
    """The receiving end of all lanes of a tier."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, apply: Apply) -> None:
        self._pool, self._clock, self._apply = pool, clock, apply

    async def receive(self, frame: Frame) -> Receipt:
        """Store what is new, quarantine what conflicts or cannot be read, advance the watermark."""
        return (await self.receive_many([frame]))[0]

    async def receive_many(self, frames: list[Frame]) -> list[Receipt]:
        """The same for several frames in one transaction: all of them, or after a fault none.

        Frames that follow each other in a lane are given to `apply` as one batch.
        """
        now = self._clock.now_ms()
        async with self._pool.acquire() as connection, connection.transaction():
            lanes: dict[Key, _Lane] = {}
            # Always locked in the same order: no two transactions wait for each other in a circle.
            for key in sorted({_key(frame) for frame in frames}):
                first = next(frame for frame in frames if _key(frame) == key)
                lanes[key] = _Lane(key, await self._watermark(connection, first, now))
            judged = [await self._judge(connection, lanes[_key(f)], f, now) for f in frames]
            for lane in lanes.values():
                await self._store(connection, lane, now)
        return [
            replace(receipt, quarantined=receipt.quarantined + refused, applied=count - refused)
            for receipt, count, refused in _receipts(judged, lanes)
        ]

    async def _judge(
        self, connection: Connection, lane: _Lane, frame: Frame, now: int
    ) -> tuple[Frame, Receipt, range]:
        """What of a frame is to be stored: put to its lane's batch."""
        gap = _leading_gap(frame)
        # A position it does not hold itself is no word to be believed.
        if gap is None and lane.watermark + 1 < frame.oldest <= frame.first:
            lost = frame.oldest - 1
            await self._gap(connection, frame, lane.watermark + 1, lost, "receiver_lost_state", now)
            lane.watermark = lost
        verdict = judge(frame, lane.watermark, gap.last if gap else None)
        at = len(lane.events)
        if verdict.waits:
            return frame, Receipt(lane.watermark, waits=True), range(at, at)
        bad = 0
        if verdict.repeated:
            bad += await self._check_repeat(connection, lane, frame, now)
        events: list[Received] = []
        for seq, raw in verdict.fresh:
            try:
                events.append(Received(seq, decode(raw, Event)))
            except ContractError as error:
                await self._quarantine(connection, frame, seq, str(error), bytes(raw), now)
                bad += 1
        await self._store_gaps(connection, frame, events, lane.watermark, now)
        lane.events += events
        lane.raw.update(verdict.fresh)
        lane.bad += bad
        lane.watermark = verdict.watermark
        lane.moved = lane.moved or bool(verdict.fresh or bad)
        if verdict.fresh and frame.lane != HISTORY:
            lane.digests.append((frame.first, frame.last, _digest(frame)))
        receipt = Receipt(verdict.watermark, False, 0, bad)
        return frame, receipt, range(at, at + len(events))

    async def _store(self, connection: Connection, lane: _Lane, now: int) -> None:
        """Let the tier write a lane's rows, then move its watermark."""
        if lane.events:
            batch = Batch(*lane.key, now, lane.events)
            lane.refused = await self._apply_all(connection, lane, batch)
        if lane.moved:
            await connection.execute(
                "UPDATE watermark SET seq = $4, quarantined = quarantined + $5, "
                "updated_at = $6 WHERE source = $1 AND epoch = $2 AND lane = $3",
                *lane.key, lane.watermark, lane.bad + len(lane.refused), now,
            )  # fmt: skip
        if lane.digests:
            first, last, digests = (list(column) for column in zip(*lane.digests, strict=True))
            await connection.execute(
                "INSERT INTO frame_digest (source, epoch, lane, first, last, digest, at) "
                "SELECT $1, $2, $3, f, l, d, $7 FROM unnest($4::bigint[], $5::bigint[], "
                "$6::bytea[]) AS n(f, l, d) ON CONFLICT DO NOTHING",
                *lane.key, first, last, digests, now,
            )  # fmt: skip

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

    async def _apply_all(self, connection: Connection, lane: _Lane, batch: Batch) -> set[int]:
        """Let the tier write its rows; an event that it cannot write is set aside.

        Otherwise one such event would stop its lane for ever. A fault of the database is no fault
        of the event: it travels on. Returns the positions that were set aside.
        """
        try:
            async with connection.transaction():
                await self._apply(connection, batch)
        except _FAULTY_EVENT:
            # Halves, down to the one that is to blame.
            items = batch.events
            if len(items) == 1:
                stored = await self._apply_one(connection, lane, batch, items[0])
                return set() if stored else {items[0].seq}
            half = len(items) // 2
            refused = await self._apply_all(connection, lane, replace(batch, events=items[:half]))
            return refused | await self._apply_all(
                connection, lane, replace(batch, events=items[half:])
            )
        return set()

    async def _apply_one(
        self, connection: Connection, lane: _Lane, batch: Batch, item: Received
    ) -> bool:
        try:
            async with connection.transaction():
                await self._apply(connection, replace(batch, events=[item]))
        except _FAULTY_EVENT as error:
            source, _, name = lane.key
            log.error("event_refused", source=source, lane=name, seq=item.seq, error=repr(error))
            reason = f"cannot be stored: {error}".replace("\x00", "\\0")[:500]
            raw = bytes(lane.raw[item.seq])
            await self._set_aside(connection, lane.key, item.seq, reason, raw, batch.received_at)
            return False
        return True

    async def _is_unknown(self, connection: Connection, frame: Frame) -> bool:
        return not await connection.fetchval(
            "SELECT true FROM source_epoch WHERE source = $1 AND epoch = $2",
            frame.source, frame.epoch,
        )  # fmt: skip

    async def _check_repeat(
        self, connection: Connection, lane: _Lane, frame: Frame, now: int
    ) -> int:
        """A resend must be byte-equal; the same position with other content is quarantined."""
        known = next((each for each in lane.digests if each[0] == frame.first), None)
        if known is None:  # not of this very transaction
            known = await connection.fetchrow(
                "SELECT first, last, digest FROM frame_digest "
                "WHERE source = $1 AND epoch = $2 AND lane = $3 AND first = $4",
                frame.source, frame.epoch, frame.lane, frame.first,
            )  # fmt: skip
        if known is None or known[1] != frame.last or known[2] == _digest(frame):
            return 0
        log.error("position_conflict", source=frame.source, lane=frame.lane, first=frame.first)
        for seq, raw in enumerate(frame.events, start=frame.first):
            await self._quarantine(connection, frame, seq, "position_conflict", bytes(raw), now)
        return len(frame.events)

    async def _quarantine(
        self, connection: Connection, frame: Frame, seq: int, reason: str, data: bytes,
        now: int,
    ) -> None:  # fmt: skip
        await self._set_aside(connection, _key(frame), seq, reason, data, now)

    @staticmethod
    async def _set_aside(
        connection: Connection, key: Key, seq: int, reason: str, data: bytes, now: int
    ) -> None:
        await connection.execute(
            "INSERT INTO quarantined (source, epoch, lane, seq, reason, data, at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7)",
            *key, seq, reason, data, now,
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
            frame.source, frame.epoch, frame.lane, _position(first), _position(last),
            reason.replace("\x00", "\\0")[:500], now,
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


def _key(frame: Frame) -> Key:
    return frame.source, frame.epoch, frame.lane


def _receipts(
    judged: list[tuple[Frame, Receipt, range]], lanes: dict[Key, _Lane]
) -> Iterator[tuple[Receipt, int, int]]:
    """(receipt, its events, how many of them were refused)."""
    for frame, receipt, part in judged:
        lane = lanes[_key(frame)]
        events = lane.events[part.start : part.stop] if lane.refused else ()
        yield receipt, len(part), sum(item.seq in lane.refused for item in events)


def _digest(frame: Frame) -> bytes:
    whole = b"".join(frame.events)  # type: ignore[arg-type]  # Raw is a buffer
    return hashlib.blake2b(whole, digest_size=16).digest()


def _position(number: int) -> int:
    """A position that somebody names, as the database can hold it: no such word stops a lane."""
    return min(max(number, 0), MOST_POSITION)


def _leading_gap(frame: Frame) -> GapRecord | None:
    """The gap record that begins this frame, if one does (it stands at its last position)."""
    try:
        body = decode(bytes(frame.events[0]), Event).body if frame.events else None
    except (ContractError, msgspec.DecodeError):
        return None
    return body if isinstance(body, GapRecord) and body.last == frame.first else None
