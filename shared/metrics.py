"""Counters as Prometheus text (format 0.0.4): the one writer of all tiers, and a histogram.

Tiers collect what they count and call `Exposition`; nothing here counts by itself, but `Histogram`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = Mapping[str, str]
Sample = tuple[Labels, float]
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Histogram:
    """Counts observations by upper limits; holds a few numbers, however many it is told."""

    __slots__ = ("counts", "limits", "total")

    def __init__(self, limits: Sequence[float] = SECONDS) -> None:
        self.limits = tuple(limits)
        self.counts = [0] * (len(self.limits) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One observation."""
        self.counts[bisect_left(self.limits, value)] += 1
        self.total += value


class Exposition:
    """One answer to a scrape; labels in `always` stand at every sample."""

    def __init__(self, prefix: str, always: Labels | None = None) -> None:
        self._prefix, self._always = prefix, dict(always or {})
        self._lines: list[str] = []

    def _head(self, name: str, kind: str, text: str) -> str:
        full = f"{self._prefix}_{name}"
        self._lines += (f"# HELP {full} {_help(text)}", f"# TYPE {full} {kind}")
        return full

    def _line(self, full: str, labels: Labels, value: float) -> None:
        told = ",".join(f'{k}="{_escaped(v)}"' for k, v in {**self._always, **labels}.items())
        self._lines.append(f"{full}{{{told}}} {value:.17g}" if told else f"{full} {value:.17g}")

    def tell(
        self, name: str, kind: Literal["counter", "gauge"], text: str,
        samples: Iterable[Sample] | float,
    ) -> None:  # fmt: skip
        """One metric with all its samples; a number alone has no labels of its own."""
        full = self._head(name, kind, text)
        if isinstance(samples, (int, float)):
            samples = [({}, float(samples))]
        for labels, value in samples:
            self._line(full, labels, value)

    def histogram(
        self, name: str, text: str, found: Histogram, labels: Labels | None = None
    ) -> None:
        """One histogram."""
        full, labels = self._head(name, "histogram", text), dict(labels or {})
        below = 0
        for limit, count in zip((*found.limits, float("inf")), found.counts, strict=True):
            below += count
            bound = "+Inf" if limit == float("inf") else f"{limit:g}"
            self._line(f"{full}_bucket", {**labels, "le": bound}, below)
        self._line(f"{full}_sum", labels, found.total)
        self._line(f"{full}_count", labels, below)

    def text(self) -> str:
        """The whole answer."""
        return "\n".join(self._lines) + "\n"


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
