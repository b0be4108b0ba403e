"""What is hidden behind a parent and what never is; marks of nuisances; a storm."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from factory_brain.domain.incidents.first_out import first_out
from factory_brain.domain.incidents.grouping import group
from factory_brain.domain.incidents.hiding import hidden_behind
from factory_brain.domain.incidents.marks import chattering, marks
from factory_brain.domain.incidents.seen import Hiding, Rules, Seen

PATHS = {"FUR": ("F", "HOT", "FUR"), "FAN": ("F", "HOT", "FAN"), "CMP": ("F", "COLD", "CMP")}


def rule(above: str, below: str, equal: str = "", kind: str = "parent") -> Hiding:
    names = (frozenset(above.split()), frozenset(below.split()))
    return Hiding(f"{above}>{below}", kind, *names, equal)


def rules(*each: Hiding) -> Rules:
    return Rules(paths=PATHS, hiding=each)


def seen(alarm: str, at: int = 0, asset: str = "FUR", **more: object) -> Seen:
    return Seen(f"o-{alarm}-{at}", alarm, asset, "e1", at, raised_at=at, **more)  # type: ignore[arg-type]


def hidden(found: list[Seen], *each: Hiding) -> dict[str, str]:
    names = {one.occurrence: one.alarm for one in found}
    return {names[o]: b.alarm for o, b in hidden_behind(found, rules(*each)).items()}


def test_children_that_stand_are_behind_a_standing_parent_whichever_came_first() -> None:
    one = rule("HIHI", "HI RATE")
    assert hidden([seen("HI", 1), seen("HIHI", 2), seen("RATE", 3), seen("X", 4)], one) == {
        "HI": "HIHI", "RATE": "HIHI",
    }  # fmt: skip


def test_a_recovery_is_never_hidden() -> None:
    gone = seen("HI", 1, active=False, returned_at=5)
    assert hidden([gone, seen("HIHI", 2)], rule("HIHI", "HI")) == {}
    assert hidden([gone, seen("HIHI", 2)], rule("HIHI", "HI", kind="inhibit")) == {}


def test_when_the_parent_ends_its_standing_children_come_back() -> None:
    parent, child = seen("HIHI", 1), seen("HI", 2)
    assert hidden([parent, child], rule("HIHI", "HI")) == {"HI": "HIHI"}
    ended = replace(parent, active=False, returned_at=9)
    assert hidden([ended, child], rule("HIHI", "HI")) == {}


def test_a_parent_that_is_not_in_the_list_hides_nothing() -> None:
    found = [seen("HIHI", 1, hidden=True), seen("HI", 2)]
    assert hidden(found, rule("HIHI", "HI")) == {}


def test_what_must_be_equal() -> None:
    found = [seen("S", 1, "FUR"), seen("T", 2, "FUR"), seen("T", 3, "FAN"), seen("T", 4, "CMP")]
    by = {
        equal: {o for o in hidden_behind(found, rules(rule("S", "T", equal)))}
        for equal in ("", "asset", "area")
    }
    assert by[""] == {"o-T-2", "o-T-3", "o-T-4"}
    assert by["asset"] == {"o-T-2"}
    assert by["area"] == {"o-T-2", "o-T-3"}


def test_of_several_parents_the_first_raised() -> None:
    found = [seen("B", 2), seen("A", 1), seen("C", 3)]
    assert hidden(found, rule("B", "C"), rule("A", "C")) == {"C": "A"}


def test_a_circle_of_rules_leaves_one_to_be_seen() -> None:
    found = [seen("A", 1), seen("B", 2), seen("C", 3)]
    assert hidden(found, rule("A", "B"), rule("B", "C"), rule("C", "A")) == {"A": "C", "B": "A"}


@pytest.mark.parametrize("seed", range(40))
def test_behind_every_hidden_alarm_is_at_last_one_that_is_seen(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"A{i}" for i in range(8)]
    made = [
        rule(" ".join(chance.sample(names, 3)), " ".join(chance.sample(names, 3)),
             chance.choice(["", "asset", "area"]))
        for _ in range(8)
    ]  # fmt: skip
    found = [
        seen(name, at, chance.choice(list(PATHS)), hidden=chance.random() < 0.2,
             active=chance.random() < 0.8)
        for at, name in enumerate(names)
    ]  # fmt: skip
    by_id = {each.occurrence: each for each in found}
    behind = hidden_behind(found, rules(*made))
    chance.shuffle(found)
    assert hidden_behind(found, rules(*made)) == behind
    for name in behind:
        here, steps = name, 0
        while here in behind:
            here, steps = behind[here].occurrence, steps + 1
            assert by_id[here].active
            assert not by_id[here].hidden
            assert steps <= len(found)


@pytest.mark.parametrize(
    ("raises", "now", "holds"),
    [
        ([0, 30_000, 60_000], 60_000, True),
        ([0, 30_000, 60_001], 60_001, False),
        ([0, 30_000], 30_000, False),  # two are not enough
        ([0, 30_000, 60_000], 660_000, True),  # still marked ten minutes later
        ([0, 30_000, 60_000], 660_001, False),
        ([0, 1, 2, 400_000], 600_002, True),
        ([0, 1, 90_000], 50, False),  # what is to come does not count
    ],
)
def test_three_raises_in_a_minute_chatter(raises: list[int], now: int, holds: bool) -> None:
    assert chattering(raises, now, Rules()) is holds


def test_limits_of_chattering_are_the_sites() -> None:
    two = Rules(chattering=(2, 10_000, 0))
    assert chattering([0, 10_000], 10_000, two)
    assert not chattering([0, 10_000], 10_001, two)
    assert not chattering([0, 10_001], 10_001, two)


DAY = 86_400_000


@pytest.mark.parametrize(
    ("one", "now", "expected"),
    [
        (seen("A", 0, active=False, returned_at=9_999), 20_000, ["fleeting"]),
        (seen("A", 0, active=False, returned_at=10_000), 20_000, []),
        (seen("A"), DAY, []),
        (seen("A"), DAY + 1, ["stale"]),
        (seen("A", active=False, returned_at=DAY), DAY + 1, []),
        (seen("A", hidden=True), DAY + 1, []),  # shelved: nobody is waiting for it
        (seen("A", annunciated=False), DAY + 1, []),
    ],
)
def test_fleeting_and_stale(one: Seen, now: int, expected: list[str]) -> None:
    assert marks(one, [one.raised_at], now, Rules()) == expected


def test_a_short_alarm_that_repeats_chatters_and_is_not_fleeting() -> None:
    one = seen("A", 2_000, active=False, returned_at=3_000)
    assert marks(one, [0, 1_000, 2_000], 3_000, Rules()) == ["chattering"]


def test_a_storm_of_a_thousand_alarms_is_understood_whole(
    record_property: Callable[[str, object], None],
) -> None:
    chance = random.Random(7)
    paths = {f"U{i}": ("F", f"AREA{i % 5}", f"U{i}") for i in range(50)}
    parents = tuple(
        Hiding(f"p{i}", "parent", frozenset({f"U{i}.0"}), frozenset({f"U{i}.1", f"U{i}.2"}))
        for i in range(50)
    )
    storm_rules = Rules(paths=paths, hiding=parents)
    storm = [
        Seen(f"o{i:04}", f"U{i % 50}.{i // 50}", f"U{i % 50}", "e1", chance.randrange(60_000))
        for i in range(1000)
    ]
    began = time.perf_counter()
    places = group(storm_rules, storm)
    by: dict[str, list[Seen]] = {}
    for each in storm:
        by.setdefault(places[each.occurrence].group, []).append(each)
    firsts = {name: first_out(members, storm_rules) for name, members in by.items()}
    behind = hidden_behind(storm, storm_rules)
    record_property("storm_ms", round((time.perf_counter() - began) * 1000, 1))
    assert len(places) == 1000
    assert {frozenset(m.asset.removeprefix("U") for m in each) for each in by.values()} == {
        frozenset(str(i) for i in range(50) if i % 5 == area) for area in range(5)
    }
    for name, members in by.items():
        assert min(members, key=lambda each: each.order).occurrence in firsts[name]
    assert len(behind) == 100
