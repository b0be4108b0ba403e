"""Figures as plain data: the flat document of the command line, and the report in three parts.

The parts are performance (how the system does), diagnostic (where to look) and audit (what people
changed), after ISA-TR18.2.5. Pure; rounds for display here and nowhere else.
"""

from __future__ import annotations

from math import ceil
from typing import Any

from shared.alarm.kpi.figures import Figures

METRICS = (
    "annunciations", "chattering", "fleeting", "stale", "standing", "dup_on", "orphan_off",
    "re_alarms", "suppressed", "unanswered", "top",
)  # fmt: skip
"""Figures of which the alarms behind can be listed."""
MOST_SLOTS = 288
"""How many points a plot is given: a day of five minutes, a month of two and a half hours."""


def _share(part: float, whole: float, digits: int) -> float:
    return round(100 * part / whole, digits) if whole else 0.0


def document(figures: Figures) -> dict[str, Any]:
    """The flat document; its keys are stable."""
    period, limits = figures.period, figures.limits
    n, bins = figures.annunciations, period.bins(limits)
    top = sum(count for _, count in figures.ranked[: limits.top])
    return {
        "annunciations": n,
        "avg_per_10min": _mean(figures),
        "bins": bins,
        "bins_over10": figures.bins_over,
        "chattering": figures.total("chattering"),
        "distinct": len(figures.ranked),
        "dup_on": figures.total("dup_on"),
        "fleeting": figures.total("fleeting"),
        "floods": len(figures.floods),
        "max_bin": figures.max_bin,
        "orphan_off": figures.total("orphan_off"),
        "pct_bins_over10": _share(figures.bins_over, bins, 2),
        "pct_time_flood": _share(figures.flood_ms, period.length, 2),
        "peak_sliding": figures.peak_sliding,
        "prio": dict(sorted(figures.priorities.items())),
        "sorted_in_file": figures.in_order,
        "stale": figures.total("stale"),
        "standing_at_end": len(figures.standing()),
        "top10_pct": _share(top, n, 1),
        "top3": [[name, count] for name, count in figures.ranked[:3]],
    }


def _mean(figures: Figures) -> float:
    length = figures.period.length
    return round(figures.annunciations * figures.limits.window_ms / length, 3) if length else 0.0


def report(figures: Figures) -> dict[str, Any]:
    """The figures in three parts, with ranks, floods and answers."""
    flat = document(figures)
    performance = (
        "annunciations", "avg_per_10min", "max_bin", "peak_sliding", "bins", "bins_over10",
        "pct_bins_over10", "floods", "pct_time_flood", "standing_at_end",
    )  # fmt: skip
    diagnostic = (
        "distinct", "chattering", "fleeting", "stale", "dup_on", "orphan_off", "prio", "top10_pct",
    )  # fmt: skip
    actions = figures.actions()
    return {
        "since": figures.period.start,
        "until": figures.period.end,
        "performance": {
            **{key: flat[key] for key in performance},
            "answers": {p: _answers(times) for p, times in figures.answers().items()},
            "unanswered": figures.total("unanswered"),
            "flood_list": [
                {"start": f.start, "end": f.end, "ended": f.ended} for f in figures.floods
            ],
        },
        "diagnostic": {
            **{key: flat[key] for key in diagnostic},
            "re_alarms": figures.total("re_alarms"),
            "top": [
                {"alarm": name, "count": count, "pct": _share(count, figures.annunciations, 1)}
                for name, count in figures.ranked[: figures.limits.top]
            ],
        },
        "audit": {
            "suppressed_occurrences": figures.total("suppressed"),
            **{name: actions.get(name, 0) for name in _ACTIONS},
        },
    }


def series(figures: Figures, most: int = MOST_SLOTS) -> list[dict[str, float]]:
    """Mean and peak for each interval along the period, in at most `most` slots; for a plot."""
    if figures.bins is None:
        return []
    period, limits = figures.period, figures.limits
    wide = max(1, ceil(period.bins(limits) / most))
    held: dict[int, list[int]] = {}
    for at, count in figures.bins.items():
        held.setdefault(at // wide, []).append(count)
    out = []
    for slot in range(ceil(period.bins(limits) / wide)):
        start = period.start + slot * wide * limits.window_ms
        length = min(period.end, start + wide * limits.window_ms) - start
        counts = held.get(slot, [])
        mean = round(sum(counts) * limits.window_ms / length, 3)
        out.append({"start": start, "mean": mean, "peak": max(counts, default=0)})
    return out


_ACTIONS = ("shelved", "suppressed", "out_of_service", "disabled", "reconfigured")


def _answers(times: list[int]) -> dict[str, float]:
    """`times` sorted: how many, and mean, median, ninth decile (nearest rank) and worst, in s."""
    n = len(times)
    rank = {"median_s": 0.5, "p90_s": 0.9}
    return {
        "count": n,
        "mean_s": round(sum(times) / n / 1000, 3),
        **{name: times[max(0, ceil(n * q) - 1)] / 1000 for name, q in rank.items()},
        "max_s": times[-1] / 1000,
    }


def behind(figures: Figures, metric: str) -> list[tuple[str, int]]:
    """The alarms behind a figure, with how often; most first. Raises KeyError for another name."""
    if metric not in METRICS:
        raise KeyError(metric)
    if metric in ("annunciations", "top"):
        return figures.ranked[: figures.limits.top] if metric == "top" else figures.ranked
    if metric == "standing":
        return [(name, (figures.period.end - since) // 1000) for name, since in figures.standing()]
    found = [(name, int(getattr(tally, metric))) for name, tally in figures.alarms.items()]
    return sorted(((n, c) for n, c in found if c), key=lambda each: (-each[1], each[0]))
