"""What a roll-out of a playbook does next, and how variants rank: rules without a database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from group_cloud.domain.playbook_ranking import (
    FLOOR,
    MOST_CONTEXTS,
    REST,
    Run,
    context_of,
    input_moves,
    rank,
    suggested,
)
from group_cloud.domain.playbook_rollout import (
    ENDED,
    Become,
    BookPlan,
    Hold,
    Part,
    Runs,
    Sign,
    Withdraw,
    advance,
    next_move,
    push_after,
    unhealthy,
)
from group_cloud.learning.bandit import VariantChoice
from shared.playbook.loader import load_text
from tests.support.playbook_authors import book

HOUR = 3_600_000
PLAN = BookPlan(
    id="r", state="canary", playbook="noted", version=2, inputs={}, sites=("f1", "f2", "f3"),
    created_at=0, created_by="wu", reason="x", expires_at=1_000 * HOUR, dwell_ms=HOUR, min_runs=1,
    agreed_by="lin",
)  # fmt: skip


def part(site: str, status: Any = "applied", counter: int = 1, **more: Any) -> Part:
    return Part(f"{site}-{counter}", site, counter, more.pop("kind", "release"), status, 0, **more)


def learner() -> VariantChoice:
    return VariantChoice(1, FLOOR)


def test_the_canary_goes_first_and_the_others_only_after_it_has_held() -> None:
    assert next_move(PLAN, [], {}, 0) == Sign("f1", "release")
    assert next_move(PLAN, [part("f1", "sent")], {}, 0) == Hold("canary_silent", PLAN.expires_at)
    assert next_move(PLAN, [part("f1", "waiting")], {}, 0) == Hold(
        "canary_decides", PLAN.expires_at
    )
    ran = {"f1": Runs(3, 3)}
    assert next_move(PLAN, [part("f1")], ran, HOUR - 1) == Hold("watching", HOUR)
    assert isinstance(next_move(PLAN, [part("f1")], {}, HOUR), Hold)  # nothing was seen to work
    assert next_move(PLAN, [part("f1")], ran, HOUR) == Become("go_on")
    everywhere = replace(PLAN, state="all")
    assert next_move(everywhere, [part("f1")], ran, HOUR) == Sign("f2", "release")


def test_a_factory_may_refuse_and_the_rest_goes_on() -> None:
    plan = replace(PLAN, state="all")
    parts = [part("f1"), part("f2", "refused", code="refused_by_person")]
    assert next_move(plan, parts, {}, 2 * HOUR) == Sign("f3", "release")
    assert next_move(plan, [*parts, part("f3")], {}, 2 * HOUR) == Become("finish")


def test_a_canary_that_refuses_ends_it_before_anybody_else_is_asked() -> None:
    move = next_move(PLAN, [part("f1", "refused", code="push_outside_binding")], {}, 0)
    assert isinstance(move, Become)
    assert (move.trigger, move.code) == ("refuse", "push_outside_binding")


@pytest.mark.parametrize("state", ["canary", "all", "paused"])
def test_what_does_worse_is_taken_back_whatever_the_stage(state: Any) -> None:
    bad = {"f1": Runs(runs=8, succeeded=2, runs_before=200, succeeded_before=190)}
    move = next_move(replace(PLAN, state=state), [part("f1")], bad, 0)
    assert isinstance(move, Become)
    assert (move.trigger, move.code) == ("fail", "playbook_does_worse")


def test_few_failures_are_chance_and_many_are_not() -> None:
    assert not unhealthy(Runs(1, 0))
    assert not unhealthy(Runs(10, 8, 100, 90))
    assert unhealthy(Runs(10, 4, 100, 90))
    assert not unhealthy(Runs(10, 4, 100, 45))  # it never was any better


def test_taking_back_reaches_every_factory_that_may_have_it_and_waits_for_each() -> None:
    plan = replace(PLAN, state="rolling_back")
    parts = [part("f1"), part("f2", "waiting"), part("f3", "signed")]
    assert next_move(plan, parts, {}, 0) == Sign("f1", "rollback", "f1-1")
    undo1 = part("f1", "sent", 2, kind="rollback", restores="f1-1")
    assert next_move(plan, [*parts, undo1], {}, 0) == Sign("f2", "rollback", "f2-1")
    undo2 = part("f2", "applied", 2, kind="rollback", restores="f2-1")
    assert next_move(plan, [*parts, undo1, undo2], {}, 0) == Withdraw("f3-1")
    left = [parts[0], parts[1], part("f3", "withdrawn"), undo1, undo2]
    assert isinstance(next_move(plan, left, {}, 0), Hold)
    left[3] = replace(undo1, status="applied")
    assert next_move(plan, left, {}, 0) == Become("settle")


def test_a_rollback_that_failed_is_tried_again_but_not_against_the_factorys_own_release() -> None:
    plan = replace(PLAN, state="rolling_back")
    undo = part("f1", "refused", 2, kind="rollback", restores="f1-1", code="playbook_has_errors")
    assert isinstance(next_move(plan, [part("f1"), undo], {}, 0), Hold)
    assert next_move(plan, [part("f1"), undo], {}, HOUR) == Sign("f1", "rollback", "f1-1")
    own = replace(undo, code="superseded")
    assert next_move(plan, [part("f1"), own], {}, 0) == Become("settle")


def test_taking_back_also_reaches_a_text_that_a_person_has_refused() -> None:
    """Its draft can be reopened there, and would be released long after the roll-out's end."""
    plan = replace(PLAN, state="rolling_back")
    parts = [part("f1", "rolled_back"), part("f2", "refused", code="refused_by_person")]
    assert next_move(plan, parts, {}, 0) == Sign("f2", "rollback", "f2-1")
    undo = part("f2", "sent", 2, kind="rollback", restores="f2-1")
    assert isinstance(next_move(plan, [*parts, undo], {}, 0), Hold)
    assert push_after("refused", "roll_back") == "rolled_back"
    old = [*parts, replace(undo, status="applied")]  # a factory that had nothing to take back
    assert next_move(plan, old, {}, 0) == Become("settle")
    expired = part("f2", "refused", code="expired")
    assert next_move(plan, [expired], {}, 0) == Become("settle")
    values = part("f2", "refused", code="refused_by_person", kind="inputs")
    assert next_move(plan, [values], {}, 0) == Become("settle")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_factories_answer_and_whenever_it_ends_and_nobody_is_left_half(
    data: st.DataObject,
) -> None:
    """A walk of moves and answers: it comes to an end, and a way back leaves nothing applied."""
    plan, parts, now, number = replace(PLAN, min_runs=0), list[Part](), 0, 0
    for _ in range(200):
        worse = data.draw(st.integers(0, 9)) == 0
        runs = {"f1": Runs(9, 0, 99, 99)} if worse else {}
        move = next_move(plan, parts, runs, now)
        if isinstance(move, Sign):
            number += 1
            parts.append(Part(str(number), move.site, number, move.kind, "signed", now,
                              move.restores))  # fmt: skip
        elif isinstance(move, Withdraw):
            parts = [replace(p, status="withdrawn") if p.id == move.push else p for p in parts]
        elif isinstance(move, Become):
            state = advance(plan.state, move.trigger)
            assert state is not None, (plan.state, move)
            plan = replace(plan, state=state, stage_at=now)
        if plan.state in ENDED:
            break
        now += 10 * HOUR
        for index, each in enumerate(parts):
            if each.status in ("signed", "sent"):
                parts[index] = replace(each, status="sent")
            if parts[index].status in ("sent", "waiting"):
                triggers = ["apply"] if each.kind == "rollback" else ["wait", "apply", "refuse"]
                status = push_after(parts[index].status, data.draw(st.sampled_from(triggers)))
                if status is not None:
                    parts[index] = replace(parts[index], status=status, at=now)
            if parts[index].kind == "rollback" and parts[index].status == "applied":
                parts = [
                    replace(p, status="rolled_back")
                    if p.id == parts[index].restores and p.status in ("sent", "waiting", "applied")
                    else p for p in parts
                ]  # fmt: skip
    assert plan.state in ENDED
    if plan.state == "rolled_back":
        assert not [p for p in parts if p.kind == "release" and p.status == "applied"]


