"""The columns of a batch as Python reads them: int32 tag, int64 time, float64 value, uint8 quality.

Called by the pure kernel; copies nothing.
"""

from __future__ import annotations

import sys
from array import array

if sys.byteorder != "little":  # batches are little-endian and are read in place
    raise ImportError("Andon's edge needs a little-endian machine")

Column = bytes | bytearray | memoryview | array  # pyright: ignore[reportMissingTypeArgument]
"""A contiguous buffer in the column's little-endian element type, however it is labelled."""


def cast(
    tags: Column, times: Column, values: Column, qualities: Column
) -> tuple[memoryview[int], memoryview[int], memoryview[float], memoryview[int]] | None:
    """Views of the four columns, None when they are empty; raises ValueError if unequal."""
    raw = [memoryview(column) for column in (tags, times, values, qualities)]
    count = raw[3].nbytes
    if [column.nbytes for column in raw] != [4 * count, 8 * count, 8 * count, count]:
        raise ValueError("columns of a batch differ in length")
    if not count:  # an empty view cannot be cast
        return None
    # Unsigned, so that a negative index is too large and does not count from the end.
    octets = [column.cast("B") for column in raw]
    return octets[0].cast("I"), octets[1].cast("q"), octets[2].cast("d"), octets[3]
