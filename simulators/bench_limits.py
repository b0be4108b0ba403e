"""What the machine itself can do: the limits that stand beside the figures of `andon bench resume`.

Measured in the same run, on the same disk, database and broker. Changes nothing of the product's.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from shared.bus.nats_bus import NatsBus
from shared.bus.port import StreamSpec

FRAME_ROWS = 500
FRAME_BYTES = 200_000
SPAN_S = 2.0
COLUMNS = (
    "source", "epoch", "lane", "seq", "id", "type", "time", "received_at", "late", "alarm",
    "occurrence", "body",
)  # fmt: skip


def disk(folder: Path) -> dict[str, int]:
    """Synchronous writes a second, of one page and of one frame."""
    result: dict[str, int] = {}
    for name, size in (("fsync_4k_per_s", 4096), ("fsync_frame_per_s", FRAME_BYTES)):
        path, data, count = folder / "bench-disk", os.urandom(size), 0
        with path.open("wb", buffering=0) as file:
            began = time.monotonic()
            while time.monotonic() - began < SPAN_S:
                file.write(data)
                os.fsync(file.fileno())
                count += 1
            result[name] = round(count / (time.monotonic() - began))
        path.unlink()
    return result


async def database(pool: Any, source: str) -> dict[str, int]:
    """Rows a second of the same events into the same kind of table: COPY and INSERT by frames."""
    wanted = ", ".join(COLUMNS)
    rows = [
        tuple(row)
        for row in await pool.fetch(
            f"SELECT {wanted} FROM event WHERE source = $1 ORDER BY epoch, lane, seq LIMIT 20000",
            source,
        )
    ]
    await pool.execute("CREATE TABLE bench_event (LIKE event INCLUDING ALL)")
    frames = [rows[at : at + FRAME_ROWS] for at in range(0, len(rows), FRAME_ROWS)]
    try:
        async with pool.acquire() as connection:
            began = time.monotonic()
            for frame in frames:
                await connection.copy_records_to_table(
                    "bench_event", records=frame, columns=COLUMNS
                )
            copied = len(rows) / (time.monotonic() - began)
            await connection.execute("TRUNCATE bench_event")
            marks = ", ".join(f"${n}" for n in range(1, len(COLUMNS) + 1))
            sql = f"INSERT INTO bench_event ({wanted}) VALUES ({marks})"
            some = frames[:10]
            began = time.monotonic()
            for frame in some:
                async with connection.transaction():
                    await connection.executemany(sql, frame)
            inserted = sum(map(len, some)) / (time.monotonic() - began)
    finally:
        await pool.execute("DROP TABLE bench_event")
    return {"copy_rows_per_s": round(copied), "insert_rows_per_s": round(inserted)}


async def broker(url: str, password: str) -> dict[str, int]:
    """Frames a second that the broker stores with a synchronous disk, one after the other."""
    bus = await NatsBus.connect(url, user="app", password=password, name="bench", inbox="_INBOX")
    try:
        await bus.ensure_stream(StreamSpec("BENCH", ("bench.frames",), 1 << 30, 600))
        data, count, began = os.urandom(FRAME_BYTES), 0, time.monotonic()
        while time.monotonic() - began < SPAN_S:
            await bus.publish_durable("bench.frames", data, f"b{count}")
            count += 1
        return {"broker_frames_per_s": round(count / (time.monotonic() - began))}
    finally:
        await bus.close()
