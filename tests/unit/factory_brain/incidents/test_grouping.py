"""Grouping: what belongs together, and that no order of arrival changes it."""

from __future__ import annotations

import random

import pytest

from factory_brain.domain.incidents.first_out import first_out
from factory_brain.domain.incidents.grouping import Place, group, united
from factory_brain.domain.incidents.seen import Related, Rules, Seen, incident_id

PATHS = {
    "FUR": ("F", "HOT", "FUR"), "FUR-B": ("F", "HOT", "FUR", "FUR-B"),
    "FAN": ("F", "HOT", "FAN"), "CMP": ("F", "COLD", "CMP"), "LONE": ("F", "LONE"),
    "ALONE": ("F", "ALONE"),
}  # fmt: skip
RULES = Rules(
    same_asset=300_000, same_area=60_000, longest=3_600_000, paths=PATHS,
    related=(
        Related("air", frozenset({"CMP.P"}), frozenset({"FUR.T", "FUR-B.F"}), 600_000),
        Related("same", frozenset({"FAN.X"}), frozenset({"FAN.Y"}), 1_800_000, "asset"),
    ),
)  # fmt: skip


def seen(name: str, at: int, asset: str = "FUR", **more: object) -> Seen:
    alarm = str(more.pop("alarm", f"{asset}.{name}"))
    edge = str(more.pop("edge", "e1"))
    return Seen(name, alarm, asset, edge, at, raised_at=at, **more)  # type: ignore[arg-type]


def parts(places: dict[str, Place]) -> set[frozenset[str]]:
    found: dict[str, set[str]] = {}
    for name, place in places.items():
        found.setdefault(place.group, set()).add(name)
    return {frozenset(each) for each in found.values()}


def together(*each: Seen, rules: Rules = RULES) -> set[frozenset[str]]:
    return parts(group(rules, each))


@pytest.mark.parametrize(
    ("other", "joined"),
    [
        (seen("b", 300_000), True),  # the same asset, at the last moment
        (seen("b", 300_001), False),
        (seen("b", 300_000, "FUR-B"), True),  # a part of it
        (seen("b", 60_000, "FAN"), True),  # a neighbour in the same area
        (seen("b", 60_001, "FAN"), False),
        (seen("b", 1, "CMP"), False),  # another area
        (seen("b", 1, "LONE"), False),
    ],
)
def test_time_and_place_say_what_belongs_together(other: Seen, joined: bool) -> None:
    assert (together(seen("a", 0), other) == {frozenset({"a", "b"})}) is joined


def test_what_lies_right_below_the_root_are_no_neighbours() -> None:
    assert len(together(seen("a", 0, "LONE"), seen("b", 1, "ALONE"))) == 2


def test_a_rule_joins_what_the_tree_does_not_in_either_order() -> None:
    pressure = seen("p", 0, "CMP", alarm="CMP.P")
    heat = seen("t", 600_000, alarm="FUR.T")
    assert len(together(pressure, heat)) == 1
    assert len(together(seen("p", 600_000, "CMP", alarm="CMP.P"), seen("t", 0, alarm="FUR.T"))) == 1
    assert len(together(pressure, seen("t", 600_001, alarm="FUR.T"))) == 2
    late = seen("y", 1_700_000, "FAN", alarm="FAN.Y")
    assert len(together(seen("x", 0, "FAN", alarm="FAN.X"), late)) == 1


def test_an_incident_ends_at_its_longest_however_the_alarms_go_on() -> None:
    chain = [seen(f"a{i:02}", i * 240_000) for i in range(31)]
    assert sorted(len(each) for each in together(*chain)) == [15, 16]


def test_what_people_closed_takes_nothing_that_was_raised_later() -> None:
    first, late, new = seen("a", 0), seen("b", 1_000), seen("c", 3_000)
    places = group(RULES, [first, late, new], closed={"a": 2_000})
    assert parts(places) == {frozenset({"a", "b"}), frozenset({"c"})}


def test_the_id_is_that_of_its_first_alarm() -> None:
    places = group(RULES, [seen("b", 5), seen("a", 9)])
    assert {place.group for place in places.values()} == {incident_id("b")}


