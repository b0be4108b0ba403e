"""The hybrid logical time as a value: ordering and its text form.

Pure, so that the core may order facts; `clock.HybridClock` issues it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class HybridTime:
    """A hybrid logical time: wall milliseconds, then a counter within the millisecond."""

    ms: int
    count: int = 0

    def __str__(self) -> str:
        return f"{self.ms:013d}.{self.count:05d}"

    @classmethod
    def parse(cls, text: str) -> HybridTime:
        """Read what `str()` wrote; raises ValueError otherwise."""
        ms, _, count = text.partition(".")
        return cls(int(ms), int(count or 0))
