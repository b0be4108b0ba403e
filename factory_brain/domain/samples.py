"""Columnar sample batches, unpacked. Pure."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Columns:
    """Samples in columns, as machine arrays."""

    names: list[str]
    tags: array[int]
    """Indexes into `names`."""
    times: array[int]
    values: array[float]
    """NaN: no value."""
    qualities: bytes

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Columns:
        """From rows."""
        names: dict[str, int] = {}
        tags, times, values, qualities = array("i"), array("q"), array("d"), bytearray()
        for tag, at, value, quality in rows:
            tags.append(names.setdefault(tag, len(names)))
            times.append(at)
            values.append(float("nan") if value is None else value)
            qualities.append(quality)
        return cls(list(names), tags, times, values, bytes(qualities))


def columns(batch: SampleBatch) -> Columns:
    """The columns of a batch; raises ContractError on unequal ones or unknown tag indexes."""
    count = len(batch.qualities)
    sizes = (len(batch.tags), len(batch.times), len(batch.values))
    if sizes != (4 * count, 8 * count, 8 * count):
        raise ContractError(f"columns of unequal length: {sizes} for {count} samples")
    tags, times, values = array("i", batch.tags), array("q", batch.times), array("d", batch.values)
    if sys.byteorder == "big":  # the wire is little-endian
        for column in (tags, times, values):
            column.byteswap()
    if count and not (min(tags) >= 0 and max(tags) < len(batch.names)):
        raise ContractError(f"a tag index outside {len(batch.names)} names")
    return Columns(batch.names, tags, times, values, batch.qualities)
