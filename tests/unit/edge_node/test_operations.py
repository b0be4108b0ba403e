"""Limits, rates and ranks of device operations."""

from __future__ import annotations

import pytest

from edge_node.domain.operations import Arbitration, PlannedWrite, RateLimit, plan
from shared.errors import Rejected
from shared.site.model import OperationSpec

SET = OperationSpec(write="40001", arg="pct", min=20, max=100, max_step=30, scale=0.1)


def code(result: PlannedWrite | Rejected) -> str:
    return result.code if isinstance(result, Rejected) else "ok"


def test_a_value_is_scaled_to_the_device_and_back() -> None:
    planned = plan(SET, {"pct": 60}, 50.0, keyed=False)
    assert isinstance(planned, PlannedWrite)
    assert (planned.value, planned.in_unit(600)) == (600.0, 60.0)


@pytest.mark.parametrize(
    ("args", "before", "why"),
    [
        ({"pct": 19.9}, 30.0, "out_of_range"),
        ({"pct": float("nan")}, 30.0, "bad_argument"),
        ({"pct": "60"}, 30.0, "bad_argument"),
        ({"pct": True}, 30.0, "bad_argument"),
        ({}, 30.0, "bad_argument"),
        ({"pct": 60, "x": 1}, 30.0, "bad_argument"),
        ({"pct": 61}, 30.0, "step_too_large"),
        ({"pct": 60}, None, "no_base_value"),
    ],
)
def test_refusals(args: dict[str, object], before: float | None, why: str) -> None:
    assert code(plan(SET, args, before, keyed=False)) == why


def test_fixed_and_named_values() -> None:
    stop = OperationSpec(write="stop")
    speed = OperationSpec(write="set_speed", arg="speed")
    on = OperationSpec(write="coil", value=False)
    values = [
        p.value if isinstance(p := plan(spec, args, None, keyed), PlannedWrite) else p
        for spec, args, keyed in (
            (stop, {}, True), (speed, {"speed": 60}, True), (on, {}, False), (stop, {}, False),
        )
    ]  # fmt: skip
    assert values == [{}, {"speed": 60.0}, False, True]


def test_rate_limit_is_a_sliding_minute() -> None:
    rates = RateLimit()
    for now in (0, 30_000):
        assert rates.check("d", "o", 2, now) is None
        rates.count("d", "o", now)
    assert code(rates.check("d", "o", 2, 59_999)) == "rate_limited"  # type: ignore[arg-type]
    assert rates.check("d", "o", 2, 60_000) is None
    assert rates.check("d", "other", 2, 59_999) is None


def test_a_reflex_outranks_a_command() -> None:
    seat = Arbitration()
    seat.enter("d", "command")
    assert seat.outranked("d", "reflex") is None
    seat.enter("d", "reflex")
    assert seat.outranked("d", "command") is not None
    assert seat.outranked("other", "command") is None
    seat.leave("d", "reflex")
    assert seat.outranked("d", "command") is None


def test_a_method_takes_its_arguments_from_the_operation() -> None:
    spec = OperationSpec(write="method:i=85|ns=2;s=Do", arg="pct", min=0, value=[7, "$pct", "x"])
    planned = plan(spec, {"pct": 60}, None, keyed=False)
    assert isinstance(planned, PlannedWrite)
    assert planned.value == [7, 60.0, "x"]
    assert code(plan(spec, {"pct": -1}, None, keyed=False)) == "out_of_range"
    fixed = plan(OperationSpec(write="method:i=85|ns=2;s=Do", value=[1]), {}, None, keyed=False)
    assert isinstance(fixed, PlannedWrite)
    assert fixed.value == [1]
