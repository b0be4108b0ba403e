"""Orquesta's status algebra: what a parent becomes by how its parts have ended.

Source: github.com/StackStorm/orquesta, commit 8c67ef31f8af8e1e03465b7f44a315a32d1e1e02, folder
`orquesta/tests/unit/conducting` (named at each case) and the workflows of
`orquesta/tests/fixtures/workflows/native`. Tasks are `command` steps here, the mocked results are
the edge's, and `SUCCEEDED`, `FAILED`, `CANCELED`, `PAUSED` are `success`, `failure`, `cancelled`
and a suspended run that begins nothing.

Different on purpose: a join that is satisfied stops the branches that are not needed (Orquesta
lets them run on and stays RUNNING); a failed task with a handler ends its run well only inside
`try` (a run's own `catch` is for what went wrong, so the run has failed). Left out: cycles by
jumps, reruns of a failed task and routes (`__r1`), for which the language has no words.
"""

from __future__ import annotations

from typing import Any

import pytest

from shared.playbook.journal import Effect
from tests.support.playbook_memory import Engine, Result, World, book, finish

Steps = list[dict[str, Any]]


def task(number: int | str, **more: Any) -> dict[str, Any]:
    command = {"device": "d", "op": "set", "expires": "10s"}
    return {"id": f"task{number}", "command": command, **more}


def world(steps: Steps, failing: tuple[str, ...] = (), **more: Any) -> World:
    def results(effect: Effect, here: World) -> Result:
        name = effect.path.rpartition("/")[2]
        item = effect.path.split("/")[-2]
        if name in failing or f"{name}[{item}]" in failing:
            return "failed", {"kind": "refused"}
        return "done", {}

    return World(book(steps, **more), results=results)


def ran(found: World) -> list[str]:
    return [path.rpartition("/")[2] for path in found.order]


# native/test_workflow_join.py with join.yaml: two branches, then a task that joins all.
JOIN: Steps = [
    task(1),
    {"id": "both", "parallel": {"branches": [
        {"id": "left", "steps": [task(2), task(3)]},
        {"id": "right", "steps": [task(4), task(5)]},
    ]}},
    task(6), task(7),
]  # fmt: skip


@pytest.mark.parametrize(
    ("failing", "status", "after"),
    [
        ((), "success", True),  # test_join
        (("task3", "task5"), "failure", False),  # test_join_no_inbound
        (("task3",), "failure", False),  # test_join_single_inbound_from_left
        (("task5",), "failure", False),  # test_join_single_inbound_from_right
    ],
)
def test_join_all(failing: tuple[str, ...], status: str, after: bool) -> None:
    found = world(JOIN, failing)
    assert finish(found).status == status
    assert {"task2", "task4"} <= set(ran(found))
    assert ("task6" in ran(found)) is after


# native/test_workflow_join.py with join-count.yaml: two of three branches are enough.
COUNT: Steps = [
    task(1),
    {"id": "some", "parallel": {"wait": 2, "branches": [
        {"id": "one", "steps": [task(2), task(3)]},
        {"id": "two", "steps": [task(4), task(5)]},
        {"id": "three", "steps": [task(6), task(7)]},
    ]}},
    task(8),
]  # fmt: skip


@pytest.mark.parametrize(
    ("failing", "status"),
    [
        (("task6",), "success"),  # test_join_count_satisfied_with_branch_error_1
        (("task7",), "success"),  # test_join_count_satisfied_with_branch_error_2
        (("task5", "task7"), "failure"),  # test_join_count_not_satisfied
        (("task3", "task5", "task7"), "failure"),  # test_join_count_not_satisfied_no_inbound
    ],
)
def test_join_count(failing: tuple[str, ...], status: str) -> None:
    found = world(COUNT, failing)
    assert finish(found).status == status
    assert ("task8" in ran(found)) is (status == "success")


def test_join_count_satisfied_with_branch_running() -> None:
    wait = {"id": "task6", "wait": "1h"}
    steps: Steps = [
        {"id": "some", "parallel": {"wait": 2, "branches": [
            {"id": "one", "steps": [task(2)]}, {"id": "two", "steps": [task(4)]},
            {"id": "three", "steps": [wait, task(7)]}]}},
        task(8),
    ]  # fmt: skip
    found = world(steps)
    assert finish(found).status == "success"
    assert ran(found) == ["task2", "task4", "task8"]
    assert "task7" not in ran(found)


# native/test_workflow_error_handling.py


def test_error_log_fail() -> None:
    log = {"id": "log", "log": "${error.kind}"}
    handler = {"steps": [log, {"id": "fail", "fail": {"outcome": "failure"}}]}
    found = world([task(1)], ("task1",), catch=[handler])
    assert finish(found).status == "failure"
    assert [p.rpartition("/")[2] for p in found.phases()] == ["task1", "error", "log", "fail",
                                                             "outcome"]  # fmt: skip


@pytest.mark.parametrize(
    ("failing", "message", "tasks"),
    [
        ((), "hooray!!!", ["task1", "task2"]),  # test_error_noop_success_path
        (("task1",), "$%#&@#$!!!", ["task1"]),  # test_error_noop_failure_path
    ],
)
def test_error_noop(failing: tuple[str, ...], message: str, tasks: list[str]) -> None:
    good = {"id": "good", "set": {"message": "hooray!!!"}}
    bad = {"id": "bad", "set": {"message": "$%#&@#$!!!"}}
    block = {"id": "try", "try": {"steps": [task(1), task(2), good], "catch": [{"steps": [bad]}]}}
    found = world([block], failing)
    assert finish(found).status == "success"
    assert ran(found) == tasks
    told = [one.data["message"] for one in found.journal().values() if "message" in one.data]
    assert told == [message]


