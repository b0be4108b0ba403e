"""What the learners of events must do beyond the common check list."""

from __future__ import annotations

import ast
import inspect
import math
from dataclasses import replace

import numpy as np
import pytest

from group_cloud.learning import nuisance
from group_cloud.learning.bandit import VariantChoice
from group_cloud.learning.contract import UnlabelledError
from group_cloud.learning.drift import DriftWatch
from group_cloud.learning.floods import FloodMemory
from group_cloud.learning.linear import ReplayedLogistic
from group_cloud.learning.nuisance import NuisanceRanker
from group_cloud.learning.replay_memory import BalancedReplay
from group_cloud.learning.warning import WarningLearner, calibration
from shared.alarm.warning_model import WarningModel
from shared.alarm.warning_windows import Windows
from tests.unit.group_cloud.learning.event_streams import (
    TAGS,
    episodes,
    flood,
    judged_alarms,
    labelled_windows,
)


def test_every_alarm_that_is_ranked_comes_back() -> None:
    """Ranking is a permutation, also of what is surely nuisance, and the input is untouched."""
    ranker = NuisanceRanker(1)
    for x, y in judged_alarms(1, 300):
        ranker.learn_one(x, y)
    given = [x for x, _ in judged_alarms(2, 60)]
    ranked = ranker.rank(given)
    assert sorted(r.occurrence.id for r in ranked) == sorted(x.id for x in given)
    assert {r.occurrence for r in ranked} == set(given)
    assert ranked[0].nuisance < 0.3 < 0.7 < ranked[-1].nuisance
    assert ranker.propose()
    assert all(p.point != "P5" for p in ranker.propose())


def test_the_ranker_has_no_way_to_suppress() -> None:
    """It imports nothing that could shelve, order or send, and a proposal is only evidence."""
    tree = ast.parse(inspect.getsource(nuisance))
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    allowed = {"__future__", "collections.abc", "dataclasses", "typing"}
    assert all(m in allowed or m.startswith("group_cloud.learning.") for m in imported)
    assert set(nuisance.ShelvingProposal.__slots__) == {"point", "labels", "nuisance", "share"}
    public = {name for name in vars(NuisanceRanker) if not name.startswith("_")}
    assert public == {
        "learn_one", "champion", "score", "scores", "share", "probability", "because", "rank",
        "propose", "snapshot", "restore",
    }  # fmt: skip


def test_replay_holds_both_classes_and_repairs_labels_in_blocks() -> None:
    """Without it a block of one class makes the classifier forget the other."""
    memory: BalancedReplay[int] = BalancedReplay(3, per_class=10, draws=4)
    for number in range(500):
        memory.add(number, number % 50 == 0)
    assert [len(kept) for kept in memory.kept] == [10, 10]
    assert max(memory.kept[0]) > 100
    random = np.random.default_rng(1)

    def caught(draws: int) -> float:
        model = ReplayedLogistic(2, 1, rate=0.05, draws=draws)
        for block in range(8):
            true = block % 2 == 1
            for _ in range(300 if not true else 30):
                x = random.normal(0, 1, 2) + np.array([1.5 * true, 0.0])
                model.learn_one(x.tolist(), true)
        for _ in range(1500):
            model.learn_one(random.normal(0, 1, 2).tolist(), False)
        return float(np.mean([model.score([1.5 + random.normal(), 0.0]) > 0.5 for _ in range(200)]))

    assert caught(4) > 0.6 > 0.3 > caught(0)


def test_windows_look_back_only_and_survive_a_restart() -> None:
    """What comes later changes no vector; a restored one goes on the same."""
    random = np.random.default_rng(2)
    samples = random.normal(0, 1, (12, 30, len(TAGS)))
    changed = samples.copy()
    changed[8:] += 5
    one, other = Windows(TAGS), Windows(TAGS)
    for place in range(8):
        a, b = one.push(samples[place]), other.push(changed[place])
        assert (a is None) == (b is None) == (place < 4)
        assert a is None or np.array_equal(a, b)  # type: ignore[arg-type]
    again = Windows.restore(one.snapshot())
    assert np.array_equal(again.push(samples[8]), one.push(samples[8]))  # type: ignore[arg-type]
    assert one.push(np.full((30, len(TAGS)), np.nan)) is None


def test_a_frozen_warning_says_what_the_learner_says_and_refuses_other_tags() -> None:
    """Plain data and back; confidence is a share that comes true."""
    learner = WarningLearner(TAGS, 1)
    for x, y in labelled_windows(1, 900):
        learner.learn_one(x, y)
    model = WarningModel.from_dict(learner.freeze().to_dict())
    fresh = list(labelled_windows(2, 400))
    judged = [model.judge(x) for x, _ in fresh]
    assert [w.confidence for w in judged[:5]] == [learner.score(x) for x, _ in fresh[:5]]
    truth = np.array([y for _, y in fresh])
    said = np.array([w.confidence for w in judged])
    assert ((said - truth) ** 2).mean() < 0.7 * truth.mean() * (1 - truth.mean())
    warned = np.array([w.warns for w in judged])
    assert warned[~truth].mean() < 0.2
    assert warned[truth].mean() > 0.6
    assert {tag for w in judged if w.warns for tag in w.tags[:1]} <= {"T1", "T2", "T3", "T4"}
    with pytest.raises(ValueError, match="schema"):
        WarningModel.from_dict({**model.to_dict(), "tags": ["T1", "T2", "T3", "X"]})
    with pytest.raises(UnlabelledError):
        learner.learn_one(fresh[0][0], None)


