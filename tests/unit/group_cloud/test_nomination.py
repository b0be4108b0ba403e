"""Which points the group nominates, and what it takes of what was counted."""

from __future__ import annotations

import struct

import pytest

from group_cloud.application.nominations import DAY_MS, TTL_MS, Issued, _stands, fingerprint
from group_cloud.application.shadow import fault_of
from group_cloud.domain.nomination import Grounds, Nominee, Spot, choose, drifted
from shared.alarm.grid import Grid
from shared.alarm.point import Setting
from shared.messages.bodies import FaultRecord, ShadowCounts, ShadowVerdicts

A, B, C, D = (Spot("e1", name) for name in "abcd")
OTHER = Spot("e2", "a")


def test_what_is_on_trial_comes_first_then_missed_drifted_and_the_worst() -> None:
    grounds = Grounds(
        raised={A: 900.0, B: 5.0, D: 1.0, OTHER: 3.0}, missed={C: 1, B: 2}, drifted=[D],
        candidates={D: Setting(3.0)},
    )  # fmt: skip
    found = choose(grounds, 10)
    assert [(n.spot, n.reason) for n in found["e1"]] == [
        (D, "candidate"), (B, "missed"), (C, "missed"), (A, "worst"),
    ]  # fmt: skip
    assert found["e1"][0].candidate == Setting(3.0)
    assert [n.spot for n in found["e2"]] == [OTHER]


def test_the_budget_holds_for_each_edge_and_the_choice_is_always_the_same() -> None:
    raised = {Spot(edge, f"p{n}"): float(n % 7) for edge in ("e1", "e2") for n in range(500)}
    found = choose(Grounds(raised=raised), 200)
    assert {edge: len(each) for edge, each in found.items()} == {"e1": 200, "e2": 200}
    again = choose(Grounds(raised=dict(reversed(raised.items()))), 200)
    assert found == again
    assert choose(Grounds(raised={A: 0.0}), 5) == {}, "what never was is not nominated"


def test_drift_is_a_move_that_lasts() -> None:
    still = [(day, 10.0, 1.0) for day in range(10)]
    assert not drifted(still)
    assert drifted(still + [(day, 13.0, 1.0) for day in range(10, 14)])
    assert not drifted([*still, (10, 99.0, 1.0)]), "one day is no drift"
    assert not drifted([(day, float(day), 0.0) for day in range(10)]), "no spread, no measure"
    assert not drifted([(0, 1.0, 1.0), (0, 9.0, 1.0)] * 5)


def test_who_floods_most_may_change_places_for_a_day_but_a_trial_is_signed_at_once() -> None:
    worst, other = [Nominee(A, "worst")], [Nominee(B, "worst")]
    trial = [Nominee(B, "candidate", Setting(3.0)), Nominee(A, "worst")]
    issued = Issued(1, fingerprint(worst), b"", b"", 0, TTL_MS)
    assert _stands(issued, fingerprint(worst), DAY_MS * 2)
    assert _stands(issued, fingerprint(other), DAY_MS - 1)
    assert not _stands(issued, fingerprint(other), DAY_MS)
    assert not _stands(issued, fingerprint(trial), 1)
    assert not _stands(issued, fingerprint(worst), TTL_MS - 2 * DAY_MS), "signed anew in time"
    assert fingerprint([Nominee(A, "worst"), Nominee(B, "worst")]) == fingerprint(
        [Nominee(B, "worst"), Nominee(A, "worst")]
    )


GRID = Grid("HI", (1.0, 2.0), (0.0, 0.1))


def counts(**more: object) -> ShadowCounts:
    plain = {
        "site": "f1", "edge": "e1", "alarm": "a", "tag_class": "", "side": "HI", "unit": "",
        "day": 1, "since": 0, "until": 9, "grid": GRID.to_dict(),
        "activations": struct.pack("<4i", 1, 2, 3, 4), "standing": struct.pack("<4f", 1, 2, 3, 4),
        **more,
    }  # fmt: skip
    return ShadowCounts(**plain)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "more",
    [{"activations": b"123"}, {"standing": b""}, {"grid": {}}, {"grid": {"side": "UP"}}],
)
def test_columns_that_do_not_fit_their_grid_are_refused(more: dict) -> None:
    assert fault_of(counts()) == ""
    assert fault_of(counts(**more))


def test_a_verdict_may_say_that_nothing_is_known() -> None:
    unknown = ShadowVerdicts(site="f1", edge="e1", alarm="a", fault="x", grid={}, delays=b"")
    assert fault_of(unknown) == ""
    wrong = ShadowVerdicts(
        site="f1", edge="e1", alarm="a", fault="x", grid=GRID.to_dict(), delays=b"12"
    )
    assert fault_of(wrong)


def test_a_fault_ends_after_it_begins() -> None:
    fault = FaultRecord(
        site="f1", id="x", revision=1, asset="A", line="A", start=5, end=4, cause="", actor="",
        recorded_at=9,
    )  # fmt: skip
    assert fault_of(fault)
