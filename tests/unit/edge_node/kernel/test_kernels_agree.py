"""The compiled kernel against the pure one, and both against the alarm point's pure function."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.kernel import PureKernel, Rules
from edge_node.kernel.rules import BAD, EQUAL, HIGH, LOW, QUALITIES, STALE
from shared.alarm.point import PointState, Setting, sample, tick
from tests.unit.edge_node.kernel.kernels import COMPILED, KERNELS, Row, feed, state

TAGS = 4
VALUES = (0.0, -0.0, 1.0, 5.0, 7.9, 8.0, 8.1, 9.0, 12.0, math.nan, math.inf, -math.inf, 1e300)
DELAYS = (0, 0, 1, 300, 2000)


class Twins:
    """Two kernels that get the same, and must answer the same."""

    def __init__(self, seed: int) -> None:
        assert COMPILED is not None
        self.random = random.Random(seed)
        self.rules = self._rules()
        self.both = [PureKernel(TAGS, self.rules), COMPILED(TAGS, self.rules)]
        self.now = 1_000_000
        self.offset = 0
        watched = self.random.random() < 0.3
        for kernel in self.both:
            if watched:
                kernel.watch(1)
            for rule in range(0, len(self.rules), 3):
                kernel.load(rule, True, True)
            kernel.start(self.now, {rule: self.now - 700 for rule in range(0, len(self.rules), 2)})
        self.changes = 0

    def _rules(self) -> Rules:
        rules, pick = Rules(), self.random.choice
        orders = self.random.sample(range(100), 100)
        for tag in range(TAGS):
            rows = [
                (tag, pick((HIGH, LOW, EQUAL, STALE, BAD, HIGH)), pick(DELAYS), pick(DELAYS))
                for _ in range(self.random.randrange(0, 7))
            ]
            for order, (_, kind, on_ms, off_ms) in zip(
                sorted(orders.pop() for _ in rows), rows, strict=True
            ):
                limit = pick((500.0, 2500.0)) if kind == STALE else pick((1.0, 5.0, 8.0, 9.0))
                rules.add(tag, kind, limit, pick((0.0, 0.0, 1.5)), on_ms, off_ms, order)
        return rules

    def each(self, name: str, *args: object) -> None:
        """One call on both: the same answer or the same refusal."""
        answers = []
        for kernel in self.both:
            try:
                answers.append(getattr(kernel, name)(*args))
            except ValueError as error:
                answers.append(str(error))
        assert repr(answers[0]) == repr(answers[1]), (name, args)  # NaN differs from itself

    def rows(self) -> list[Row]:
        """A batch, often many samples of one tag, some late, many at the same time."""
        pick, few = self.random.choice, self.random.random() < 0.4
        time = self.now - self.offset - self.random.randrange(0, 3000)
        rows = []
        for _ in range(self.random.randrange(1, 60)):
            time += pick((0, 0, 1, 50, 400, -700))
            tag = 0 if few else self.random.randrange(TAGS)
            far = pick((0,) * 200 + (2**62, -(2**62)))
            rows.append((tag, time + far, pick(VALUES), pick((0,) * 9 + (1, 2, 255))))
        return rows

    def step(self) -> None:
        """One random thing."""
        pick = self.random.choice
        self.now += pick((0, 1, 299, 700, 2500))
        match pick("bbbbtttsxpor"):
            case "b":
                rows = self.rows()
                seen = [feed(kernel, rows, self.now, self.offset) for kernel in self.both]
                assert seen[0] == seen[1]
                self.changes += sum(isinstance(row, tuple) for row in seen[0])
            case "t":
                self.each("tick", self.now)
            case "s" if len(self.rules):
                rule = self.random.randrange(len(self.rules))
                limit = pick((1.0, 4.0, 8.0, 10.0))
                self.each(
                    "set_rule", rule, limit, pick((0.0, 2.0)), pick(DELAYS), pick(DELAYS), self.now
                )
            case "x":
                tag = self.random.randrange(TAGS)
                code, grade = pick((1.0, 5.0, 77.0)), pick((0, 0, 2))
                self.each("sample", tag, self.now - 5, code, grade, self.offset, self.now)
            case "p" if len(self.rules):
                self.each("pause", self.random.randrange(len(self.rules)), pick((True, False)))
            case "r" if len(self.rules):
                rule = self.random.randrange(len(self.rules))
                self.each("pending", rule)
                if self.random.random() < 0.3:
                    self.each("load", rule, pick((True, False)), pick((True, False)))
                self.each("resume", rule, self.now + pick((-10, 0, 700)), 5.0, pick(QUALITIES))
            case "o":
                self.offset = pick((0, 0, 3_600_000, -3_600_000))
        taken = [kernel.take() for kernel in self.both]
        assert taken[0] == taken[1]
        self.changes += len(taken[0])
        assert state(self.both[0]) == state(self.both[1])


@pytest.mark.skipif(COMPILED is None, reason="the compiled kernel is not built")
def test_both_kernels_agree_event_for_event():
    changes = 0
    for seed in range(400):
        twins = Twins(seed)
        for _ in range(40):
            twins.step()
        changes += twins.changes
    assert changes > 50_000  # or it has compared silence


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=150, deadline=None)
@given(
    side=st.sampled_from(["HI", "LO"]),
    numbers=st.tuples(
        st.sampled_from([4.0, 8.0]), st.sampled_from([0.0, 1.0]), st.sampled_from(DELAYS),
        st.sampled_from(DELAYS),
    ),
    steps=st.lists(
        st.tuples(st.sampled_from([0, 1, 200, 900]), st.sampled_from([3.0, 4.5, 7.5, 8.0, 9.0])),
        max_size=40,
    ),
)  # fmt: skip
def test_a_limit_is_the_alarm_point_of_the_shared_function(
    kernel: type[PureKernel], side: str, numbers: tuple[float, float, int, int],
    steps: list[tuple[int, float]],
) -> None:  # fmt: skip
    setting, point = Setting(*numbers), PointState()
    rules = Rules()
    rules.add(0, HIGH if side == "HI" else LOW, *numbers)
    k = kernel(1, rules)
    now, mine, theirs = 1000, [], []
    for gap, value in [*steps, (10_000, 6.0)]:
        now += gap
        k.tick(now)
        point, change = tick(setting, point, now)
        theirs += [change] if change else []
        feed_now = feed(k, [(0, now, value, 0)], now) if gap < 10_000 else k.take()
        mine += ["raise" if row[1] else "clear" for row in feed_now if isinstance(row, tuple)]
        if gap < 10_000:
            point, change = sample(setting, side, point, value, now)  # type: ignore[arg-type]
            theirs += [change] if change else []
    assert mine == theirs
