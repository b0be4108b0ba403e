"""One check list over every learner: plain data, bounded, deterministic, no unlabelled limits."""

from __future__ import annotations

import json

import pytest

from group_cloud.learning.contract import Learner, UnlabelledError
from tests.unit.group_cloud.learning.learners import CASES, Case

each = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
MANY = 120


def _fed(case: Case, seed: int = 3, n: int = MANY) -> Learner:
    learner = case.make(seed)
    for x, y in case.stream(seed, n):
        learner.learn_one(x, y)
    return learner


@each
def test_it_keeps_the_contract_and_comes_back_from_plain_data(case: Case) -> None:
    """Through JSON and back it says the same, and goes on learning the same."""
    learner = _fed(case)
    assert isinstance(learner, Learner)
    again = type(learner).restore(json.loads(json.dumps(learner.snapshot())))
    assert case.output(again) == case.output(learner)
    for x, y in list(case.stream(3, MANY + 8)):
        learner.learn_one(x, y)
        again.learn_one(x, y)
    assert case.output(again) == case.output(learner)
    assert json.dumps(again.snapshot()) == json.dumps(learner.snapshot())
    with pytest.raises(ValueError, match="snapshot"):
        type(learner).restore({**learner.snapshot(), "schema": "another/v1"})


@each
def test_the_same_seed_gives_the_same_learner(case: Case) -> None:
    """And another stream another one: the output does say something."""
    assert case.output(_fed(case)) == case.output(_fed(case))
    assert json.dumps(_fed(case).snapshot()) != json.dumps(_fed(case, seed=4).snapshot())


@each
def test_its_memory_is_bounded(case: Case) -> None:
    """After ten times the data it still fits, and it still speaks."""
    learner = _fed(case, n=10 * MANY)
    assert len(json.dumps(learner.snapshot())) <= case.bytes_most
    case.output(learner)


@each
def test_a_maker_of_limits_refuses_what_nobody_has_judged(case: Case) -> None:
    """Whatever comes without a judgement leaves it as it was."""
    if not case.limits:
        return
    learner = _fed(case)
    before = json.dumps(learner.snapshot())
    for x, _ in case.stream(5, 4):
        for label in (None, "", "unknown", "drill"):
            with pytest.raises(UnlabelledError):
                learner.learn_one(x, label)
    assert json.dumps(learner.snapshot()) == before
