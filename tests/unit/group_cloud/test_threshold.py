"""The expert bank: one list of checks that every learner must pass, then its own rules."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from group_cloud.domain.evidence import Costs, Gate, Suggestion
from group_cloud.domain.guardrails import Guardrails
from group_cloud.learning.registry import fingerprint, next_version
from group_cloud.learning.river_parts import new_adwin
from group_cloud.learning.threshold import ExpertBank, UnlabelledError
from shared.alarm.point import Setting
from shared.alarm.shadow import candidates
from tests.unit.group_cloud.learning_world import (
    BOUNDS,
    CURRENT,
    STEP,
    TRIED,
    history,
    nuisance,
    peak,
    setting,
    true,
)

RAILS = Guardrails(BOUNDS, STEP)


def inside(now: Setting, new: Setting) -> bool:
    return RAILS.refuse(now, new) is None


def anything(_: Setting, __: Setting) -> bool:
    return True


def fed(records: list, **options: object) -> ExpertBank:
    bank = ExpertBank(**options)  # type: ignore[arg-type]
    for x, y in records:
        bank.learn_one(x, y)
    return bank


def check_deterministic(make: Callable[[], ExpertBank]) -> None:
    first, second = make(), make()
    for x, y in history(1, 60):
        first.learn_one(x, y)
        second.learn_one(x, y)
        assert first.propose(inside) == second.propose(inside)


def check_order_does_not_matter(make: Callable[[], ExpertBank]) -> None:
    records = history(2, 80)
    straight = make()
    for x, y in records:
        straight.learn_one(x, y)
    for seed in range(5):
        mixed = make()
        shuffled = records + random.Random(seed).sample(records, 20)
        random.Random(seed).shuffle(shuffled)
        for x, y in shuffled:
            mixed.learn_one(x, y)
            mixed.propose(inside)
        assert mixed.propose(inside) == straight.propose(inside)


def check_survives_snapshot(make: Callable[[], ExpertBank]) -> None:
    bank = make()
    for x, y in history(3, 700):
        bank.learn_one(x, y)
    plain = json.loads(json.dumps(bank.snapshot()))
    again = ExpertBank.restore(plain)
    assert again.propose(inside) == bank.propose(inside) is not None
    x, y = nuisance(9_000)
    bank.learn_one(x, y)
    again.learn_one(x, y)
    assert again.propose(inside) == bank.propose(inside)
    assert again.snapshot() == bank.snapshot()


def check_bounded_memory(make: Callable[[], ExpertBank]) -> None:
    bank = make()
    for x, y in history(4, 3_000):
        bank.learn_one(x, y)
        assert len(bank) <= 500
    assert len(json.dumps(bank.snapshot())) < 1_500_000


def check_never_mutates_input(make: Callable[[], ExpertBank]) -> None:
    bank = make()
    for x, y in history(5, 40):
        before = (x.occurrence, x.raised_at, x.current, dict(x.verdicts))
        bank.learn_one(x, y)
        bank.propose(inside)
        assert (x.occurrence, x.raised_at, x.current, x.verdicts) == before


def check_never_outside_guardrails(make: Callable[[], ExpertBank]) -> None:
    """Even when what a factory sent holds candidates that it should never have tried."""
    wild = [*TRIED, setting(1400.0), setting(1262.0), setting(1230.0, 500_000)]
    chance = random.Random(6)
    for _ in range(20):
        bank = make()
        for n in range(30):
            x = peak(n, chance.uniform(1231, 1260), chance.uniform(1.2, 300), tried=wild)
            bank.learn_one(x, "nuisance" if chance.random() < 0.8 else "true")
            found = bank.propose(inside)
            if found is not None:
                assert RAILS.refuse(found.current.setting, found.proposed.setting) is None


def check_gate_is_one_sided(make: Callable[[], ExpertBank]) -> None:
    for seed in range(30):
        bank = make()
        for x, y in history(100 + seed, 40):
            bank.learn_one(x, y)
        found = bank.propose(anything)
        if found is None:
            continue
        now, new = found.current, found.proposed
        assert new.missed < now.missed or (
            new.missed == now.missed and new.false_alarms < now.false_alarms
        )


def check_refuses_unlabelled(make: Callable[[], ExpertBank]) -> None:
    for label in ("", "drill", "unknown", "True"):
        bank = make()
        for x, y in history(7, 20):
            bank.learn_one(x, y)
        before = (bank.snapshot(), bank.propose(inside))
        with pytest.raises(UnlabelledError):
            bank.learn_one(peak(5_000, 1500.0, 9_999.0), label)
        assert (bank.snapshot(), bank.propose(inside)) == before


LEARNER_CHECKS = [
    check_deterministic,
    check_order_does_not_matter,
    check_survives_snapshot,
    check_bounded_memory,
    check_never_mutates_input,
    check_never_outside_guardrails,
    check_gate_is_one_sided,
    check_refuses_unlabelled,
]


@pytest.mark.parametrize("check", LEARNER_CHECKS, ids=lambda c: c.__name__)
def test_check_learner(check: Callable[[Callable[[], ExpertBank]], None]):
    check(ExpertBank)


class TestProposals:
    def test_short_peaks_called_nuisance_bring_a_longer_delay_or_a_higher_limit(self):
        bank = fed([nuisance(1), nuisance(2), true(3), nuisance(4)])
        found = bank.propose(inside)
        assert found is not None
        assert (found.current.setting, found.current.false_alarms) == (CURRENT, 3)
        assert (found.proposed.false_alarms, found.proposed.missed) == (0, 0)
        assert found.vanish == ["occ-0001", "occ-0002", "occ-0004"]
        assert (found.labelled, found.true_alarms, found.nuisance) == (4, 1, 3)
        assert len(found.scores) == len(TRIED)

    def test_the_cheapest_way_wins_delay_in_hours_counts(self):
        bank = fed([nuisance(1), nuisance(2), true(3), nuisance(4)])
        found = bank.propose(inside)
        assert found is not None
        # 1236.5 costs 0.65 s of delay, on-delay x3 costs 2 s.
        assert found.proposed.setting == setting(1236.5, 0)
        assert found.proposed.total_delay_s == pytest.approx(0.0)

    def test_a_true_alarm_that_would_be_missed_forbids_it(self):
        low_truth = peak(3, 1233.0, 2.0)
        assert (
            fed([nuisance(1), nuisance(2), (low_truth, "true"), nuisance(4)]).propose(inside)
            is None
        )

    def test_without_enough_evidence_nothing_is_proposed(self):
        assert fed([nuisance(1), nuisance(2), true(3)]).propose(inside) is None
        assert fed([nuisance(1), nuisance(2), nuisance(3)]).propose(inside) is None
        assert fed([nuisance(1)], gate=Gate(1, 0)).propose(inside) is not None

    def test_a_missed_true_alarm_tightens_even_if_it_costs_false_ones(self):
        seen_by_lower_only = peak(9, 1228.0, 60.0)
        records = [*(nuisance(n) for n in range(4)), (seen_by_lower_only, "true")]
        found = fed(records).propose(inside)
        assert found is not None
        assert found.proposed.setting.limit == 1223.5
        assert found.current.missed == 1
        assert found.proposed.missed == 0

    def test_an_untried_candidate_is_believed_the_worst_of(self):
        fewer = [s for s in TRIED if s.limit <= 1230.0 and s.on_delay_ms <= 1_000]
        old = peak(0, 1290.0, 600.0, tried=fewer)
        records = [(old, "true"), *(nuisance(n) for n in range(1, 5))]
        assert fed(records).propose(inside) is None
        assert fed([*records[1:], true(5)]).propose(inside) is not None

    def test_a_changed_setting_starts_from_the_records_that_know_it(self):
        moved = setting(1236.5)
        tried = list(candidates(moved, "HI", BOUNDS, STEP).values())
        bank = fed([nuisance(1), nuisance(2), true(3), nuisance(4)])
        bank.learn_one(peak(10, 1290, 600, moved, tried), "true")
        assert bank.propose(inside) is None
        for n in range(11, 14):
            bank.learn_one(peak(n, 1240, 2.0, moved, tried), "nuisance")
        found = bank.propose(inside)
        assert found is not None
        assert found.current.setting == moved


class TestLabels:
    def test_a_repeated_label_changes_nothing(self):
        bank = fed([nuisance(1), nuisance(2), true(3), nuisance(4)])
        before = bank.propose(inside)
        assert bank.learn_one(*nuisance(1)) is False
        assert bank.propose(inside) == before

    def test_a_corrected_label_replaces_the_first(self):
        bank = fed([nuisance(1), nuisance(2), true(3), nuisance(4)])
        assert bank.learn_one(nuisance(4)[0], "true") is True
        assert len(bank) == 4
        assert bank.propose(inside) is None
        expected = fed([nuisance(1), nuisance(2), true(3), (nuisance(4)[0], "true")])
        assert bank.snapshot() == expected.snapshot()

    def test_a_withdrawn_label_is_forgotten(self):
        bank = fed([nuisance(1), nuisance(2), true(3), nuisance(4)])
        assert bank.forget("occ-0004")
        assert not bank.forget("occ-0004")
        assert bank.propose(inside) is None

    def test_no_verdict_of_the_current_setting_is_no_evidence(self):
        x = peak(1, 1233.0, 2.0, tried=[setting(1240.0)])
        with pytest.raises(UnlabelledError):
            ExpertBank().learn_one(x, "nuisance")

    def test_true_alarms_outlive_nuisance_when_records_are_dropped(self):
        bank = fed([true(0), *(nuisance(n) for n in range(1, 2_000))])
        assert any(r["label"] == "true" for r in bank.snapshot()["records"])
        assert bank.propose(inside) is not None


class TestStaleness:
    def test_adwin_sees_a_change_of_the_label_rate(self):
        detector = new_adwin()
        seen = False
        for n in range(400):
            detector.update(1.0 if n < 200 else 0.0)
            seen = seen or detector.drift_detected
        assert seen

    def test_old_nuisance_goes_stale_and_old_truth_does_not(self):
        # For months every peak was a nuisance; then the burner was repaired and all is real.
        before = [nuisance(n) for n in range(200)]
        low_truth = (peak(200, 1234.0, 100.0), "true")
        after = [true(n) for n in range(201, 400)]
        assert fed(before + after[:1]).propose(inside) is not None
        quiet = fed([*before, low_truth, *after, *(nuisance(n) for n in range(400, 404))])
        found = quiet.propose(inside)
        assert found is not None
        # ADWIN cuts by whole buckets, so some of the old ones remain.
        assert found.stale_nuisance > 100
        assert found.nuisance + found.stale_nuisance == 204
        assert found.current.false_alarms == found.nuisance
        # The low true alarm of the old days still stands in the way of a higher limit.
        assert found.proposed.setting.limit <= 1230.0
        assert found.proposed.missed == 0
        assert found.true_alarms == 200


class TestRegistry:
    def test_fingerprint_depends_on_labels_not_on_order(self):
        assert fingerprint([("a", "true"), ("b", "nuisance")]) == fingerprint(
            [("b", "nuisance"), ("a", "true")]
        )
        assert fingerprint([("a", "true")]) != fingerprint([("a", "nuisance")])

    def test_same_evidence_makes_no_new_version(self):
        first = next_version("threshold/x", None, "f1", {})
        assert first is not None
        assert (first.version, first.parent) == (1, None)
        assert next_version("threshold/x", (1, "f1"), "f1", {}) is None
        second = next_version("threshold/x", (1, "f1"), "f2", {})
        assert second is not None
        assert (second.version, second.parent) == (2, 1)


def test_objective_weighs_misses_above_all():
    costs = Costs()
    assert costs.of(1, 0, 0) == 1
    assert costs.of(0, 1, 0) == 1000
    assert costs.of(0, 0, 3600) == 20
    assert isinstance(fed(history(8, 50)).propose(inside), Suggestion)
