"""Looking through columns of samples: one tag's rows, and a thinner curve of them.

Called by the edge's history when somebody looks at a trend; never by the live loop. The pure forms
are the contract and the fallback of the compiled ones.
"""

from __future__ import annotations

import math
import os
from array import array
from typing import TYPE_CHECKING

__all__ = ["Curve", "pick", "pure_pick", "pure_thin", "thin"]
Curve = tuple[bytes, bytes, bytes]
"""Columns: int64 times, float64 values, uint8 qualities."""


def pure_pick(
    tags: bytes, times: bytes, values: bytes, qualities: bytes, wanted: int, since: int, until: int
) -> Curve:
    """The columns (times, values, qualities) of one tag in [since, until], in the batch's order."""
    rows = [
        row[1:]
        for row in zip(
            memoryview(tags).cast("i"), memoryview(times).cast("q"),
            memoryview(values).cast("d"), qualities, strict=True,
        )
        if row[0] == wanted and since <= row[1] <= until
    ]  # fmt: skip
    return (
        array("q", (row[0] for row in rows)).tobytes(),
        array("d", (row[1] for row in rows)).tobytes(), bytes(row[2] for row in rows),
    )  # fmt: skip


def pure_thin(
    times: bytes, values: bytes, qualities: bytes, since: int, until: int, most: int
) -> list[int]:
    """Places of at most `most` rows that draw the same curve (rows in the order of time).

    Of each of `most // 3` equal spans the least, the greatest and the first bad one stay: a spike
    of a single sample is never lost.
    """
    when, what = memoryview(times).cast("q"), memoryview(values).cast("d")
    if len({len(when), len(what), len(qualities)}) != 1:
        raise ValueError("columns of a batch differ in length")
    if len(when) <= most:
        return list(range(len(when)))
    buckets, span = max(1, most // 3), max(1, until - since + 1)
    kept: list[int] = []
    now, found = -1, dict[str, int]()
    for place, (time, value, grade) in enumerate(zip(when, what, qualities, strict=True)):
        bucket = min(max((time - since) * buckets // span, 0), buckets - 1)
        if bucket != now:
            kept += sorted(set(found.values()))
            now, found = bucket, {}
        if grade or math.isnan(value):
            found.setdefault("bad", place)
            continue
        if "least" not in found or value < what[found["least"]]:
            found["least"] = place
        if "most" not in found or value > what[found["most"]]:
            found["most"] = place
    return kept + sorted(set(found.values()))


if TYPE_CHECKING or os.environ.get("ANDON_KERNEL", "") == "python":
    pick, thin = pure_pick, pure_thin
else:
    try:
        from edge_node.kernel._history import pick, thin
    except ImportError:  # installed without a compiler: the fallback is complete, only slower
        pick, thin = pure_pick, pure_thin
