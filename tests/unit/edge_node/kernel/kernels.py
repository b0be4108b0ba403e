"""Both kernels, and batches for them."""

from __future__ import annotations

import os
import struct

from edge_node.kernel import PureKernel, Rules

COMPILED: type[PureKernel] | None = None
try:
    from edge_node.kernel import _quiet

    COMPILED = _quiet.Kernel
except ImportError:
    if os.environ.get("ANDON_REQUIRE_KERNEL") == "1":
        raise

KERNELS = [PureKernel] + ([COMPILED] if COMPILED else [])
Row = tuple[int, int, float, int]


def columns(rows: list[Row]) -> tuple[bytes, bytes, bytes, bytes]:
    """Rows of (tag, time, value, quality) as the wire carries them."""
    return (
        struct.pack(f"<{len(rows)}i", *(r[0] for r in rows)),
        struct.pack(f"<{len(rows)}q", *(r[1] for r in rows)),
        struct.pack(f"<{len(rows)}d", *(r[2] for r in rows)),
        bytes(r[3] for r in rows),
    )


def rules_of(*rows: tuple[float, ...]) -> Rules:
    """Rules of (tag, kind, limit, deadband, on, off, order)."""
    rules = Rules()
    for tag, kind, *numbers in rows:
        limit, deadband, on_ms, off_ms, order = [*numbers, 0, 0, 0, 0, 0][:5]
        rules.add(int(tag), int(kind), limit, deadband, int(on_ms), int(off_ms), int(order))
    return rules


def feed(kernel: PureKernel, rows: list[Row], now: int, offset: int = 0) -> list[object]:
    """Take a whole batch as the engine does; all changes, and where the scan stopped."""
    seen: list[object] = []
    done = 0
    while done < len(rows):
        done = kernel.scan(*columns(rows), done, 0, len(kernel), offset, now)
        seen += [done, *kernel.take()]
    return seen


def state(kernel: PureKernel) -> list[object]:
    """All that can be read back; repr, because NaN differs from itself."""
    tags = range(len(kernel))
    return [
        kernel.next_due,
        *(
            (repr(kernel.value(t)), kernel.time(t), kernel.quality(t), kernel.heard(t),
             kernel.band(t))
            for t in tags
        ),
    ]  # fmt: skip