# ranking


def run(version: int, ok: bool, context: str = "a", **more: Any) -> Run:
    return Run(
        more.get("site", "f1"), version, "", ok, more.get("resolve_s", 60.0), context,
        more.get("inputs", {}),
    )  # fmt: skip


def test_the_better_version_leads_with_its_evidence_and_nobody_falls_below_the_floor() -> None:
    runs = [run(1, n % 3 == 0) for n in range(60)] + [run(2, n % 10 > 0) for n in range(60)]
    whole = rank(runs, learner)[-1]
    assert whole.context == REST
    first, second = whole.ranked
    assert (first.version, first.runs, first.succeeded) == (2, 60, 54)
    assert first.best > 0.95
    assert first.low < first.mean
    assert second.weight == pytest.approx(0.05, abs=0.01)
    assert sum(each.weight for each in whole.ranked) == pytest.approx(1.0, abs=0.01)
    assert rank(runs, learner) == rank(runs, learner)
    assert suggested(whole, {"f1": 1, "f2": 2}) == (2, ["f1"])


def test_little_evidence_proposes_nothing_and_no_factory_is_sent_backwards() -> None:
    few = rank([run(1, False)] * 3 + [run(2, True)] * 5, learner)[-1]
    assert suggested(few, {"f1": 1}) is None
    old = rank([run(1, True)] * 60 + [run(2, False)] * 60, learner)[-1]
    assert suggested(old, {"f1": 2}) is None


def test_sooner_well_is_worth_more() -> None:
    slow = [run(1, True, resolve_s=3000.0)] * 30
    fast = [run(2, True, resolve_s=60.0)] * 30
    assert [each.version for each in rank([*slow, *fast], learner)[-1].ranked] == [2, 1]


def test_contexts_are_bounded() -> None:
    many = [run(1, True, f"c{n}") for n in range(10 * MOST_CONTEXTS)]
    found = rank(many, learner)
    assert len(found) == MOST_CONTEXTS + 1
    assert context_of("furnace", "temperature", 9) == "furnace/temperature/08-16"


def test_an_input_is_moved_only_inside_its_bounds_and_to_what_has_been_tried() -> None:
    document = load_text(book(), "noted.yaml").playbook
    runs = [run(1, n % 4 == 0, inputs={"limit_c": 1200}) for n in range(40)]
    runs += [run(1, True, inputs={"limit_c": 1150}) for _ in range(30)]
    runs += [run(1, True, inputs={"limit_c": 1500}) for _ in range(30)]  # out of bounds
    runs += [run(1, True, inputs={"other": 1}) for _ in range(30)]
    (move,) = input_moves(document, runs, learner)
    assert (move.name, move.now, move.proposed, move.least, move.most) == (
        "limit_c", 1200, 1150, 1100, 1300
    )  # fmt: skip
