"""Both settings over a factory's samples: what vanishes, what comes later, what goes up."""

from __future__ import annotations

from array import array

from factory_brain.application.shadow.trial_work import envelope, tried
from factory_brain.application.shadow.trials import TrialWork
from factory_brain.domain.shadow import Signal
from shared.alarm.point import Setting

MINUTE = 60_000
NOW, THEN = Setting(10.0), Setting(10.0, 0.0, 3 * MINUTE)


def signal(highs: dict[int, int], minutes: int = 600, since: int = 0) -> Signal:
    """Zeros, with so many minutes of 20 from each of these minutes on."""
    times = array("q", (n * MINUTE for n in range(minutes)))
    values = array("d", [0.0] * minutes)
    for start, length in highs.items():
        for n in range(start, start + length):
            values[n] = 20.0
    return Signal(since * MINUTE, minutes * MINUTE, times, values, minutes, 1.0)


def test_every_alarm_and_fault_is_told_with_its_fate():
    faults = (("f", 195 * MINUTE, 260 * MINUTE), ("g", 300 * MINUTE, 310 * MINUTE))
    found = tried(signal({20: 1, 100: 2, 200: 30}), TrialWork("HI", NOW, THEN, faults))
    assert (found.before, found.after, found.new) == (3, 1, 0)
    assert found.vanish == [[20 * MINUTE, 21 * MINUTE], [100 * MINUTE, 102 * MINUTE]]
    assert found.later == [[200 * MINUTE, 230 * MINUTE, 203 * MINUTE]]
    assert found.faults == [
        ["f", 195 * MINUTE, 260 * MINUTE, 300.0, 480.0],
        ["g", 300 * MINUTE, 310 * MINUTE, -1.0, -1.0],
    ]


def test_what_was_over_before_the_span_is_not_shown():
    found = tried(signal({20: 5, 95: 10, 200: 5}, since=100), TrialWork("HI", NOW, THEN, ()))
    assert (found.before, found.after) == (2, 2)
    assert found.vanish == []


def test_lists_are_bounded_and_say_how_many_more():
    found = tried(signal({n: 1 for n in range(0, 1_400, 2)}, 1_500), TrialWork("HI", NOW, THEN, ()))
    assert (found.before, found.after) == (700, 0)
    assert (len(found.vanish), found.vanish_more) == (500, 200)


def test_the_trend_keeps_every_extreme_in_few_points():
    given = signal({301: 1}, 5_000)
    told = envelope(given, 100)
    assert len(told) == 100
    assert max(high for _, _, high in told) == 20.0
    assert [low for _, low, _ in told] == [0.0] * 100
    assert envelope(Signal(0, MINUTE, array("q"), array("d"), 0, 0.0)) == []
