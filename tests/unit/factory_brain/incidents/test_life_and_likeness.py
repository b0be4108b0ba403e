"""The life of an incident, its figures, and how alike two incidents are."""

from __future__ import annotations

import pytest

from factory_brain.domain.incidents.life_cycle import STATUSES, advance, summarise, united
from factory_brain.domain.incidents.seen import Seen
from factory_brain.domain.incidents.similar import Pattern, likeness

ALLOWED = {
    ("open", "acknowledge"): "acknowledged",
    ("open", "contain"): "contained",
    ("acknowledged", "contain"): "contained",
    ("acknowledged", "close"): "closed",
    ("contained", "close"): "closed",
    ("closed", "reopen"): "open",
}


@pytest.mark.parametrize("trigger", ["acknowledge", "contain", "close", "reopen"])
@pytest.mark.parametrize("status", STATUSES)
def test_every_status_and_every_act(status, trigger) -> None:  # type: ignore[no-untyped-def]
    assert advance(status, trigger) == ALLOWED.get((status, trigger))


def test_incidents_made_one_are_no_further_than_the_least() -> None:
    assert united(["contained", "open"]) == "open"
    assert united(["closed", "acknowledged"]) == "acknowledged"
    assert united(["closed"]) == "closed"


def seen(name: str, at: int, **more: object) -> Seen:
    return Seen(name, name, "FUR", "e1", at, raised_at=at, **more)  # type: ignore[arg-type]


def test_an_incident_is_settled_when_all_has_returned_and_is_acknowledged() -> None:
    done = seen("a", 5, active=False, acked=True, open=False, returned_at=9, priority=3)
    unacked = seen("b", 7, active=False, acked=False, open=True, returned_at=8, priority=2)
    both = summarise([unacked, done], ["a"], "FUR")
    assert (both.alarms, both.standing, both.unacked, both.priority) == (2, 0, 1, 2)
    assert (both.first_at, both.last_at, both.returned_at, both.settled) == (5, 7, 9, False)
    assert summarise([done], [], "FUR").settled
    assert summarise([done], [], "FUR").first_out == ("a",)
    standing = summarise([done, seen("c", 9)], [], "FUR")
    assert (standing.returned_at, standing.standing) == (None, 1)


def pattern(alarms: str, asset: str = "FUR") -> Pattern:
    names = tuple(alarms.split())
    return Pattern(names, frozenset(names[:1]), asset)


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [
        ("A B C", "A B C", 1.0),
        ("A B C", "C B A", 0.7),  # the same alarms backwards, another first
        ("A B C D", "A B", 0.3 + 0.2 + 0.1 + 0.1),
        ("A B C", "D E", 0.0),
        ("A B C", "A C B", 0.6 + 0.1 + 0.1 + 0.1),
        ("A", "A", 1.0),
    ],
)
def test_likeness(one: str, other: str, score: float) -> None:
    found = likeness(pattern(one), pattern(other))
    assert found.score == pytest.approx(score)
    assert found.score == pytest.approx(likeness(pattern(other), pattern(one)).score)
    parts = found.alarms + found.order + found.first + found.asset
    assert parts == pytest.approx(found.score)  # it is explained by its parts


def test_another_place_counts_less() -> None:
    assert likeness(pattern("A B"), pattern("A B", "FAN")).score == pytest.approx(0.9)
