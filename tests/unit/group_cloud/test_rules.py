"""Guardrails, the life cycle of a rollout, the words of a proposal."""

from __future__ import annotations

import itertools

import pytest

from group_cloud.domain.evidence import Score, Suggestion
from group_cloud.domain.guardrails import DIRECTIVE_TTL_MS, Guardrails, expired, expiry
from group_cloud.domain.proposal import Subject, explain
from group_cloud.domain.rollout import REPORTED, STATUSES, advance
from shared.alarm.definition import Bounds, Words
from shared.alarm.point import Setting
from tests.unit.group_cloud.learning_world import BOUNDS, CURRENT, STEP, setting

RAILS = Guardrails(BOUNDS, STEP)


class TestGuardrails:
    @pytest.mark.parametrize(
        "new", [setting(1236.5), setting(1243.0), setting(1217.0), setting(1230.0, 3_000)]
    )
    def test_small_steps_inside_the_bounds_pass(self, new: Setting):
        assert RAILS.refuse(CURRENT, new) is None

    @pytest.mark.parametrize(
        ("new", "code"),
        [
            (setting(1249.5), "step_too_large"),
            (setting(1266.0), "limit_outside_bounds"),
            (setting(1230.0, 3_001), "delay_step_too_large"),
            (Setting(1230.0, 5.0, 1_000, 7_000), "delay_step_too_large"),
            (setting(1230.0, 60_001), "on_delay_outside_bounds"),
        ],
    )
    def test_leaps_are_refused(self, new: Setting, code: str):
        refusal = RAILS.refuse(CURRENT, new)
        assert refusal is not None
        assert refusal.code == code

    def test_locked_and_safety_points_are_refused(self):
        locked = Guardrails(Bounds(1200.0, 1265.0, locked=True), STEP)
        refusal = locked.refuse(CURRENT, setting(1236.5))
        assert refusal is not None
        assert refusal.code == "point_locked"

    def test_where_there_is_no_delay_yet_three_seconds_are_a_step(self):
        none = setting(1230.0, 0)
        assert RAILS.refuse(none, setting(1230.0, 3_000)) is None
        assert RAILS.refuse(none, setting(1230.0, 3_001)) is not None

    def test_an_unknown_step_allows_no_move_of_the_limit(self):
        assert Guardrails(BOUNDS, 0.0).refuse(CURRENT, setting(1231.0)) is not None

    def test_expiry(self):
        assert not expired(expiry(1_000), 1_000 + DIRECTIVE_TTL_MS - 1)
        assert expired(expiry(1_000), 1_000 + DIRECTIVE_TTL_MS)


class TestRollout:
    def test_the_usual_way(self):
        status = "signed"
        for trigger in ("send", "relay", "apply", "roll_back"):
            status = advance(status, trigger)
            assert status is not None
        assert status == "rolled_back"

    def test_every_pair_of_state_and_trigger(self):
        allowed = {
            ("signed", "send"): "sent",
            ("sent", "send"): "sent",
            ("sent", "relay"): "relayed",
            ("sent", "wait"): "waiting",
            ("waiting", "relay"): "relayed",
            ("waiting", "apply"): "applied",
            ("waiting", "refuse"): "refused",
            ("waiting", "supersede"): "rolled_back",
            ("sent", "apply"): "applied",
            ("relayed", "apply"): "applied",
            ("signed", "refuse"): "refused",
            ("sent", "refuse"): "refused",
            ("relayed", "refuse"): "refused",
            ("relayed", "roll_back"): "rolled_back",
            ("applied", "roll_back"): "rolled_back",
            ("signed", "supersede"): "rolled_back",
            ("sent", "supersede"): "rolled_back",
            ("relayed", "supersede"): "rolled_back",
        }
        triggers = {"send", "supersede", *REPORTED.values()}
        for status, trigger in itertools.product(STATUSES, triggers):
            assert advance(status, trigger) == allowed.get((status, trigger)), (status, trigger)

    def test_unknown_triggers_mean_nothing(self):
        assert advance("sent", "explode") is None


class TestExplanation:
    SUBJECT = Subject(
        "FUR-01.TT-101.HI", Words("一段炉温高", "Zone 1 temperature high"), "°C", BOUNDS
    )

    @staticmethod
    def score(of: Setting, false: int, missed: int, delay: float) -> Score:
        return Score(of, false, missed, delay, delay * 3, 0.0, 0.0, 0.0)

    def test_three_sentences_with_figures_in_both_languages(self):
        found = Suggestion(
            self.score(CURRENT, 4, 0, 0.0), self.score(setting(1236.5, 3_000), 0, 0, 2.6),
            [], 7, 3, 4, 0, ["a", "b", "c", "d"], ["x", "y", "z"],
        )  # fmt: skip
        words = explain(self.SUBJECT, found)
        assert words.en == (
            "Zone 1 temperature high (FUR-01.TT-101.HI) has 7 judged alarms: 4 nuisance, 3 true. "
            "With the limit at 1236.5 °C instead of 1230 and an on-delay of 3 s instead of 1 s, "
            "false alarms go from 4 to 0 and missed alarms from 0 to 0. "
            "3 true alarms would come later, on average 0.0 s becomes 2.6 s; "
            "the new values stay inside the engineer's bounds of 1200 - 1265 °C."
        )
        for part in ("一段炉温高", "4 次误报", "3 次真报警", "限值由 1230 改为 1236.5 °C", "2.6 s"):
            assert part in words.zh
        assert words.zh.count("。") == 3

    def test_what_does_not_change_is_not_mentioned(self):
        found = Suggestion(
            self.score(CURRENT, 4, 0, 0.0), self.score(setting(1230.0, 3_000), 0, 0, 0.0),
            [], 5, 1, 4, 0,
        )  # fmt: skip
        words = explain(self.SUBJECT, found)
        assert "limit at" not in words.en
        assert "No true alarm would come later" in words.en
        assert "限值由" not in words.zh