def test_a_late_alarm_may_make_one_incident_of_two_and_two_of_one() -> None:
    fan, furnace = seen("b", 50_000, "FAN"), seen("c", 110_001)
    assert len(together(fan, furnace)) == 2
    assert len(together(seen("a", 0), fan, furnace)) == 1  # joined by what was before both
    # c was with a; nearer to x now, whose incident had begun without a
    rules = Rules(same_asset=100, same_area=0, longest=150, paths=PATHS)
    assert len(together(seen("a", 0), seen("c", 100), seen("d", 150), rules=rules)) == 1
    early = together(seen("0", -50), seen("a", 0), seen("c", 100), seen("d", 150), rules=rules)
    assert early == {frozenset({"0", "a", "c"}), frozenset({"d"})}


def test_people_join_incidents_and_the_earliest_gives_the_name() -> None:
    places = group(RULES, [seen("a", 0), seen("b", 5, "CMP"), seen("c", 9, "LONE")])
    heads = united(places, [("c", "b"), ("b", "a")])
    assert set(heads.values()) == {incident_id("a")}
    assert len(heads) == 3
    assert united(places, [("a", "unknown")]) == {}


def world(chance: random.Random) -> list[Seen]:
    assets = list(PATHS)
    names = ["P", "T", "F", "X", "Y"]
    span = chance.choice([60_000, 3_600_000, 20_000_000])
    found = []
    for index in range(chance.randrange(2, 60)):
        asset = chance.choice(assets)
        at = chance.randrange(span) // 1000 * 1000  # equal times are usual
        found.append(seen(f"o{index:03}", at, asset, alarm=f"{asset}.{chance.choice(names)}"))
    return found


class Incremental:
    """Takes alarms as they come: goes back to the earliest new one, keeps all before it."""

    def __init__(self, rules: Rules, closed: dict[str, int]) -> None:
        self.rules, self.closed = rules, closed
        self.held: dict[str, Seen] = {}
        self.places: dict[str, Place] = {}

    def take(self, batch: list[Seen]) -> None:
        self.held.update({each.occurrence: each for each in batch})
        since = min(each.order for each in batch)
        low = since[0] - self.rules.reach
        ordered = self.held.values()
        before = [
            (each, self.places[each.occurrence])
            for each in ordered if each.order < since and each.at >= low
        ]  # fmt: skip
        again = [each for each in ordered if each.order >= since]
        self.places |= group(self.rules, again, before, self.closed)


@pytest.mark.parametrize("seed", range(150))
def test_any_order_of_arrival_ends_in_the_same_incidents(seed: int) -> None:
    chance = random.Random(seed)
    rules = Rules(
        same_asset=chance.choice([30_000, 300_000]), same_area=chance.choice([0, 60_000]),
        longest=chance.choice([120_000, 3_600_000]), paths=PATHS, related=RULES.related,
    )  # fmt: skip
    all_of_them = world(chance)
    closed = {each.occurrence: each.at + 90_000 for each in chance.sample(all_of_them, 2)}
    expected = group(rules, all_of_them, closed=closed)
    for _ in range(4):
        arriving = all_of_them + chance.choices(all_of_them, k=5)  # and some of them again
        chance.shuffle(arriving)
        brain = Incremental(rules, closed)
        while arriving:
            size = chance.randrange(1, 8)
            brain.take(arriving[:size])
            arriving = arriving[size:]
        assert brain.places == expected


def test_the_first_of_several_is_marked_and_one_by_itself_is_not() -> None:
    assert first_out([seen("b", 5), seen("a", 7)], RULES) == {"b": "first"}
    assert first_out([seen("b", 5)], RULES) == {}


def test_equal_times_are_a_tie_and_so_is_what_the_clocks_cannot_tell_apart() -> None:
    both = {"a": "tie", "b": "tie"}
    assert first_out([seen("a", 5), seen("b", 5), seen("c", 6)], RULES) == both
    unsure = [seen("a", 0, uncertainty=20), seen("b", 39, uncertainty=20)]
    assert first_out(unsure, RULES) == both
    sure = [seen("a", 0, uncertainty=20), seen("b", 40, uncertainty=20)]
    assert first_out(sure, RULES) == {"a": "first"}


def test_a_clock_that_nobody_measured_is_compared_with_itself_alone() -> None:
    assert first_out([seen("a", 0), seen("b", 1)], RULES) == {"a": "first"}
    elsewhere = [seen("a", 0), seen("b", 9_999, edge="e2"), seen("c", 10_000, edge="e2")]
    assert first_out(elsewhere, RULES) == {"a": "tie", "b": "tie"}
