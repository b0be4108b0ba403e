"""A proposed setting with what speaks for it: before and after, by recorded faults and by days.

Values made by the optimiser, shown to people, and held against what happens after a push.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from group_cloud.learning.limits.bank import PointBank
from group_cloud.learning.limits.gate import Step
from group_cloud.learning.limits.joint import Problem
from shared.alarm.grid import Filter
from shared.alarm.point import Setting

if TYPE_CHECKING:
    from group_cloud.learning.limits.optimizer import PointInfo


@dataclass(frozen=True, slots=True)
class LimitEvidence:
    """Over so many days of the factory's own, with the group's faults counted apart."""

    days: float
    false_per_day_before: float
    false_per_day_after: float
    standing_h_per_day_before: float
    standing_h_per_day_after: float
    faults: int
    missed_before: int
    missed_after: int
    by_one_before: int
    by_one_after: int
    median_delay_min_before: float | None
    median_delay_min_after: float | None
    caught: tuple[str, ...]
    """Faults that no point announced and one now would."""
    lost: tuple[str, ...]
    later: tuple[tuple[str, float, float], ...]
    """Faults announced later than now: (fault, minutes before, minutes after)."""
    group_faults: int
    group_missed_before: int
    group_missed_after: int


@dataclass(frozen=True, slots=True)
class LimitProposal:
    """One point's new setting, by numbers and by the candidate of its grid."""

    point: str
    tag_class: str
    current: Setting
    current_filter: Filter
    proposed: Setting
    proposed_filter: Filter
    candidate: int
    evidence: LimitEvidence


def evidence_of(info: PointInfo, step: Step, problem: Problem, bank: PointBank) -> LimitProposal:
    """The proposal that one accepted step is; the factory's own faults come first in a problem."""
    own = problem.blocks[0].faults
    false, standing = bank.false_per_day(), bank.standing_h_per_day()
    before, after = step.first_before[:own], step.first_after[:own]
    names = bank.faults if len(bank.faults) == own else [str(i) for i in range(own)]
    was, now = np.isnan(before), np.isnan(after)
    evidence = LimitEvidence(
        bank.weighty_days,
        float(false[step.before]),
        float(false[step.after]),
        float(standing[step.before]),
        float(standing[step.after]),
        own,
        int(was.sum()),
        int(now.sum()),
        int((step.points_before[:own] == 1).sum()),
        int((step.points_after[:own] == 1).sum()),
        _median(before),
        _median(after),
        tuple(names[i] for i in np.flatnonzero(was & ~now)),
        tuple(names[i] for i in np.flatnonzero(now & ~was)),
        tuple(
            (names[i], float(before[i]), float(after[i])) for i in np.flatnonzero(after > before)
        ),
        len(problem.weights) - own,
        int(np.isnan(step.first_before[own:]).sum()),
        int(np.isnan(step.first_after[own:]).sum()),
    )
    return LimitProposal(
        info.id,
        info.tag_class,
        info.grid.setting(step.before),
        info.grid.filter_of(step.before),
        info.grid.setting(step.after),
        info.grid.filter_of(step.after),
        step.after,
        evidence,
    )


def _median(first: np.ndarray) -> float | None:
    told = first[~np.isnan(first)]
    return float(np.median(told)) if len(told) else None
