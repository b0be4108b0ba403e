"""The three words of throttling as Event-Driven Ansible describes them, on a virtual clock.

From ansible/ansible-rulebook, `docs/conditions.rst`: once_within acts at the first event and
suppresses till the window has passed; once_after collects till the window has passed and acts once;
what differs in the grouping attributes is told apart. accumulate_within acts when the threshold is
reached within the window (`ruleset_schema.json`).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from factory_brain.domain.triggers.firing import Firing
from factory_brain.domain.triggers.throttle import Window, take
from shared.playbook.triggers import Throttle

MINUTE = 60_000


def rule_of(**words: object) -> Throttle:
    return Throttle.model_validate(words)


def played(throttle: Throttle, *minutes: float) -> list[tuple[float, str, int]]:
    """(minute, firing, how many it stands for) of everything that fires, timers included."""
    window: Window | None = None
    found: list[tuple[float, str, int]] = []

    def fire(firing: Firing, at: float) -> None:
        found.append((at / MINUTE, firing.id, firing.count))

    for minute in minutes:
        at = round(minute * MINUTE)
        if window is not None and window.due is not None and window.due <= at:
            assert window.firing is not None
            fire(window.firing, window.due)
            window = None
        taken = take(throttle, window, Firing(f"e{minute:g}", "b", "t", at, {}))
        window = taken.window
        for each in taken.fires:
            fire(each, at)
    if window is not None and window.due is not None and window.firing is not None:
        fire(window.firing, window.due)
    return found


def test_once_within_acts_at_once_and_then_not_for_five_minutes() -> None:
    rule = rule_of(once_within="5m")
    assert played(rule, 0, 1, 4.9, 5, 6, 12) == [(0, "e0", 1), (5, "e5", 1), (12, "e12", 1)]


def test_once_after_acts_once_for_all_when_five_minutes_are_over() -> None:
    rule = rule_of(once_after="5m")
    assert played(rule, 0, 1, 4.9, 7) == [(5, "e0", 3), (12, "e7", 1)]


def test_accumulate_within_acts_when_enough_have_come() -> None:
    rule = rule_of(accumulate_within="5m", count=3)
    assert played(rule, 0, 1, 2, 3, 4) == [(2, "e2", 3)]
    assert played(rule, 0, 1, 6, 7, 8) == [(8, "e8", 3)]
    assert played(rule, 0, 1, 2, 3, 4, 5) == [(2, "e2", 3), (5, "e5", 3)]


def test_what_is_out_of_order_counts_as_within() -> None:
    rule = rule_of(once_within="5m")
    assert played(rule, 10, 9, 8) == [(10, "e10", 1)]


@pytest.mark.parametrize("word", ["once_within", "once_after"])
def test_a_stored_window_goes_on_where_it_was(word: str) -> None:
    rule = rule_of(**{word: "5m"})
    first = take(rule, None, Firing("a", "b", "t", 0, {})).window
    assert first is not None
    stored = first.firing and Firing.of_data(first.firing.as_data())
    again = take(rule, replace(first, firing=stored), Firing("c", "b", "t", 299_999, {}))
    assert (again.fires, again.swallowed) == ((), True)
