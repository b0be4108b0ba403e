"""Firings, overlap and standing alarms as pure decisions."""

from __future__ import annotations

import dataclasses
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_brain.application.playbooks.offline import FragmentSender
from factory_brain.domain.rows import Occurrence, order_key
from factory_brain.domain.triggers.alarm_words import states_of, united
from factory_brain.domain.triggers.firing import Firing, firing_id
from factory_brain.domain.triggers.index import Index
from factory_brain.domain.triggers.occasions import fits, incident_moved, standing
from shared.alarm.states import AlarmState
from shared.messages.bodies import AlarmTransition
from shared.paths import demo_sites
from shared.playbook.model import Playbook
from shared.playbook.overlap import decide, may_start
from shared.playbook.triggers import Concurrency, Trigger
from shared.site.loader import load_site


def transition(kind: str = "raised", **state: object) -> AlarmTransition:
    base: dict[str, object] = {"raw": True, "active": True, "acked": False}
    return AlarmTransition(
        alarm="A", occurrence="o", version=1, annunciated_version=1, kind=kind, annunciate=True,
        settings_version=1, priority=1, asset="X", tag="T", source_time=1_000, raised_at=1_000,
        state=dataclasses.replace(AlarmState(), **(base | state)).to_dict(),  # type: ignore[arg-type]
    )  # fmt: skip


def occurrence(returned_at: int | None = None, **state: object) -> Occurrence:
    body = transition("returned" if returned_at else "raised", **state)
    return Occurrence("o", "A", "e1", body, order_key(body, 1, "e"), 1_000, returned_at, 1, False)


def test_the_same_cause_has_the_same_id() -> None:
    one = firing_id("f1", "book", "hot", "o-1")
    assert one == firing_id("f1", "book", "hot", "o-1")
    others = {firing_id(*parts) for parts in (
        ("f2", "book", "hot", "o-1"), ("f1", "other", "hot", "o-1"), ("f1", "book", "t", "o-1"),
        ("f1", "book", "hot", "o-2"), ("f1", "book", "hoto", "-1"),
    )}  # fmt: skip
    assert len(others | {one}) == 6
    firing = Firing(one, "book", "hot", 5, {"id": "A"}, stale_ms=9, extra={"k": 1})
    assert Firing.of_data(firing.as_data() | {"newer": 1}) == firing


@pytest.mark.parametrize(
    ("rule", "live", "queued", "outcome"),
    [
        ({"mode": "single"}, 0, 0, "started"),
        ({"mode": "single"}, 1, 0, "attached"),
        ({"mode": "single", "on_conflict": "ignore"}, 1, 0, "ignored"),
        ({"mode": "restart"}, 1, 0, "queued"),
        ({"mode": "queued", "max": 3}, 1, 1, "queued"),
        ({"mode": "queued", "max": 3}, 1, 2, "attached"),
        ({"mode": "queued", "max": 3}, 0, 2, "queued"),
        ({"mode": "parallel", "max": 2}, 1, 0, "started"),
        ({"mode": "parallel", "max": 2}, 2, 0, "attached"),
        ({"mode": "parallel", "max": 2}, 1, 1, "attached"),
    ],
)
def test_overlap(rule: dict[str, object], live: int, queued: int, outcome: str) -> None:
    lives, waiting = [f"l{n}" for n in range(live)], [f"q{n}" for n in range(queued)]
    found = decide(Concurrency(**rule), lives, waiting)  # type: ignore[arg-type]
    assert found.outcome == outcome
    if outcome == "attached":
        assert found.join == (lives or waiting)[-1 if lives else 0]
    if rule["mode"] == "restart" and live:
        assert (found.cancel, found.drop) == (tuple(lives), tuple(waiting))


def test_who_is_ending_is_not_joined() -> None:
    single = Concurrency(mode="single")
    assert decide(single, ["l0"], [], {"l0"}).outcome == "queued"
    found = decide(single, ["l0"], ["q0"], {"l0"})
    assert (found.outcome, found.join) == ("attached", "q0")
    two = Concurrency(mode="parallel", max=2)
    assert decide(two, ["l0", "l1"], [], {"l1"}).join == "l0"
    dropped = Concurrency(mode="single", on_conflict="ignore")
    assert decide(dropped, ["l0"], [], {"l0"}).outcome == "ignored"  # that is what it says


