"""The offline part of a playbook: what may stand in it, and how a run adopts what an edge did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.expression import StaticEnvironment
from shared.paths import demo_sites, playbook_library
from shared.playbook import fragment
from shared.playbook.journal import Context, Record
from shared.playbook.lint import Plant, lint
from shared.playbook.loader import load_playbook
from shared.playbook.model import Playbook
from shared.playbook.run import advance
from shared.site.loader import load_site

SOURCE = playbook_library() / "furnace" / "furnace-overtemp.yaml"
BASE: dict[str, Any] = {
    "schema": "playbook/v1",
    "playbook": "p",
    "version": 1,
    "name": "p",
    "triggers": [{"id": "t", "alarm": "A"}],
    "steps": [
        {"id": "tell", "if": "!steps.hold.ok", "log": "nobody held"},
        {"id": "end", "log": "${steps.hold.phase}"},
    ],
    "offline": {
        "after": "5s",
        "steps": [{"id": "hold", "log": "held"}, {"id": "rest", "wait": "1m"}],
    },
}
BOOK = Playbook.model_validate(BASE)
CONTEXT = Context({}, {}, {}, {}, StaticEnvironment())


APPROVED = "approval: vent-decision\n        args: {output_pct:"
TOLD = "- id: tell\n      notify: {to: [role:shift-lead], message: x}\n    - id: hold-alone"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("args: {output_pct:", APPROVED), "offline_approval"),
        (("cool-alone\n      wait_until:", "cool-alone\n      ask:"), None),
        (("- id: hold-alone", TOLD), "not_offline"),
    ],
)
def test_what_needs_people_or_the_brain_is_refused(
    change: tuple[str, str], code: str | None, tmp_path: Path
) -> None:
    text = SOURCE.read_text(encoding="utf-8")
    at = text.index("\noffline:")
    path = tmp_path / "p.yaml"
    path.write_text(text[:at] + text[at:].replace(*change, 1), encoding="utf-8")
    if code is None:
        with pytest.raises(Exception, match="question"):
            load_playbook(path)
        return
    assert code in {finding.code for finding in lint(load_playbook(path))}


def test_an_operation_that_is_not_idempotent_is_refused() -> None:
    site = load_site(demo_sites() / "f1")
    devices = dict(site.bindings.devices)
    plant = Plant(frozenset(site.alarms), devices, frozenset(["cmms"]), frozenset(site.info.roster))
    loaded = load_playbook(SOURCE)
    assert [f.code for f in lint(loaded, plant) if f.severity == "error"] == []
    burner = devices["FUR-01/burner"]
    once = burner.operations["set_output"].model_copy(update={"idempotent": "no"})
    devices["FUR-01/burner"] = burner.model_copy(
        update={"operations": {**burner.operations, "set_output": once}}
    )
    found = [f.code for f in lint(loaded, plant) if f.severity == "error"]
    assert found == ["offline_not_idempotent"]


def test_without_a_fragment_a_run_begins_at_once() -> None:
    ahead = advance(BOOK, {}, CONTEXT, 0)
    told = {effect.path: effect.data for effect in ahead.effects if effect.phase == "done"}
    assert told["/steps/tell"] == {"text": "nobody held"}
    assert told["/steps/end"] == {"text": "skipped"}
    assert ahead.status == "success"


def test_a_run_waits_for_the_end_of_a_fragment_but_not_for_ever() -> None:
    journal = {"/offline/hold": Record("done", 1_000, {})}
    ahead = advance(BOOK, journal, CONTEXT, 2_000)
    assert (ahead.effects, ahead.status) == ([], "waiting")
    assert ahead.wake_at == 1_000 + fragment.ADOPT_MS
    assert advance(BOOK, journal, CONTEXT, 1_000 + fragment.ADOPT_MS).status == "success"


def test_what_an_edge_stored_long_ago_counts_from_when_it_was_heard() -> None:
    """The words of an hour's absence come one by one: the first must not look like the last."""
    hour = 3_600_000
    journal = {"/offline/hold": Record("intent", 1_000, {"device": "d", fragment.HEARD: hour})}
    ahead = advance(BOOK, journal, CONTEXT, hour + 5)
    assert (ahead.effects, ahead.wake_at) == ([], hour + fragment.ADOPT_MS)


def test_a_run_waits_again_for_a_part_that_goes_on_after_a_hand_over() -> None:
    journal = {
        "/offline/hold": Record("done", 1_000, {}),
        "/offline": Record("intent", 2_000, {"status": fragment.RESUMED}),
    }
    ahead = advance(BOOK, journal, CONTEXT, 3_000)
    assert (ahead.effects, ahead.wake_at) == ([], 2_000 + fragment.ADOPT_MS)
    journal["/offline"] = Record("done", 4_000, {"status": fragment.HANDED_OVER})
    assert advance(BOOK, journal, CONTEXT, 5_000).status == "success"


def test_what_the_edge_did_is_seen_by_the_steps() -> None:
    journal = {
        "/offline/hold": Record("done", 1_000, {}),
        "/offline": Record("done", 1_500, {"status": "handed_over"}),
    }
    ahead = advance(BOOK, journal, CONTEXT, 2_000)
    told = {effect.path: effect for effect in ahead.effects}
    assert told["/steps/tell"].phase == "skipped"
    assert told["/steps/end"].data == {"text": "done"}
    assert ahead.status == "success"


def test_the_edge_names_its_paths_as_the_brain_does() -> None:
    assert fragment.told_as("/steps/hold") == "/offline/hold"
    assert fragment.told_as("/steps/a/0/b") == "/offline/a/0/b"
    assert fragment.told_as("/outcome") == "/offline"
    assert fragment.told_as("/error") is None
