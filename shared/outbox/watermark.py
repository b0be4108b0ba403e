"""What a receiver does with a frame, purely: which events are new, repeated or missing.

Called inside the receiver's transaction with the stored watermark; the rows and the new watermark
are written together, and that, not an index, is the idempotency.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from shared.messages.envelope import Frame


@dataclass(frozen=True, slots=True)
class Verdict:
    """How to treat one frame against watermark `w`."""

    fresh: list[tuple[int, msgspec.Raw]]
    """(seq, event) to store, contiguous after the watermark."""
    repeated: list[tuple[int, msgspec.Raw]]
    """(seq, event) at or below the watermark: compare digests, then ignore or quarantine."""
    watermark: int
    """The watermark after storing `fresh`."""
    waits: bool
    """The frame lies beyond a hole: refuse it for now, the sender will send what is missing."""


def judge(frame: Frame, watermark: int, gap_through: int | None = None) -> Verdict:
    """Sort a frame's events against the contiguous `watermark`.

    `gap_through` is set when the frame's first event is a gap record that replaces the positions
    `watermark+1 .. gap_through`: it stands at the last dropped position and closes the hole.
    """
    if gap_through is not None and frame.first == gap_through and frame.first > watermark + 1:
        watermark = frame.first - 1
    if frame.first > watermark + 1:
        return Verdict([], [], watermark, waits=True)
    fresh: list[tuple[int, msgspec.Raw]] = []
    repeated: list[tuple[int, msgspec.Raw]] = []
    for seq, event in enumerate(frame.events, start=frame.first):
        (fresh if seq > watermark else repeated).append((seq, event))
    return Verdict(fresh, repeated, max(watermark, frame.last), waits=False)