@given(
    st.sampled_from(["single", "restart", "queued", "parallel"]), st.integers(1, 5),
    st.lists(st.sampled_from(["fire", "end", "end_queued"]), max_size=60),
)  # fmt: skip
def test_no_order_of_events_exceeds_max_or_wedges_a_key(
    mode: str, most: int, steps: list[str]
) -> None:
    limit = most if mode in ("queued", "parallel") else 1
    rule = Concurrency(mode=mode, max=limit)  # type: ignore[arg-type]
    live, queued, cancelled = [], [], set()
    for n, step in enumerate(steps):
        if step == "fire":
            found = decide(rule, live, queued)
            queued = [each for each in queued if each not in found.drop]
            cancelled |= set(found.cancel)
            if found.outcome in ("started", "queued"):
                (live if found.outcome == "started" else queued).append(f"r{n}")
        elif step == "end" and live:
            live.pop(0)
        elif queued:
            queued.pop()
        if queued and may_start(rule, len(live)):
            live.append(queued.pop(0))
        assert len(live) <= (limit if mode == "parallel" else 1)
        assert len(live) + len(queued) <= (limit if mode != "restart" else 2)
        assert live or not queued


def test_a_raise_counts_when_it_stands_and_shows() -> None:
    hot = Trigger(id="t", alarm="A")
    assert fits(hot, transition())
    assert fits(hot, transition("unshelved"))
    assert not fits(hot, transition(shelf="T"))
    assert not fits(hot, transition("disabled", enabled=False))
    assert not fits(hot, transition("returned", active=False))
    cleared = Trigger(id="t", alarm="A", transition="cleared")
    assert fits(cleared, transition("returned", active=False))
    assert not fits(cleared, transition())


def test_what_an_alarm_is_when_it_is_decided() -> None:
    hot = Trigger(id="t", alarm="A")
    held = Trigger.model_validate({"id": "t", "alarm": "A", "for": "10s"})
    assert standing(hot, occurrence()) == "stands"
    assert standing(hot, occurrence(suppressed=True)) == "hidden"
    assert standing(hot, occurrence(5_000, active=False)) == "gone"
    assert standing(held, occurrence(5_000, active=False)) == "dipped"
    assert standing(held, occurrence(11_000, active=False)) == "gone"  # it stood for ten seconds


def test_incidents() -> None:
    assert incident_moved(None, "open", 3) == "opened"
    assert incident_moved(("open", 3), "acknowledged", 3) is None
    assert incident_moved(("open", 3), "open", 1) == "escalated"
    assert incident_moved(("contained", 1), "closed", 1) == "closed"
    assert incident_moved(("closed", 1), "closed", 1) is None
    assert incident_moved(("closed", 1), "open", 1) == "opened"
    assert incident_moved(None, "merged", 1) is None
    assert incident_moved(None, "closed", 1) is None


def test_codes_stand_for_alarms() -> None:
    book = Playbook.model_validate({
        "schema": "playbook/v1", "playbook": "b", "version": 1, "name": "b",
        "triggers": [{"id": "t", "alarm": "hot"}, {"id": "u", "alarm": "A-9"}],
        "steps": [{"id": "s", "log": "x"}],
    })  # fmt: skip
    index = Index.of([(book, "d")], {"hot": ["A-1", "A-2", "A-1"]})
    assert {alarm: len(found) for alarm, found in index.alarms.items()} == {
        "A-1": 1, "A-2": 1, "A-9": 1,
    }  # fmt: skip


def test_a_run_leaves_when_all_that_joined_it_are_over() -> None:
    own = states_of(occurrence(5_000, active=False, acked=True))
    assert own == {"cleared": 5_000, "acknowledged": 1_000}
    assert united(own, None) == own
    joined = {"cleared": 9_000, "acknowledged": None, "shelved": None, "suppressed": None}
    assert united(own, joined) == {"cleared": 9_000}
    assert states_of(occurrence()) == {}
    assert set(states_of(occurrence(shelf="T", suppressed=True))) == {"shelved", "suppressed"}


def test_an_edge_gets_its_alarms_of_a_code_and_the_inputs_of_the_site() -> None:
    site = load_site(demo_sites() / "f1")
    site.bindings.alarms["hot"] = ["FUR-01.TT-101.HIHI", *sorted(site.alarms)]
    site.bindings.inputs["b"] = {"much": 7}
    book = Playbook.model_validate({
        "schema": "playbook/v1", "playbook": "b", "version": 1, "name": "b",
        "inputs": {"much": {"type": "number", "default": 1}},
        "triggers": [{"id": "t", "alarm": "hot"}],
        "steps": [{"id": "s", "log": "x"}], "offline": {"steps": [{"id": "o", "log": "x"}]},
    })  # fmt: skip
    sender = FragmentSender("f1", Mock(), Mock(), site, lambda: [book])
    (item,) = sender.of_edge("e1").items
    mine = {name for name, alarm in site.alarms.items() if alarm.edge == "e1"}
    assert set(item.codes["hot"]) == mine
    assert mine != set(site.alarms)
    assert Playbook.model_validate_json(item.document).inputs["much"].default == 7
    before = sender.of_edge("e1").version
    site.bindings.inputs["b"] = {"much": 8}
    assert sender.of_edge("e1").version != before  # so that the edge is sent it
