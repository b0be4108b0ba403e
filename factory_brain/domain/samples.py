"""Columnar sample batches, unpacked. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from shared.errors import ContractError
from shared.messages.bodies import SampleBatch

Row = tuple[str, int, float | None, int]
"""(tag, source time in UTC ms, value, quality)."""


def unpack(batch: SampleBatch) -> Iterator[Row]:
    """Rows of a batch; raises ContractError on unequal columns or unknown tag indexes."""
    count = len(batch.qualities)
    sizes = (len(batch.tags), len(batch.times), len(batch.values))
    if sizes != (4 * count, 8 * count, 8 * count):
        raise ContractError(f"columns of unequal length: {sizes} for {count} samples")
    tags = struct.unpack(f"<{count}i", batch.tags)
    times = struct.unpack(f"<{count}q", batch.times)
    values = struct.unpack(f"<{count}d", batch.values)
    for tag, time, value, quality in zip(tags, times, values, batch.qualities, strict=True):
        if not 0 <= tag < len(batch.names):
            raise ContractError(f"tag index {tag} of {len(batch.names)} names")
        yield batch.names[tag], time, None if value != value else value, quality
