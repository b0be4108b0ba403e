"""Live training of early warning: the same windows give the same model, whatever came first."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from group_cloud.application.warning.ports import Task, Window
from group_cloud.application.warning.trainer import Enough
from group_cloud.learning.warning_training import auc, figures, learn
from shared.alarm.warning_checks import model_fault
from shared.alarm.warning_schema import WINDOW_MS, schema_hash

TAGS = ("A", "B", "C", "D")
DAY_MS = 86_400_000


def windows(days: int = 14, seed: int = 1) -> tuple[Window, ...]:
    """Two factories; in faults the first tag leaves the others."""
    dice, found = np.random.default_rng(seed), []
    for day in range(100, 100 + days):
        for n in range(1, 21):
            for site in ("f1", "f2"):
                faulty = n > 16
                vector = 0.5 * dice.standard_normal(16)
                vector[: len(TAGS)] += dice.standard_normal()
                if faulty:
                    vector[[0, 4, 8, 12]] += 2.5
                found.append(
                    Window(
                        day * DAY_MS + n * WINDOW_MS, site, int(faulty),
                        f"fault-{day}" if faulty else "", vector.astype("<f4").tobytes(), 1,
                    )
                )  # fmt: skip
    return tuple(found)


def in_order(found: Sequence[Window]) -> tuple[Window, ...]:
    """As the table gives them, whatever the order of arrival was."""
    return tuple(sorted(found, key=lambda each: (each.at, each.site)))


@pytest.fixture(scope="module")
def learnt():
    return learn(Task(TAGS, in_order(windows())))


def test_any_order_of_arrival_gives_the_same_model(learnt) -> None:
    shuffled = list(windows())
    random.Random(5).shuffle(shuffled)
    assert learn(Task(TAGS, in_order(shuffled))) == learnt


def test_days_that_are_added_give_what_all_at_once_would(learnt) -> None:
    found = in_order(windows())
    half = [w for w in found if w.at <= 107 * DAY_MS]
    first = learn(Task(TAGS, tuple(half)))
    more = learn(Task(TAGS, tuple(w for w in found if w.at > 107 * DAY_MS), first.state))
    assert more.figures == learnt.figures
    assert more.model == learnt.model


def test_the_figures_come_of_windows_not_learnt_before(learnt) -> None:
    assert learnt.figures["windows"] == 14 * 40
    assert learnt.figures["faults"] == 28
    # The first days are learnt unscored, and no window is scored twice.
    assert 0 < learnt.figures["scored"] < learnt.figures["windows"]
    assert learnt.figures["auc"] > 0.9
    assert learnt.figures["sensitivity"] > 0.7
    noise = tuple(
        Window(w.at, w.site, w.label, w.fault, np.zeros(16, "<f4").tobytes(), 1) for w in windows(9)
    )
    assert learn(Task(TAGS, noise)).figures["auc"] == 0.5
    assert not model_fault(learnt.model, TAGS, schema_hash(TAGS))


def test_a_proposal_lacks_what_it_lacks(learnt) -> None:
    assert Enough().lacks(learnt.figures) == []
    assert Enough().lacks({}) == ["windows", "normal", "faults", "auc"]
    few = learn(Task(TAGS, in_order(windows(2))))
    assert Enough().lacks(few.figures) == ["windows", "normal", "faults", "auc"]
    assert Enough().lacks(learn(Task(TAGS, ())).figures) == ["windows", "normal", "faults", "auc"]


def test_auc_counts_ties_as_half() -> None:
    assert auc([2.0, 3.0], [0.0, 1.0]) == 1.0
    assert auc([1.0], [1.0]) == 0.5
    assert auc([0.0], [1.0, 2.0]) == 0.0
    assert "auc" not in figures([(1.0, True)])
