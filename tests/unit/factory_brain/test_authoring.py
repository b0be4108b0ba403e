"""Diffs, versions in a text, bounds of inputs, signatures: pure parts of authoring."""

from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_brain.application.playbooks.authoring.checking import (
    MOST_STEPS,
    _read,
    with_version,
)
from factory_brain.application.playbooks.authoring.compare import compare, text_diff
from factory_brain.application.playbooks.authoring.inputs import misfit
from factory_brain.application.playbooks.authoring.migrating import _unfit
from factory_brain.application.playbooks.authoring.rehearsing import _rehearse
from shared.paths import demo_sites
from shared.playbook.journal import Phase, Record
from shared.playbook.loader import MOST_FAULTS, PlaybookFaults, load_text
from shared.playbook.model import Playbook
from shared.playbook.signing import genuine, sign
from shared.site.loader import load_site

TEXT = """\
schema: playbook/v1
playbook: cool
version: 3 # the third
name: Cool
inputs:
  many: {type: integer, default: 2, tunable: {min: 1, max: 5}}
  long: {type: duration, default: 5m, tunable: {min: 1m, max: 10m}}
  way: {type: choice, options: [slow, fast], default: slow}
triggers: [{id: hot, alarm: A}]
deadline: 30m
steps:
  - {id: tell, notify: {to: [role:shift-lead], message: hot}}
  - id: both
    parallel:
      branches:
        - {id: one, steps: [{id: first, log: one}]}
        - {id: two, steps: [{id: second, log: two}]}
"""


def book(text: str = TEXT) -> Playbook:
    return load_text(text, "cool.yaml").playbook


def test_a_text_gets_another_version_and_keeps_the_rest() -> None:
    assert with_version(TEXT, 4) == TEXT.replace("version: 3 #", "version: 4 #")
    assert with_version(TEXT.replace(" # the third", ""), 12).splitlines()[2] == "version: 12"
    for odd in ("{schema: playbook/v1, version: 3}", "  version: 3\n", "version: three\n"):
        with pytest.raises(ValueError, match="version"):
            with_version(odd, 4)


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ("log: one", "log: other", [("changed", "first", ("log",))]),
        ("id: first", "id: fresh", [("added", "fresh", ()), ("removed", "first", ())]),
        ("{id: one, steps", "{id: uno, steps", [
            ("changed", "both", ("parallel",)), ("moved", "first", ()),
        ]),
        ("message: hot", "message: very hot", [("changed", "tell", ("notify",))]),
        ("deadline: 30m", "deadline: 20m", []),
    ],
)  # fmt: skip
def test_steps_are_compared_by_what_they_say(
    before: str, after: str, wanted: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    found = compare(book(), book(TEXT.replace(before, after)))
    assert [(s.kind, s.id, s.fields) for s in found.steps] == wanted
    assert found.parts == (("deadline",) if not wanted else ())


def test_a_new_playbook_is_new_throughout_and_reach_is_told() -> None:
    assert {s.kind for s in compare(None, book()).steps} == {"added"}
    found = compare(book(), book(TEXT.replace("role:shift-lead", "role:engineer")))
    assert (found.tells_added, found.tells_removed) == (("role:engineer",), ("role:shift-lead",))
    same = compare(book(), book(with_version(TEXT, 4)))
    assert (same.steps, same.parts, same.moves_added) == ((), (), ())
    assert text_diff("a\nb\n", "a\nc\n", ("x", "y"))[-2:] == ["-b", "+c"]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("many", 5, None), ("many", 6, "input_outside_bounds"), ("many", 2.5, "input_unfit"),
        ("many", True, "input_unfit"), ("long", "90s", None),
        ("long", "59s", "input_outside_bounds"),
        ("long", 90, "input_unfit"), ("way", "fast", None), ("way", "quick", "input_unfit"),
        ("none", 1, "unknown_input"), ("many", None, None),
    ],
)  # fmt: skip
def test_values_stay_within_their_type_and_bounds(
    name: str, value: object, code: str | None
) -> None:
    found = misfit(book(), name, value)
    assert (found.code if found else None) == code