def test_the_calibration_finds_what_made_the_labels() -> None:
    """Platt's slope and offset of made-up log-odds."""
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, 4000)
    truth = random.random(4000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    slope, offset = calibration(list(zip(logits.tolist(), truth.tolist(), strict=True)))
    assert abs(slope - 0.5) < 0.05
    assert abs(offset + 1) < 0.1
    assert calibration([(1.0, True)]) == (1.0, 0.0)


def test_a_flood_is_recognised_over_sites_or_is_unknown() -> None:
    """Known causes with what was done; a cause never seen is unknown, and so is everything at
    first."""
    memory = FloodMemory()
    new = flood(1, 77)
    assert not memory.resembles(new.alarms, 180).known
    for episode, cause in episodes(1, 60):
        memory.learn_one(episode, cause)
    answer = memory.resembles(new.alarms, 20)
    assert answer.known
    assert answer.settled
    assert answer.nearest is not None
    assert (answer.nearest.cause, answer.nearest.done) == ("cause 1", "valve closed")
    assert 0 < answer.nearest.similarity <= 1
    assert len(answer.others) == 3
    novel = memory.resembles(flood(7, 78).alarms, 180)
    assert not novel.known
    assert novel.settled
    assert novel.trust < 0.5 < answer.trust
    assert not memory.resembles(new.alarms, 3).settled
    with pytest.raises(UnlabelledError):
        memory.learn_one(new, None)


def test_what_a_flood_resembles_does_not_depend_on_later_alarms_or_order() -> None:
    """The answer after 20 min is a function of the first 20 min, and of the set of episodes."""
    forth, back = FloodMemory(), FloodMemory()
    known = list(episodes(1, 40))
    for x, y in known:
        forth.learn_one(x, y)
    for x, y in reversed(known):
        back.learn_one(x, y)
    new = flood(2, 90)
    late = (*new.alarms, replace(new.alarms[0], point="P0.HI", raised=100.0))
    answer = forth.resembles(new.alarms, 20)
    assert answer == forth.resembles(late, 25) == back.resembles(new.alarms, 20)


def test_a_step_is_noticed_and_steadiness_is_not() -> None:
    """Noise of one deviation gives a notice in some 600 days; a step of four does within ten."""
    random = np.random.default_rng(5)
    watch = DriftWatch()
    keys = [f"K{n}" for n in range(20)]
    quiet = [
        watch.learn_one((key, "residual"), float(random.normal(20, 1)))
        for _ in range(100)
        for key in keys
    ]
    assert sum(map(bool, quiet)) <= 6
    steady = set(keys) - {notice.key for notice in quiet if notice}
    for key in steady:
        after = [watch.learn_one((key, "residual"), float(random.normal(24, 1))) for _ in range(10)]
        notice = next(n for n in after if n)
        assert (notice.key, notice.asks_for) == (key, "person")
        assert notice.before < 21 < notice.now
        assert len(notice.trend) > 28
    with pytest.raises(ValueError, match="nan"):
        watch.learn_one(("A", "residual"), math.nan)


def test_chance_of_counts_a_small_change_and_weekends_are_no_drift_and_it_repeats_nothing() -> None:
    """Counts as chance makes them, a step too small to matter, and a plant that rests at
    weekends: no notice. What has changed is said once, not every few days."""
    random = np.random.default_rng(8)
    watch = DriftWatch()
    for day in range(140):
        rest = day % 7 in (5, 6)
        calm = [
            (("chance", "alarm_rate", day), float(random.poisson(6))),
            (("small", "residual", day), 0.3 * (day > 60) + float(random.normal(0, 0.05))),
            (("weekend", "alarm_rate", day), float(random.poisson(2 if rest else 60))),
        ]
        assert [x for x, y in calm if watch.learn_one(x, y)] == []  # type: ignore[arg-type]
    # Half as many again is a change that its weekends do not hide; it is said once.
    later = [
        watch.learn_one(
            ("weekend", "alarm_rate", day), float(random.poisson(3 if day % 7 in (5, 6) else 95))
        )
        for day in range(140, 168)
    ]
    assert sum(map(bool, later)) == 1
    loud = [watch.learn_one(("loud", "residual"), float(10 * (n // 20))) for n in range(60)]
    assert [n for n, notice in enumerate(loud) if notice] == [22]


def test_variants_are_chosen_per_context_with_a_floor() -> None:
    """The better one gets most of the weight, the other keeps its floor."""
    choice = VariantChoice(4)
    random = np.random.default_rng(4)
    for _ in range(400):
        for context, good in (("pump", "a"), ("valve", "b")):
            picked = choice.choose(context, ("a", "b"))
            luck = random.random() < (0.9 if picked == good else 0.4)
            choice.learn_one((context, picked), float(luck))
    for context, good, bad in (("pump", "a", "b"), ("valve", "b", "a")):
        weights = choice.propose(context, ("a", "b"))
        assert weights[good] > 0.9
        assert weights[bad] >= choice.floor
        assert sum(weights.values()) == pytest.approx(1)
