"""The quiet-band kernel in plain Python: the fallback, and the oracle of the compiled one.

Called through `edge_node.kernel`; both kernels behave the same, event for event.
"""

from __future__ import annotations

import sys
from array import array
from math import inf, isnan, nan

if sys.byteorder != "little":  # batches are little-endian and are read in place
    raise ImportError("Andon's edge needs a little-endian machine")

Column = bytes | bytearray | memoryview | array  # pyright: ignore[reportMissingTypeArgument]
"""A contiguous buffer in the column's little-endian element type, however it is labelled."""
UNKNOWN = 2
"""Quality of a tag before its first sample: bad."""


class QuietBand:
    """Last value of every tag, and the interval in which no sample of it can change an alarm.

    A new tag has an empty band: each of its samples is an excursion until `set_band` widens it.
    """

    __slots__ = ("_hi", "_lo", "_quality", "_time", "_value")

    def __init__(self, n: int) -> None:
        if n < 0:
            raise ValueError(f"{n} tags: must not be negative")
        self._lo = [inf] * n
        self._hi = [-inf] * n
        self._value = [nan] * n
        self._time = [0] * n
        self._quality = bytearray([UNKNOWN]) * n

    def __len__(self) -> int:
        return len(self._lo)

    def set_band(self, tag: int, lo: float, hi: float) -> None:
        """Samples of `tag` in `[lo, hi)` are quiet; `lo >= hi` makes all of them excursions."""
        self._check(tag)
        if isnan(lo) or isnan(hi):
            raise ValueError("a band's ends must be numbers, not NaN")
        self._lo[tag], self._hi[tag] = float(lo), float(hi)

    def value(self, tag: int) -> float:
        """Value of the last sample; NaN before the first."""
        return self._value[self._check(tag)]

    def time(self, tag: int) -> int:
        """Source time of the last sample; 0 before the first."""
        return self._time[self._check(tag)]

    def quality(self, tag: int) -> int:
        """Quality of the last sample (0 good, 1 uncertain, 2 bad); 2 before the first."""
        return self._quality[self._check(tag)]

    def scan(
        self, tags: Column, times: Column, values: Column, qualities: Column, start: int = 0
    ) -> int:
        """Store samples from `start` on, up to and including the first excursion.

        Columns are int32, int64, float64 and uint8. Returns the index of the first sample that is
        outside its band, is NaN or is not good; the number of samples when there is none. Raises
        ValueError with nothing stored for unequal columns and, when `start` is 0, for an unknown
        tag anywhere in the batch; a later call meets an unknown tag only when it gets there.
        """
        raw = [memoryview(column) for column in (tags, times, values, qualities)]
        count = raw[3].nbytes
        if [column.nbytes for column in raw] != [4 * count, 8 * count, 8 * count, count]:
            raise ValueError("columns of a batch differ in length")
        if not 0 <= start <= count:
            raise ValueError(f"start {start} is outside the batch of {count}")
        if start == count:  # also: an empty view cannot be cast
            return count
        # Unsigned, so that a negative index is an IndexError and does not count from the end.
        octets = [column.cast("B") for column in raw]
        tag_column, time_column = octets[0].cast("I"), octets[1].cast("q")
        value_column, quality_column = octets[2].cast("d"), octets[3]
        if start == 0 and max(tag_column) >= len(self._lo):
            raise ValueError(f"a tag index is not below {len(self._lo)}")
        return self._run(tag_column, time_column, value_column, quality_column, start)

    def _run(
        self,
        tags: memoryview[int],
        times: memoryview[int],
        values: memoryview[float],
        qualities: memoryview[int],
        index: int,
    ) -> int:
        los, his, kept, when, quality = (
            self._lo, self._hi, self._value, self._time, self._quality,
        )  # fmt: skip
        rest = zip(tags[index:], times[index:], values[index:], qualities[index:], strict=True)
        try:
            for tag, moment, value, grade in rest:
                kept[tag] = value
                when[tag] = moment
                quality[tag] = grade
                if grade or not los[tag] <= value < his[tag]:
                    return index
                index += 1
        except IndexError:
            raise ValueError(f"a tag index is not below {len(los)}") from None
        return index

    def _check(self, tag: int) -> int:
        if not 0 <= tag < len(self._lo):
            raise ValueError(f"tag index {tag} is not below {len(self._lo)}")
        return tag
