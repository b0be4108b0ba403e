"""One alarm through a journal: episodes, chattering, answers. Pure, one small step for each record.

Called by `figures.py` (a whole journal in order) and by `shards.py` (pieces of it). Knows nothing
of other alarms.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from shared.alarm.kpi.limits import KpiLimits
from shared.alarm.kpi.records import (
    ACKNOWLEDGED,
    ACTIONS,
    HIDES,
    RAISED,
    RAISED_HIDDEN,
    RE_ALARMED,
    RETURNED,
    Record,
)

UNKNOWN = -(1 << 62)
"""Of a piece of a journal: what only the piece before it can tell."""


@dataclass(slots=True)
class Run:
    """Where an alarm stands."""

    since: int | None = None
    """Annunciated and present since."""
    pending: int | None = None
    """Waits for its acknowledgement since."""
    last: tuple[int, ...] = ()
    """The last annunciations, as many as chattering needs."""
    priority: str = ""

    def known(self, limits: KpiLimits) -> bool:
        """Whether nothing of what came before matters any more."""
        return (
            self.since != UNKNOWN
            and self.pending != UNKNOWN
            and len(self.last) >= limits.chatter_count - 1
        )


@dataclass(slots=True)
class Tally:
    """What was counted of one alarm."""

    annunciations: int = 0
    re_alarms: int = 0
    suppressed: int = 0
    """Occurrences that were hidden: journaled, not counted."""
    fleeting: int = 0
    stale: int = 0
    chattering: bool = False
    dup_on: int = 0
    orphan_off: int = 0
    priorities: Counter[str] = field(default_factory=Counter)
    answers: dict[str, list[int]] = field(default_factory=dict)
    """Priority -> times from annunciation to acknowledgement, ms."""
    actions: Counter[str] = field(default_factory=Counter)
    standing_since: int | None = None
    unanswered: int = 0

    def add(self, other: Tally) -> None:
        """Take over what was counted of a later piece."""
        self.annunciations += other.annunciations
        self.re_alarms += other.re_alarms
        self.suppressed += other.suppressed
        self.fleeting += other.fleeting
        self.stale += other.stale
        self.chattering = self.chattering or other.chattering
        self.dup_on += other.dup_on
        self.orphan_off += other.orphan_off
        self.priorities.update(other.priorities)
        self.actions.update(other.actions)
        for priority, times in other.answers.items():
            self.answers.setdefault(priority, []).extend(times)

    def copy(self) -> Tally:
        """An independent copy."""
        answers = {priority: list(times) for priority, times in self.answers.items()}
        return replace(
            self, priorities=self.priorities.copy(), actions=self.actions.copy(), answers=answers
        )


def step(run: Run, tally: Tally, record: Record, limits: KpiLimits) -> None:
    """Take one record of this alarm."""
    kind, at = record.kind, record.time
    if kind in (RAISED, RE_ALARMED):
        _annunciated(run, tally, record, limits)
    elif kind == RETURNED:
        if run.since is None:
            tally.orphan_off += 1
        else:
            _ended(run, tally, at, limits, fleeting=True)
    elif kind in HIDES:
        _ended(run, tally, at, limits, fleeting=False)
        run.pending = None
    elif kind == ACKNOWLEDGED:
        if run.pending is not None and run.pending != UNKNOWN:
            tally.answers.setdefault(run.priority, []).append(at - run.pending)
        run.pending = None
    elif kind == RAISED_HIDDEN:
        tally.suppressed += 1
    if kind in ACTIONS:
        tally.actions[kind] += 1


def _annunciated(run: Run, tally: Tally, record: Record, limits: KpiLimits) -> None:
    at = record.time
    tally.annunciations += 1
    tally.priorities[record.priority] += 1
    if record.kind == RE_ALARMED:
        # The alarm asks again, the process has not changed: no chattering, nothing doubled.
        tally.re_alarms += 1
        if run.since is None:
            run.since = at
    else:
        keep = limits.chatter_count - 1
        if len(run.last) == keep and at - run.last[0] < limits.chatter_ms:
            tally.chattering = True
        run.last = (*run.last, at)[-keep:]
        if run.since is None:
            run.since = run.pending = at
        elif run.since != UNKNOWN:
            tally.dup_on += 1
        else:
            run.pending = UNKNOWN
    if run.pending is None:
        run.pending = at
    run.priority = record.priority


def _ended(run: Run, tally: Tally, at: int, limits: KpiLimits, *, fleeting: bool) -> None:
    if run.since is not None and run.since != UNKNOWN:
        lasted = at - run.since
        tally.fleeting += fleeting and lasted < limits.fleeting_ms
        tally.stale += lasted > limits.stale_ms
    run.since = None


def close(run: Run, tally: Tally, until: int, limits: KpiLimits) -> None:
    """The period ends: what still stands is cut here."""
    if run.since is not None:
        tally.standing_since = run.since
        tally.stale += until - run.since > limits.stale_ms
    tally.unanswered = int(run.pending is not None)
