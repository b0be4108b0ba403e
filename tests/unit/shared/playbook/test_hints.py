"""What a misspelt key or name is told: the one that was meant, or what there is; never a guess."""

from __future__ import annotations

import pytest

from shared.playbook.faults import Fault, PlaybookFaults
from shared.playbook.keys import hint, part_at
from shared.playbook.loader import load_text
from shared.playbook.model import Playbook, Step
from shared.playbook.near import hints, nearest

STEP, COMMAND = ("steps", 0), ("steps", 3, "parallel", "branches", 1, "steps", 0, "command")
STEPS = ["decide", "hold", "cool1", "cooled", "act", "vent"]
FURNACE = ["FUR-01.TT-101.HIHI", "FUR-01.TT-101.HI"]


@pytest.mark.parametrize(("place", "wrote", "meant"), [
    ((), "dealine", "deadline"), ((), "triger", "triggers"), ((), "on", "triggers"),
    (STEP, "onTimeout", "on_timeout"), (STEP, "on_eror", "on_error"), (STEP, "comand", "command"),
    (STEP, "notfy", "notify"), (STEP, "retries", "retry"), (STEP, "cmd", "command"),
    (STEP, "foreach", "for_each"), (COMMAND, "expire", "expires"), (COMMAND, "aproval", "approval"),
    (COMMAND, "operation", "op"), (("steps", 0, "switch", 0), "else", "otherwise"),
    (("inputs", "x", "tunable"), "minimum", "min"),
])  # fmt: skip
def test_a_misspelt_key_is_answered_by_the_one_that_was_meant(
    place: tuple[str | int, ...], wrote: str, meant: str
) -> None:
    zh, en = hint(wrote, place)
    assert en == f"did you mean {meant!r}?"
    assert meant in zh


@pytest.mark.parametrize("wrote", ["foo", "email", "color", "sms", "do"])
def test_what_is_near_nothing_is_answered_by_no_guess(wrote: str) -> None:
    assert hint(wrote, STEP) == ("删除它，或改正名称", "remove it, or correct its name")


def test_a_key_that_belongs_elsewhere_is_sent_there() -> None:
    assert hint("within", STEP)[1] == "'within' stands below: verify, ask, wait_until"
    assert hint("verfy", STEP)[1] == "did you mean 'verify'? 'verify' stands below: command"
    assert hint("dev", COMMAND)[1].startswith("remove it; here may stand: device, op, args,")


def test_a_place_is_found_through_blocks_lists_and_mappings() -> None:
    assert part_at(Playbook, ("steps", 0, "try", "catch", 0, "steps", 2)) is Step
    assert part_at(Playbook, ("finally", 0)) is Step
    assert part_at(Playbook, ("steps", 0, "set", "x")) is None


@pytest.mark.parametrize(("wrote", "known", "meant"), [
    ("decied", STEPS, "decide"), ("holdd", STEPS, "hold"), ("Vent", STEPS, "vent"),
    ("FUR-01.TT-101.HIHIH", FURNACE, "FUR-01.TT-101.HIHI"),
    ("set_ouput", ["set_output", "stop"], "set_output"),
    ("fan.exhuast", ["fan.exhaust", "burner.modulating"], "fan.exhaust"),
    ("shift-led", ["shift-lead", "maintenance"], "shift-lead"), ("cmss", ["cmms", "mes"], "cmms"),
])  # fmt: skip
def test_a_misspelt_name_is_answered_by_the_one_that_was_meant(
    wrote: str, known: list[str], meant: str
) -> None:
    assert nearest(wrote, known) == meant


@pytest.mark.parametrize(("wrote", "known"), [
    ("FUR-02.TT-101.HIHI", FURNACE), ("cool2", STEPS), ("stop", ["start"]), ("close", ["open"]),
    ("operator", ["shift-lead", "maintenance"]), ("xyz", STEPS),
])  # fmt: skip
def test_another_thing_is_never_offered_for_the_one_that_was_written(
    wrote: str, known: list[str]
) -> None:
    assert nearest(wrote, known) == ""
    assert hints(wrote, known)[0] == f"write one of: {', '.join(sorted(known))}; or define it"


def test_the_hint_reaches_the_author() -> None:
    head = "schema: playbook/v1\nplaybook: p\nversion: 1\nname: p\nsteps:\n"
    text = f"{head}- {{id: a, log: x, within: 5s}}\n"
    with pytest.raises(PlaybookFaults) as raised:
        load_text(text, "p.yaml")
    [fault] = raised.value.faults
    assert isinstance(fault, Fault)
    assert (fault.code, fault.where) == ("unknown_key", "p.yaml:6:19")
    assert fault.mends["en"] == "'within' stands below: verify, ask, wait_until"
