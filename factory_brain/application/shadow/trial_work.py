"""Runs two settings over a signal, as done in a process of its own: plain data in, plain data out.

Called through `adapters/shadow_process.py`, which imports it only there. The episodes are those of
the alarm point that runs live.
"""

from __future__ import annotations

from factory_brain.application.shadow.trials import TrialWork, Tried
from factory_brain.domain.shadow import Episode, Signal
from shared.alarm.excursions import NEVER, spans
from shared.alarm.point import Setting
from shared.alarm.replay import compare

LISTED = 500
PARTS = 400
"""Parts of the span whose lowest and highest value are told."""
AT_LEAST_MS = 300_000
"""An alarm that stands for less has not told of a fault."""


def tried(signal: Signal, work: TrialWork) -> Tried:
    """What both settings told, and which alarms and faults that concerns."""
    now = _episodes(signal, work, work.current)
    new = _episodes(signal, work, work.proposed)
    found = compare(_within(now, signal), _within(new, signal))
    return Tried(
        before=found.before, after=found.after,
        vanish=[[began, ended or 0] for began, ended in found.vanish[-LISTED:]],
        later=[[e.raised_at, e.cleared_at or 0, e.told_at] for e in found.later[-LISTED:]],
        new=len(found.new), vanish_more=max(0, len(found.vanish) - LISTED),
        later_more=max(0, len(found.later) - LISTED), points=envelope(signal),
        faults=[
            [name, start, end, _delay(now, start, end, signal), _delay(new, start, end, signal)]
            for name, start, end in work.faults
        ],
    )  # fmt: skip


def _within(episodes: list[Episode], signal: Signal) -> list[Episode]:
    """Those that a reader of the span is shown: what was over before it began is not."""
    return [each for each in episodes if each[1] is None or each[1] > signal.since]


def envelope(signal: Signal, parts: int = PARTS) -> list[list[float]]:
    """[time, lowest, highest] of so many parts of the span; empty ones are left out."""
    width = max(1, -(-(signal.until - signal.since) // parts))
    found: dict[int, list[float]] = {}
    for at, value in zip(signal.times, signal.values, strict=True):
        if not signal.since <= at < signal.until:
            continue
        part = (at - signal.since) // width
        known = found.get(part)
        if known is None:
            found[part] = [float(signal.since + part * width), value, value]
        else:
            known[1], known[2] = min(known[1], value), max(known[2], value)
    return [found[part] for part in sorted(found)]


def _delay(episodes: list[Episode], start: int, end: int, signal: Signal) -> float:
    for began, ended in episodes:
        lasted = (signal.until if ended is None else ended) - began
        if start <= began <= end and lasted >= AT_LEAST_MS:
            return (began - start) / 1000
    return -1.0


def _episodes(signal: Signal, work: TrialWork, setting: Setting) -> list[Episode]:
    found = spans(
        signal.times, signal.values, setting, work.side, until=signal.until, centre=work.centre,
        fallback=work.fallback,
    )  # fmt: skip
    return [
        (began, None if ended == NEVER else ended)
        for began, ended in zip(found.raised.tolist(), found.cleared.tolist(), strict=True)
    ]
