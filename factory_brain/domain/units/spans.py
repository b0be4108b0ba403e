"""Spans of time in which something was out of its limits, and figures of a stay. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

FAR = 1 << 60
"""Stands for an end that has not come."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond which a value is out; None: not limited on that side."""

    below: float | None = None
    above: float | None = None

    def out(self, value: float) -> bool:
        """Whether a value is out of them."""
        return (self.above is not None and value > self.above) or (
            self.below is not None and value < self.below
        )


@dataclass(frozen=True, slots=True)
class Span:
    """Out of limits in [start, end), each by a clock that may be `unsure` ms off."""

    start: int
    end: int
    occurrence: str = ""
    alarm: str = ""
    unsure: int = 0

    def overlaps(self, since: int, until: int | None, margin: int = 0) -> bool:
        """Whether a stay from `since` to `until` lies in it, for a moment at least."""
        end = FAR if until is None else until
        return since < self.end + margin and end >= self.start - margin


def spans_of(
    samples: Iterable[tuple[int, float | None]], limits: Limits, since: int, until: int
) -> list[Span]:
    """Where samples are out of limits; a value holds until the next one, None is no value."""
    found: list[Span] = []
    start: int | None = None
    for at, value in samples:
        out = value is not None and limits.out(value)
        if out and start is None:
            start = max(at, since)
        elif not out and start is not None:
            if at > start:
                found.append(Span(start, min(at, until)))
            start = None
        if at >= until:
            break
    if start is not None and start < until:
        found.append(Span(start, until))
    return found


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans of samples in order, each once: what touches or overlaps is one."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda each: each.start):
        if span.end <= span.start:
            continue
        if found and span.start <= found[-1].end:
            last = found[-1]
            end, unsure = max(last.end, span.end), max(last.unsure, span.unsure)
            found[-1] = replace(last, end=end, unsure=unsure)
        else:
            found.append(span)
    return found


@dataclass(frozen=True, slots=True)
class Figures:
    """What a tag did during a stay; the average is by time, as values hold until the next."""

    low: float
    average: float
    high: float
    samples: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A sample, or a minute or hour of them, from `at` on."""

    at: int
    value: float | None
    low: float | None
    high: float | None


def figures(pieces: Sequence[Piece], since: int, until: int) -> Figures | None:
    """Of pieces that hold one after another in [since, until]; None without any value."""
    low = high = None
    weighted = weight = 0.0
    count = 0
    for index, piece in enumerate(pieces):
        if piece.value is None:
            continue
        start = max(piece.at, since)
        end = min(pieces[index + 1].at if index + 1 < len(pieces) else until, until)
        if end < start:
            continue
        least = piece.value if piece.low is None else piece.low
        most = piece.value if piece.high is None else piece.high
        low = least if low is None else min(low, least)
        high = most if high is None else max(high, most)
        span = max(end - start, 1)  # a sample at the very end counts too
        weighted, weight, count = weighted + piece.value * span, weight + span, count + 1
    if low is None or high is None:
        return None
    return Figures(low, min(max(weighted / weight, low), high), high, count)
