"""Retry, backoff and jitter of the Open Workflow DSL, exact on a virtual clock.

Source: open-workflow-specification/specification `dsl-reference.md`, commit 4d42471: the example of
Try (lines 1215-1243: delay 3 s, exponential, 5 attempts) and Retry (lines 2172-2216). `delay` is
our `delay`, `backoff` ours, `limit.attempt.count` our `max` (tries after the first),
`limit.duration` the step's `timeout`, `when` our `retry_on`; `jitter` from/to is our share of the
pause either way.
The specification names the three shapes and gives no formula: constant, n-fold and doubling are
what the names say.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from shared.playbook import retries
from shared.playbook.verbs import Retry
from tests.support.playbook_memory import NOW, World, book, finish

S = 1_000


def pauses(rule: dict[str, Any], kind: str = "http_503", **step: Any) -> tuple[list[int], World]:
    """The pauses between the tries of a request that always fails."""
    one = {"id": "call", "http": {"endpoint": "mes"}, "retry": rule, **step}
    world = World(book([one]), results=lambda effect, world: ("failed", {"kind": kind}))
    assert finish(world).status == "failure"
    tried = [row[4] - NOW for row in world.rows if row[0] == "/steps/call" and row[2] == "intent"]
    return [b - a for a, b in itertools.pairwise(tried)], world


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # the specification's example
        ({"delay": "3s", "backoff": "exponential", "max": 5}, [3, 6, 12, 24, 48]),
        ({"delay": "3s", "backoff": "constant", "max": 5}, [3, 3, 3, 3, 3]),
        ({"delay": "3s", "backoff": "linear", "max": 5}, [3, 6, 9, 12, 15]),
        ({"delay": "3s", "backoff": "exponential", "max": 5, "max_delay": "20s"},
         [3, 6, 12, 20, 20]),
    ],
)  # fmt: skip
def test_backoff_is_exact(rule: dict[str, Any], expected: list[int]) -> None:
    assert pauses(rule)[0] == [each * S for each in expected]


def test_the_status_of_the_catch_decides_whether_it_is_tried_again() -> None:
    rule = {"delay": "3s", "max": 5, "retry_on": ["503"]}
    assert len(pauses(rule)[0]) == 5
    assert pauses(rule, kind="http_404")[0] == []


def test_the_limit_of_the_whole_ends_the_tries() -> None:
    rule = {"delay": "3s", "backoff": "exponential", "max": 5}
    found, world = pauses(rule, timeout="10s")
    assert found == [3 * S, 6 * S]  # the next would come at 21 s
    assert world.now == NOW + 10 * S


@pytest.mark.parametrize("jitter", [0.1, 0.5])
@pytest.mark.parametrize("backoff", ["constant", "linear", "exponential"])
def test_jitter_stays_in_its_range_and_fills_it(jitter: float, backoff: str) -> None:
    plain = Retry.model_validate({"delay": "3s", "backoff": backoff, "max": 4})
    moved = Retry.model_validate({"delay": "3s", "backoff": backoff, "max": 4, "jitter": jitter})
    for attempt in (1, 2, 4):
        middle = retries.pause(plain, attempt, "x")
        low, high = round(middle * (1 - jitter)), round(middle * (1 + jitter))
        found = [retries.pause(moved, attempt, f"run-{n}:/steps/a") for n in range(2_000)]
        assert low <= min(found) <= low + 0.02 * middle
        assert high - 0.02 * middle <= max(found) <= high
        assert abs(sum(found) / len(found) - middle) < 0.02 * middle