@pytest.mark.parametrize(
    ("failing", "status", "tasks"),
    [
        ((), "success", ["task1", "task2"]),  # test_error_continue_success_path, test_error_fail_…
        (("task1",), "failure", ["task1", "task3"]),  # test_error_fail_failure_path
    ],
)
def test_error_fail(failing: tuple[str, ...], status: str, tasks: list[str]) -> None:
    found = world([task(1), task(2)], failing, catch=[{"steps": [task(3)]}])
    assert finish(found).status == status
    assert ran(found) == tasks


# test_workflow_conductor_with_items_failure.py


def items(names: str, together: int = 4) -> Steps:
    each = {"items": names, "max": 4, "together": together, "steps": [task(1)]}
    return [{"id": "each", "for_each": each}, task("-after")]


ALL = "['fee', 'fi', 'fo', 'fum']"


@pytest.mark.parametrize(
    ("names", "failing", "status"),
    [
        ("['fee']", ("task1[0]",), "failure"),  # test_fail_one_and_only_item
        (ALL, ("task1[1]",), "failure"),  # test_failed_item_task_dormant_other_incomplete
        (ALL, ("task1[1]", "task1[2]"), "failure"),  # test_failed_item_task_dormant_other_failed
        (ALL, (), "success"),
        ("[]", (), "success"),
    ],
)
@pytest.mark.parametrize("together", [1, 2, 4])
def test_with_items(names: str, failing: tuple[str, ...], status: str, together: int) -> None:
    found = world(items(names, together), failing)
    assert finish(found).status == status
    assert ("task-after" in ran(found)) is (status == "success")


def test_with_items_failure_at_a_limited_concurrency_begins_no_further_item() -> None:
    """test_failed_item_task_dormant_with_concurrency."""
    found = world(items(ALL, 2), ("task1[1]",))
    assert finish(found).status == "failure"
    assert found.order == ["/steps/each/0/task1", "/steps/each/1/task1"]


# test_workflow_conductor_cancel.py, test_workflow_conductor_with_items_cancel.py


def test_cancel_lets_what_runs_end_and_begins_nothing() -> None:
    """CANCELING while task1 runs; CANCELED once it has succeeded; again is the same."""
    found = world([task(1), task(2)])
    (begun,) = Engine(found).look().effects
    Engine(found).commit(begun.path, 1, "intent", begun.data)
    found.control["cancel"] = {"by": "li", "at": 0, "reason": ""}
    for _ in range(2):
        assert Engine(found).look().status in ("running", "waiting")
    assert finish(found).status == "cancelled"
    assert ran(found) == ["task1"]


def test_cancel_with_figures_that_cannot_be_known_stays_cancelled() -> None:
    """test_workflow_output_with_error: the output's error does not change the status."""
    outcome = {"metrics": {"x": 123, "z": "${steps.task1.y.value}"}}
    found = world([task(1)], outcome=outcome)
    found.control["cancel"] = {"by": "li", "at": 0, "reason": ""}
    end = finish(found)
    assert (end.status, end.metrics) == ("cancelled", {"x": 123})


def test_cancel_with_items_lets_the_running_ones_end() -> None:
    """test_cancel_item_list_incomplete."""
    found = world(items(ALL, 2))
    for effect in Engine(found).look().effects:
        Engine(found).commit(effect.path, 1, effect.phase, effect.data)
    found.control["cancel"] = {"by": "li", "at": 0, "reason": ""}
    assert finish(found).status == "cancelled"
    assert found.order == ["/steps/each/0/task1", "/steps/each/1/task1"]


# test_workflow_conductor_pause_and_resume.py


def test_pause_and_resume_from_branches() -> None:
    """Paused once nothing runs; resumed, the joining task runs."""
    branches = [{"id": "a", "steps": [task(1)]}, {"id": "b", "steps": [task(2)]}]
    found = world([{"id": "both", "parallel": {"branches": branches}}, task(3)])
    for effect in Engine(found).look().effects:
        Engine(found).commit(effect.path, 1, effect.phase, effect.data)
    found.control["suspend"] = {"by": "li", "at": 0, "reason": ""}
    assert Engine(found).rest().status == "waiting"
    assert sorted(ran(found)) == ["task1", "task2"]
    assert found.phases()["/steps/both"] == "done"
    del found.control["suspend"]
    assert finish(found).status == "success"
    assert ran(found)[-1] == "task3"


# test_workflow_conductor_eval_retry.py, test_task_retry.py: retry of a failing task


@pytest.mark.parametrize(("times", "status", "tries"), [(2, "success", 3), (9, "failure", 4)])
def test_task_retry(times: int, status: str, tries: int) -> None:
    def results(effect: Effect, here: World) -> Result:
        lost = effect.path == "/steps/task1" and effect.attempt <= times
        return ("failed", {"kind": "refused"}) if lost else ("done", {})

    steps = [task(1, retry={"max": 3, "delay": "1s"}), task(2)]
    found = World(book(steps), results=results)
    assert finish(found).status == status
    assert ran(found).count("task1") == tries
