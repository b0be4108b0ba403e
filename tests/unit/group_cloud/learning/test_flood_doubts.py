"""The memory of floods says unknown of what it has no ground to name; all floods are made up."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from group_cloud.learning.floods import Alarm, Episode, FloodMemory
from tests.unit.group_cloud.learning.event_streams import flood

SIZES = [(2, 12), (3, 12), (4, 3), (4, 12), (5, 6), (6, 4)]


def memory(causes: int, each: int) -> FloodMemory:
    made = FloodMemory()
    for number in range(each):
        for cause in range(causes):
            made.remember(flood(cause, number * causes + cause + number))
    return made


@pytest.mark.parametrize(("causes", "each"), SIZES)
def test_what_shares_no_alarm_with_anything_is_unknown(causes: int, each: int) -> None:
    held = memory(causes, each)
    apart = [Alarm(f"X{n}.HI", 3.0 * n, None) for n in range(12)]
    for alarms in (apart, []):
        for minutes in (10, 60, 180):
            said = held.resembles(alarms, minutes)
            assert (said.known, said.trust) == (False, 0.0)
            assert said.nearest is None
        assert said.settled
    # One that rattles in every flood makes it like none of them.
    alike = held.resembles([*apart, Alarm("N1.HI", 5.0, None)], 180)
    assert not alike.known
    assert alike.trust <= 0.1


def test_the_cause_with_the_fewest_alarms_is_no_refuge() -> None:
    """What is like nothing is nearest to the smallest; near is not alike."""
    held = FloodMemory()
    for number in range(4):
        for cause in range(4):
            random = np.random.default_rng([cause, number])
            kept = [n for n in range(10 if cause else 2) if n == 0 or random.random() < 0.9]
            alarms = (Alarm(f"C{cause}.{n}", random.uniform(0, 160) * (n > 0)) for n in kept)
            site = f"s{number % 4}"
            name = f"{site}/{cause}/{number}"
            held.remember(Episode(name, site, number, f"c{cause}", "", 1.0, tuple(alarms)))
    for point in ("C1.2", "C3.1", "C3.5"):
        said = held.resembles([Alarm("X", 0.0), Alarm(point, 150.0)], 180)
        assert said.nearest is not None
        assert (said.nearest.cause, said.nearest.similarity) == ("c0", 0.0)
        assert not said.known
        assert said.trust <= 0.1


@pytest.mark.parametrize("causes", [2, 3])
def test_few_causes_are_not_told_apart_from_a_new_one(causes: int) -> None:
    """The rehearsal had none to leave out, so not even a known one is trusted."""
    held = memory(causes, 12)
    for cause in (1, 7):
        said = held.resembles(flood(cause, 99).alarms, 180)
        assert (said.known, said.settled, said.trust) == (False, True, 0.0)
    assert memory(5, 12).resembles(flood(1, 99).alarms, 180).known


def test_a_clock_that_was_set_back_leaves_every_answer_a_number() -> None:
    held = memory(5, 12)
    bad = flood(2, 500)
    back = tuple(replace(each, cleared=each.raised - 90) for each in bad.alarms)
    held.remember(replace(bad, alarms=back))
    for alarms in (flood(1, 99).alarms, back):
        said = held.resembles(alarms, 180)
        assert math.isfinite(said.trust)
    assert held.resembles(flood(1, 99).alarms, 180).known
