"""The life cycle, the waves and the health gate of roll-outs, without any store."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout_gate import Factory, Shadowed, Watched, band, lower, upper
from group_cloud.domain.rollout_plan import ENDED, STATES, TRANSITIONS, Change, Plan, advance
from group_cloud.domain.rollout_policy import BUILT_IN, STAGES, Policy, Stage, fault_of
from group_cloud.domain.rollout_step import Become, Exclude, Hold, Seen, Sent, Sign, next_move
from shared.alarm.point import Setting

DAY = 86_400_000
OLD, NEW = Setting(100.0), Setting(110.0)


def change(site: str, edge: str, alarm: str, **more: object) -> Change:
    line = alarm.partition(".")[0]
    return Change(Point(site, edge, alarm), line, OLD, NEW, **more)  # type: ignore[arg-type]


A = change("f1", "e1", "L1.A", per_day=10.0)
B = change("f1", "e1", "L2.B")
B2 = change("f1", "e1", "L2.C")
C = change("f2", "e3", "L9.D")


def plan(state: str, stage: Stage | None = None, **more: object) -> Plan:
    plain = Plan(
        "r", state, "careful", BUILT_IN["careful"], (A, B, B2, C), (), 0, "li", 90 * DAY, stage,  # type: ignore[arg-type]
    )  # fmt: skip
    return replace(plain, **more)


def sent(of: Change, status: str = "applied", kind: str = "settings", **more: object) -> Sent:
    plain = Sent(of.target, "all", kind, status, 0, frozenset({of.point.alarm}))  # type: ignore[arg-type]
    return replace(plain, **more)


class TestLifeCycle:
    def test_every_pair_of_state_and_trigger_is_as_drawn(self) -> None:
        triggers = {each["trigger"] for each in TRANSITIONS}
        drawn: dict[tuple[str, str], str] = {}
        for each in TRANSITIONS:
            sources = each["source"] if isinstance(each["source"], list) else [each["source"]]
            drawn |= {(source, each["trigger"]): each["dest"] for source in sources}
        for state, trigger in itertools.product(STATES, triggers):
            assert advance(state, trigger) == drawn.get((state, trigger))

    def test_what_has_ended_stays_so_and_no_stage_comes_back(self) -> None:
        triggers = {each["trigger"] for each in TRANSITIONS}
        for state, trigger in itertools.product(ENDED, triggers):
            assert advance(state, trigger) is None
        for early, late in itertools.combinations(STAGES, 2):
            assert advance(late, f"enter_{early}") is None
        for trigger in triggers - {"settle"}:  # taking back is never given up
            assert advance("rolling_back", trigger) is None


class TestPolicy:
    def test_the_built_in_ones_can_be_used(self) -> None:
        assert [fault_of(each) for each in BUILT_IN.values()] == ["", "", ""]
        for each in BUILT_IN.values():
            assert Policy.from_dict(each.to_dict()) == each

    @pytest.mark.parametrize(
        "wrong",
        [
            Policy(stages=("shadow",)), Policy(stages=()), Policy(stages=("all", "dry_run")),
            Policy(dwell_s={"lunch": 1}), Policy(alpha=0), Policy(slack=0.5),
            Policy(min_coverage=2), Policy(answer_s=-1), Policy(dwell_s={"all": -1}),
        ],
    )  # fmt: skip
    def test_others_say_why_not(self, wrong: Policy) -> None:
        assert fault_of(wrong)

    def test_the_smallest_line_goes_first_then_its_factory(self) -> None:
        waves = {stage: [c.point.alarm for c in plan("all").wave(stage)] for stage in STAGES}
        assert waves["canary_line"] == ["L1.A"]
        assert waves["canary_factory"] == ["L2.B", "L2.C"]
        assert waves["all"] == ["L9.D"]
        chosen = replace(BUILT_IN["careful"], canary_site="f2")
        first = plan("all", policy=chosen).wave("canary_line")
        assert [c.point.alarm for c in first] == ["L9.D"]
        one = replace(chosen, stages=("all",))
        assert len(plan("all", policy=one).wave("all")) == 4


def chance_of_more(mean: float, count: int) -> float:
    total, term = 0.0, math.exp(-mean)
    for k in range(count + 1):
        total += term
        term *= mean / (k + 1)
    return 1 - total


class TestBand:
    @given(st.floats(0.01, 200), st.sampled_from([0.05, 0.001]))
    def test_it_is_the_poisson_band(self, mean: float, alpha: float) -> None:
        high, low = upper(mean, alpha), lower(mean, alpha)
        assert chance_of_more(mean, high) < alpha + 1e-12
        assert high == 0 or chance_of_more(mean, high - 1) >= alpha - 1e-12
        assert low == 0 or 1 - chance_of_more(mean, low - 1) < alpha + 1e-12
        assert 0 <= low <= mean <= high + 1

    def test_large_means_go_on_smoothly(self) -> None:
        assert abs(upper(499.9, 0.001) - upper(500.1, 0.001)) <= 2
        assert abs(lower(499.9, 0.001) - lower(500.1, 0.001)) <= 2

    def test_without_a_forecast_only_more_than_before_is_wrong(self) -> None:
        before = change("f1", "e1", "L1.A", before_per_day=10.0)
        least, most = band(before, 1.0, Policy())
        assert least == 0
        assert most is not None
        assert 15 < most < 40
        assert band(B, 1.0, Policy()) == (0, None)


class TestMoves:
    def test_the_canary_fails_on_refusal_and_ends_without_a_trace(self) -> None:
        refused = sent(A, "refused", code="limit_outside_bounds", params={"alarm": "L1.A"})
        found = next_move(plan("canary_line", "canary_line"), [refused], Seen(), 1)
        assert isinstance(found, Become)
        assert (found.trigger, found.code) == ("refuse", "limit_outside_bounds")
        other = replace(refused, params={"alarm": "L7.OLD"})
        again = next_move(plan("canary_line", "canary_line"), [other], Seen(), 1)
        assert again == Sign("settings", A.target, (A,))  # an older setting was to blame

    def test_a_factory_that_refuses_later_is_left_out(self) -> None:
        refused = sent(C, "refused", code="point_locked", params={"alarm": "L9.D"})
        found = next_move(plan("all", "all"), [refused], Seen(), 1)
        assert found == Exclude((C.point,), "point_locked", {"alarm": "L9.D"})

    def test_too_few_alarms_fail_only_when_the_time_is_over(self) -> None:
        watched = Watched(A.point, 0, 3 * DAY, 0)
        seen = Seen({A.point: watched}, {}, {"f1": Factory(9 * DAY)})
        going = plan("canary_line", "canary_line")
        assert isinstance(next_move(going, [sent(A)], seen, 1000), Hold)
        found = next_move(going, [sent(A)], seen, 3 * DAY)
        assert isinstance(found, Become)
        assert (found.trigger, found.code) == ("fail", "rate_below_forecast")

    def test_it_goes_on_only_with_the_factorys_whole_story_and_all_its_edges(self) -> None:
        going = plan("canary_line", "canary_line")
        seen = Seen({A.point: Watched(A.point, 0, DAY, 10)}, {}, {"f1": Factory(DAY - 1)})
        found = next_move(going, [sent(A)], seen, DAY)
        assert isinstance(found, Hold)
        assert found.code == "factory_silent"
        dark = replace(seen, factories={"f1": Factory(DAY, 1)})
        found = next_move(going, [sent(A)], dark, DAY)
        assert isinstance(found, Hold)
        assert found.code == "edges_offline"
        whole = replace(seen, factories={"f1": Factory(DAY)})
        assert next_move(going, [sent(A)], whole, DAY) == Become("enter_canary_factory")

    def test_shadow_wants_coverage_and_its_candidate_within_the_band(self) -> None:
        going = plan("shadow", "shadow", changes=(A,))

        def after(days: float, alarms: float, *missed: str) -> object:
            seen = Seen(shadowed={A.point: Shadowed(A.point, days, alarms, missed)})
            return next_move(going, [], seen, 7 * DAY)

        assert after(5.0, 50) == Hold("coverage", {"points": [str(A.point)], "days": 5.6})
        assert after(6.5, 65) == Become("enter_canary_line")
        for days, alarms, missed, code in (
            (6.5, 300.0, (), "rate_above_forecast"), (6.5, 0.0, (), "rate_below_forecast"),
            (6.5, 65.0, ("f-1",), "fault_missed"),
        ):  # fmt: skip
            found = after(days, alarms, *missed)
            assert isinstance(found, Become)
            assert (found.trigger, found.code) == ("refuse", code)

    def test_a_dry_run_that_contradicts_the_forecast_ends_it(self) -> None:
        ran = {"alarms": {"L1.A": {"new": [200, 1.0], "coverage_s": 86_400.0}}}
        done = [sent(A, kind="dry_run", params=ran)]
        going = plan("dry_run", "dry_run", changes=(A,))
        found = next_move(going, done, Seen(), 1)
        assert isinstance(found, Become)
        assert (found.trigger, found.code) == ("refuse", "rate_above_forecast")
        ran["alarms"]["L1.A"]["new"] = [12, 1.0]
        assert next_move(going, done, Seen(), 1) == Become("enter_shadow")

    def test_what_the_group_gave_up_as_expired_is_taken_back_all_the_same(self) -> None:
        given_up = sent(A, "refused", code="expired")
        back = next_move(plan("rolling_back", "canary_line"), [given_up], Seen(), 1)
        assert back == Sign("rollback", A.target, (A,))

    def test_a_rollback_that_is_refused_is_tried_again_without_what_was_named(self) -> None:
        both = replace(sent(B), alarms=frozenset({"L2.B", "L2.C"}))
        named = sent(B, "refused", "rollback", code="point_locked", params={"alarm": "L2.B"})
        going = plan("rolling_back", "canary_factory")
        assert isinstance(next_move(going, [both, named], Seen(), 59_999), Hold)
        again = next_move(going, [both, named], Seen(), 60_000)
        assert again == Sign("rollback", B.target, (B2,))

    @pytest.mark.parametrize("code", ["superseded", "overtaken"])
    def test_what_a_newer_directive_may_carry_is_taken_back_too(self, code: str) -> None:
        refused = sent(A, "refused", code=code)
        back = next_move(plan("rolling_back", "canary_line"), [refused], Seen(), 1)
        assert back == Sign("rollback", A.target, (A,))

    def test_superseded_at_the_canary_is_not_an_end_without_a_trace(self) -> None:
        refused = sent(A, "refused", code="superseded")
        found = next_move(plan("canary_line", "canary_line"), [refused], Seen(), 1)
        assert isinstance(found, Become)
        assert (found.trigger, found.code) == ("fail", "superseded")
        last = sent(C, "refused", code="superseded")
        assert next_move(plan("all", "all"), [last], Seen(), 1) == Sign("settings", C.target, (C,))

    def test_what_a_rollback_overtook_is_signed_again(self) -> None:
        refused = sent(A, "refused", code="overtaken")
        again = next_move(plan("canary_line", "canary_line"), [refused], Seen(), 1)
        assert again == Sign("settings", A.target, (A,))

    def test_it_does_not_say_that_all_is_back_while_the_plant_forbids_one(self) -> None:
        both = replace(sent(B), alarms=frozenset({"L2.B", "L2.C"}))
        named = sent(B, "refused", "rollback", code="point_locked", params={"alarm": "L2.B"})
        back = replace(sent(B2, "applied", "rollback"), alarms=frozenset({"L2.C"}))
        going = plan("rolling_back", "canary_factory", code="fault_missed")
        found = next_move(going, [both, named, back], Seen(), 60_000)
        lost = {"alarms": ["f1.e1/L2.B"], "why": "fault_missed"}
        assert found == Become("settle", "not_taken_back", lost)
        whole = replace(back, alarms=both.alarms)
        assert next_move(going, [both, whole], Seen(), 1) == Become("settle", "fault_missed", {})


class TestAClockThatIsWrong:
    """An edge that calls every directive expired at once, though its time is not over."""

    @staticmethod
    def run(going: Plan, of: Change, kind: str, turns: int) -> tuple[list[int], object]:
        """Times at which it was signed anew over so many minutes, and the last move."""
        signed, told, move = list[int](), list[Sent](), None
        for now in range(0, turns * 60_000, 60_000):
            move = next_move(going, told, Seen(), now)
            if not isinstance(move, Sign):
                if isinstance(move, Exclude):
                    break
                continue
            signed.append(now // 60_000)
            early = sent(of, "refused", kind, at=now, code="expired", expires_at=now + DAY)
            told.append(early)
        return signed, move

    def test_a_rehearsal_is_tried_a_few_times_and_then_left_out(self) -> None:
        going = plan("dry_run", "dry_run", changes=(A,))
        signed, move = self.run(going, A, "dry_run", 60)
        assert signed == [0, 1, 3, 7, 15]
        assert move == Exclude((A.point,), "expired", {})

    def test_the_change_is_tried_more_and_more_seldom(self) -> None:
        going = plan("all", "all", changes=(A, C))
        signed, move = self.run(going, C, "settings", 60)
        assert signed == [0, 1, 3, 7, 15, 31]
        assert isinstance(move, Hold)
        assert move.until == 63 * 60_000

    def test_a_rollback_is_never_given_up_yet_not_signed_all_the_time(self) -> None:
        ran = sent(A)
        told, signed = [ran], list[int]()
        for minute in range(400):
            now = minute * 60_000
            move = next_move(plan("rolling_back", "canary_line"), told, Seen(), now)
            if isinstance(move, Sign):
                signed.append(minute)
                early = sent(A, "refused", "rollback", at=now, code="expired", expires_at=now + DAY)
                told.append(early)
        assert signed == [0, 1, 3, 7, 15, 31, 63, 127, 191, 255, 319, 383]
