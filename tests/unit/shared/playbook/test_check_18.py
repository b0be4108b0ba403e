"""Check 18: an escalation ladder hits each rung to the second; a restart calls nobody twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.playbook.loader import load_playbook
from shared.playbook.rehearsal.document import Case, Defaults
from shared.playbook.rehearsal.play import Cast, play
from shared.playbook.rehearsal.told import Told

HERE = Path(__file__).resolve().parents[3] / "support" / "rehearsal"
CAST = Cast(load_playbook(HERE / "hot-zone.yaml").playbook)
DEFAULTS = Defaults.model_validate({
    "given": {
        "alarm": {"asset": "FUR-02", "value": 1295.0},
        "tags": {"burner.mode": "AUTO", "esd.active": False, "burner.output": 40.0,
                 "zone.temp": 1295.0, "fan.running": True},
    },
})  # fmt: skip
ASKED = 490_000  # 10 s held, 8 min waited for the zone to cool
MINUTE = 60_000
Events = Sequence[dict[str, Any]]
RUNGS = {
    ("role:shift-lead", "remind/0"): ASKED + 2 * MINUTE,
    ("role:shift-lead", "remind/1"): ASKED + 4 * MINUTE,
    ("role:area-manager", "escalate/0"): ASKED + 5 * MINUTE,
    ("role:plant-manager", "escalate/1"): ASKED + 15 * MINUTE,
}
DECIDED = ASKED + 25 * MINUTE


def told(when: Events = (), faults: Events = ()) -> Told:
    case = {"name": "x", "then": {}, "faults": [*faults],
            "when": [{"raise": "zone.overtemp"}, *when]}  # fmt: skip
    return play(CAST, DEFAULTS, Case.model_validate(case))


def calls(found: Told) -> dict[tuple[str, str], list[int]]:
    """(who, which rung) -> when they were told."""
    heard: dict[tuple[str, str], list[int]] = {}
    for one in found.happened:
        if one.what == "notify" and "/decide/" in one.about:
            rung = one.about.partition("/decide/")[2]
            heard.setdefault((one.detail["to"][0], rung), []).append(one.at)
    return heard


def test_check_18_each_rung_to_the_second() -> None:
    found = told()
    assert calls(found) == {rung: [at] for rung, at in RUNGS.items()}
    assert [act.at for act in found.acts if act.op == "start"] == [DECIDED]


BEGUN = 6
"""The question itself, two reminders, two rungs, the last decision."""


@pytest.mark.parametrize("phase", ["before_effect", "after_effect"])
@pytest.mark.parametrize("nth", range(1, BEGUN + 1))
def test_check_18_nobody_is_called_twice_after_a_kill_at_a_rung(phase: str, nth: int) -> None:
    fault = {"at_step": "decide", "phase": phase, "nth": nth, "kill": "brain", "down": "7s"}
    found = told(faults=[fault])
    assert [one.what for one in found.happened].count("fault") == 1
    heard = calls(found)
    assert {rung: len(times) for rung, times in heard.items()} == dict.fromkeys(RUNGS, 1)
    # Killed before the question was written, all of it counts from when it was.
    moved = 7_000 if (phase, nth) == ("before_effect", 1) else 0
    late = [times[0] - RUNGS[rung] - moved for rung, times in heard.items()]
    assert Counter(late) in (Counter({0: 4}), Counter({0: 3, 7_000: 1}))
    assert [act.op for act in found.acts].count("start") == 1


def test_check_18_nobody_is_called_twice_whenever_it_is_killed() -> None:
    for at in range(ASKED - 20_000, DECIDED + 20_000, 97_000):
        found = told([{"at": f"{at}ms", "kill": "brain", "down": "12s"}])
        heard = calls(found)
        assert {rung: len(times) for rung, times in heard.items()} == dict.fromkeys(RUNGS, 1), at
        for rung, times in heard.items():
            due = RUNGS[rung]
            assert times[0] == (at + 12_000 if at <= due < at + 12_000 else due), (at, rung)


def test_check_18_an_answer_or_the_alarms_end_stops_the_ladder() -> None:
    answered = told([{"on": "decide", "answer": "keep-holding", "after": "6m"}])
    assert set(calls(answered)) == {key for key in RUNGS if key[1] != "escalate/1"}
    cleared = told([{"at": "14m", "clear": "zone.overtemp"}])
    assert set(calls(cleared)) == {key for key in RUNGS if key[1] != "escalate/1"}
    assert not [act for act in cleared.acts if act.op == "start"]
