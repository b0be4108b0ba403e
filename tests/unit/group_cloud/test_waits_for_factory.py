"""A roll-out whose directive waits for a person of the factory: held, shown, never hurried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout_moves import Become, Hold, Seen, Sent
from group_cloud.domain.rollout_plan import Change, Plan
from group_cloud.domain.rollout_policy import Policy, Stage
from group_cloud.domain.rollout_step import next_move
from shared.alarm.point import Setting

NOW, HOUR = 1_700_000_000_000, 3_600_000
OLD, NEW = Setting(10.0), Setting(12.0)
SENT = Sent(("f1", "e1"), "canary_line", "settings", "waiting", NOW, frozenset({"A.HI"}))


def plan(stage: Stage) -> Plan:
    change = Change(Point("f1", "e1", "A.HI"), "A", OLD, NEW)
    policy = Policy(stages=(stage,) if stage == "all" else (stage, "all"), answer_s=60.0)
    return Plan(
        id="p", state=stage, policy_name="x", policy=policy, changes=(change,), proposals=(),
        created_at=NOW, created_by="li", expires_at=NOW + 100 * HOUR, stage=stage, stage_at=NOW,
    )  # fmt: skip


@pytest.mark.parametrize("stage", ["canary_line", "all"])
def test_it_waits_as_long_as_the_rollout_may(stage: Stage):
    sent = replace(SENT, stage=stage)
    move = next_move(plan(stage), [sent], Seen(), NOW + 50 * HOUR)
    assert isinstance(move, Hold)
    assert (move.code, dict(move.params)) == (
        "waits_for_factory", {"edges": ["f1.e1"], "count": 1}
    )  # fmt: skip
    over = next_move(plan(stage), [sent], Seen(), NOW + 100 * HOUR)
    assert isinstance(over, Become)
    assert over.code == "expired"


def test_the_time_to_answer_begins_when_the_factory_has_let_it_pass():
    passed = replace(SENT, status="relayed", at=NOW + 50 * HOUR)
    soon = next_move(plan("canary_line"), [passed], Seen(), NOW + 50 * HOUR + 30_000)
    assert isinstance(soon, Hold)
    late = next_move(plan("canary_line"), [passed], Seen(), NOW + 50 * HOUR + 61_000)
    assert isinstance(late, Become)
    assert late.code == "no_answer"
