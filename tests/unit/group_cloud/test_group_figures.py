"""Occurrences folded in any order count the same, and each once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from group_cloud.domain.figures import DAY_MS, Occurred, Sums, contributions, in_time, told
from shared.messages.bodies import AlarmTransition

T0 = 1_700_000_000_000 // DAY_MS * DAY_MS


def said(version: int, kind: str, priority: int, returned: int) -> AlarmTransition:
    return AlarmTransition(
        alarm="A", occurrence="o", version=version, annunciated_version=1, kind=kind,
        annunciate=kind == "raised", state={}, settings_version=1, priority=priority, asset="X",
        tag="T", source_time=T0, raised_at=T0, returned_at=returned,
    )  # fmt: skip


LIFE = [
    (said(1, "raised", 3, 0), T0),
    (said(1, "acknowledged", 3, 0), T0 + 20_000),
    (said(2, "returned", 3, T0 + 50_000), T0 + 50_000),
    (said(3, "re_alarmed", 2, 0), T0 + 70_000),
    (said(3, "acknowledged", 2, 0), T0 + 80_000),
    (said(4, "returned", 2, T0 + 99_000), T0 + 99_000),
]


def sums_of(told_in: list[tuple[AlarmTransition, int]], cuts: set[int]) -> dict[Any, Any]:
    held: Occurred | None = None
    total: dict[Any, list[int]] = {}
    batch: list[tuple[AlarmTransition, int]] = []
    for index, each in enumerate(told_in):
        batch.append(each)
        if index not in cuts and index < len(told_in) - 1:
            continue
        new = held
        for body, at in batch:
            new = told(new, body, at)
        assert new is not None
        new = replace(new, counted=True)
        sums = Sums()
        sums.change(held, new)
        for table in ("stat_day", "stat_alarm", "stat_ten"):
            for key, values in sums.rows(table):
                kept = total.setdefault((table, key), [0] * len(values))
                total[table, key] = [a + b for a, b in zip(kept, values, strict=True)]
        held, batch = new, []
    return {key: values for key, values in total.items() if any(values)}


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.data())
def test_any_order_any_batches_and_repetitions_give_the_same_sums(data: st.DataObject) -> None:
    more = data.draw(st.lists(st.sampled_from(LIFE), max_size=4))
    shuffled = data.draw(st.permutations(LIFE + more))
    cuts = data.draw(st.sets(st.integers(0, 9)))
    expected = sums_of(LIFE, set())
    assert expected["stat_day", (T0 // DAY_MS, 2)] == [1, 1, 1, 20_000, 1, 1, 1, 99_000]
    assert sums_of(list(shuffled), cuts) == expected


def test_what_stands_counts_as_raised_and_not_returned() -> None:
    found = Occurred("o", "A", "X", "T", 1, 1, raised_at=T0, annunciated=True, counted=True)
    sums = dict(contributions(found))
    assert sums["stat_day", T0 // DAY_MS, 1] == (1, 1, 0, 0, 0, 0, 0, 0)
    assert list(contributions(Occurred("o", "A", "X", "T", 1, 1, counted=True))) == []


def test_the_figures_hold_so_many_days_and_no_future() -> None:
    now = T0 + 10 * DAY_MS
    for days_ago, inside in ((0, True), (10, True), (11, False), (-1, True), (-2, False)):
        found = Occurred("o", "A", "X", "T", 1, 1, raised_at=now - days_ago * DAY_MS)
        assert in_time(found, now, 10) is inside, days_ago