def test_a_signature_is_of_one_text_version_playbook_and_site() -> None:
    key = Ed25519PrivateKey.generate()
    public, made = key.public_key(), sign(key, "f1", "cool", 3, TEXT)
    assert genuine(public, made, "f1", "cool", 3, TEXT)
    assert genuine(public, made, "f1", "cool", 3, TEXT.replace("\n", "\r\n"))
    for other in (
        ("f2", "cool", 3, TEXT), ("f1", "cold", 3, TEXT), ("f1", "cool", 4, TEXT),
        ("f1", "cool", 3, TEXT + " "),
    ):  # fmt: skip
        assert not genuine(public, made, *other)
    assert not genuine(Ed25519PrivateKey.generate().public_key(), made, "f1", "cool", 3, TEXT)
    assert not genuine(public, b"", "f1", "cool", 3, TEXT)


@pytest.mark.parametrize(
    "text", ["a: \x04 b", "y: \ufffe", "- " * 4000 + "x", "a: 2001-99-99", "a: " + "9" * 6000]
)
def test_whatever_is_typed_is_told_as_a_fault(text: str) -> None:
    with pytest.raises(PlaybookFaults) as found:
        load_text(text, "typed.yaml")
    assert found.value.faults[0].where.startswith("typed.yaml:1:")


BURNS = """\
schema: playbook/v1
playbook: burns
version: 1
name: burns
devices: {burner: {type: burner.modulating, bind: alarm.asset, role: burner}}
triggers: [{id: by-hand, manual: {roles: [shift-lead]}}]
steps:
  - id: lower
    command: {device: burner, op: set_output, args: {output_pct: 40}, expires: 20s}
    compensate:
      command: {device: burner, op: restore_output, args: {output_pct: 60}, expires: 20s}
"""


@pytest.mark.parametrize(
    ("path", "phase", "said", "fits"),
    [
        ("/steps/lower", "intent", ("output_pct: 40", "output_pct: 30"), False),
        ("/steps/lower", "unknown", ("output_pct: 40", "output_pct: 30"), False),
        ("/steps/lower", "done", ("output_pct: 40", "output_pct: 30"), True),
        ("/steps/lower", "intent", ("output_pct: 60", "output_pct: 50"), True),
        ("/steps/lower/compensate", "intent", ("output_pct: 60", "output_pct: 50"), False),
        ("/steps/lower/compensate", "intent", ("output_pct: 40", "output_pct: 30"), True),
    ],
)
def test_a_command_that_was_begun_is_settled_by_its_own_words(
    path: str, phase: Phase, said: tuple[str, str], fits: bool
) -> None:
    old = load_text(BURNS, "burns.yaml").playbook
    new = load_text(BURNS.replace(*said), "burns.yaml").playbook
    journal = {path: Record(phase, 1)}
    assert _unfit(old, old, {}, journal) is None
    assert _unfit(old, new, {}, journal) == (None if fits else path)


HOSTILE = {
    "yaml_anchor": "a: &a [x, x]\n" + "".join(f"k{n}: [*a, *a]\n" for n in range(9)),
    "yaml_value": "a: " + "[" * 200_000,
    "yaml_too_large": "x" * 300 * 1024,
    "too_many_steps": TEXT + "".join(f"  - {{id: s{n}, log: x}}\n" for n in range(MOST_STEPS)),
}


@pytest.mark.parametrize("code", HOSTILE)
def test_a_text_that_is_made_to_hurt_is_refused_before_it_costs_anything(code: str) -> None:
    begun = time.process_time()
    found = _read(HOSTILE[code], "cool.yaml")
    assert isinstance(found, tuple)
    assert found[0].code == code
    assert found[0].message["zh"]
    assert found[0].mend["en"]
    assert time.process_time() - begun < 3  # of one thread; unbounded it was up to minutes


def test_a_text_full_of_mistakes_tells_the_first_two_hundred() -> None:
    text = TEXT + "".join(f"  - {{id: s{n}, lgo: x}}\n" for n in range(400))
    with pytest.raises(PlaybookFaults) as told:
        load_text(text, "cool.yaml")
    assert len(told.value.faults) == MOST_FAULTS


def test_a_test_that_is_made_to_hurt_is_refused_too() -> None:
    begun = time.process_time()
    site = load_site(demo_sites() / "f1")
    done = _rehearse(site, "cool", TEXT, "a: " + "[" * 50_000, ())
    assert not done.holds
    assert "cool.test.yaml:1:" in done.faults[0]
    assert time.process_time() - begun < 3
