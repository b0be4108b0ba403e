"""Every playbook of the library: sound against its template, tried to 100 %, in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge_node.adapters.sources import modbus, mqtt, opcua
from shared.cli.playbook import app
from shared.cli.playbook_rehearse import Ran, run_file
from shared.errors import ConfigError
from shared.expression import compile_expression
from shared.paths import playbook_library
from shared.playbook.explain import explain
from shared.playbook.lint import lint
from shared.playbook.loader import Loaded, load_playbook
from shared.playbook.model import Playbook, Step
from shared.playbook.rehearsal.coverage import KINDS
from shared.playbook.template import (
    ROLES,
    TEMPLATE,
    Template,
    load_template,
    playbook_files,
)

LIBRARY = playbook_files(playbook_library())
SITUATIONS = sorted({file.parent for file in LIBRARY})
SHEET = {
    "zh": ["情形", "先兆", "预案做什么", "人做什么", "绝不", "演练"],
    "en": ["Situation", "First signs", "What the playbook does", "What people do",
           "What never to do", "Drill"],
}  # fmt: skip
DRIVERS: dict[str, Any] = {
    "modbus": modbus.DRIVER, "rtu": modbus.DRIVER, "opcua": opcua.DRIVER,
    "gateway": opcua.DRIVER, "mqtt": mqtt.DRIVER,
}  # fmt: skip
"""The driver by the last word of a template's source."""
HAN = re.compile(r"[\u4e00-\u9fff]")
TEMPLATE_PARTS = re.compile(r"\$\{[^}]*\}")
every = pytest.mark.parametrize("file", LIBRARY, ids=lambda file: file.stem)
everywhere = pytest.mark.parametrize("folder", SITUATIONS, ids=lambda folder: folder.name)


@cache
def books() -> dict[str, Playbook]:
    """What the playbooks of the library may call."""
    return {book.playbook: book for book in (read(file).playbook for file in LIBRARY)}


@cache
def read(file: Path) -> Loaded:
    return load_playbook(file)


@cache
def plant(folder: Path) -> Template:
    return load_template(folder / TEMPLATE)


@every
def test_it_lints_without_a_finding_against_its_template(file: Path) -> None:
    found = lint(read(file), plant(file.parent).plant, books())
    assert [(one.where, one.code, one.message["en"]) for one in found] == []


@every
def test_it_is_explained_and_within_its_budget(file: Path) -> None:
    book = read(file).playbook
    shown = explain(book, books(), plant(file.parent).plant)
    budget = book.budget
    assert None not in (budget.commands, budget.duration, budget.people)
    assert shown.worst_case_commands <= (budget.commands or 0)
    assert shown.worst_case_ms <= (budget.duration or 0)
    assert len(shown.tells) <= (budget.people or 0)
    moved = {f"{device}.{op}" for device, ops in shown.devices.items() for op in ops}
    assert len(moved) >= len(shown.moves), "the template binds every device that it moves"


@every
def test_its_tests_pass_and_reach_all_of_it(file: Path) -> None:
    ran = run_file(file.with_name(f"{file.stem}.test.yaml"), plant(file.parent))
    missed = [(one.case.name, [m.message["en"] for m in one.misses]) for one in ran.played
              if not one.passed]  # fmt: skip
    assert missed == []
    wanted = ran.tests.file.coverage
    assert {kind: getattr(wanted, kind) for kind in KINDS} == dict.fromkeys(KINDS, 100)
    left = {one.kind: [item.name for item in one.missing] for one in ran.covered if one.missing}
    assert left == {}
    assert faulted(ran), "one of its tests kills the brain or breaks the link"


def faulted(ran: Ran) -> bool:
    """Whether a test of the file breaks something on the way."""
    return any(
        case.faults or any(event.kind in ("kill", "link") for event in case.when)
        for case in ran.tests.file.tests
    )


@every
def test_what_people_read_is_in_both_languages(file: Path) -> None:
    book = read(file).playbook
    shown = dict(texts(book))
    assert shown["name"]["zh"]
    for where, words in shown.items():
        plain = {lang: TEMPLATE_PARTS.sub("", words[lang]).strip() for lang in ("zh", "en")}
        assert all(plain.values()), where
        assert HAN.search(plain["zh"]), f"{where} is not Chinese: {plain['zh']}"
        assert not HAN.search(plain["en"]), f"{where} is not English: {plain['en']}"
    for step in book.all_steps():
        if step.ask is not None:
            assert set(step.ask.labels) == set(step.ask.options), step.id


def texts(book: Playbook) -> Iterator[tuple[str, dict[str, str]]]:
    """Every text that people read, by where it stands."""
    yield "name", book.name.model_dump()
    yield "description", book.description.model_dump()
    for step in book.all_steps():
        if step.notify is not None:
            yield f"{step.id} message", step.notify.message.model_dump()
        if step.ask is not None:
            yield f"{step.id} question", step.ask.question.model_dump()
            for option, words in step.ask.labels.items():
                yield f"{step.id} {option}", words.model_dump()


@every
def test_its_head_says_who_owns_it_and_what_can_hurt(file: Path) -> None:
    book = read(file).playbook
    assert book.playbook == file.stem
    assert book.owner.startswith("team:")
    assert {"process", "hazard"} <= set(book.labels)
    codes = plant(file.parent).bindings.alarms
    alarms = [trigger.alarm for trigger in book.triggers if trigger.alarm]
    known = set(codes) | ({"FUR-01.TT-101.HIHI"} if file.stem == "furnace-overtemp" else set())
    assert alarms or not book.triggers, "without an alarm every site would have to bind it"
    assert set(alarms) <= known, "a trigger names a code of the template"


@every
def test_each_command_is_guarded_and_each_question_ends(file: Path) -> None:
    book = read(file).playbook
    asked = [step for step in book.all_steps() if step.ask is not None]
    for step, spec in commands(book):
        assert spec.require, f"{step.id}: what makes this move dangerous?"
        assert spec.verify is not None, step.id
        assert spec.expires <= 120_000, step.id
    for step in asked:
        assert [rung.then for rung in step.escalate[-1:]] != [None], f"{step.id}: no last rung"
        assert step.escalate, f"{step.id}: no ladder"
    assert [handler.when for handler in book.catch[-1:]] == ["true"], "the last one takes all"


def commands(book: Playbook) -> Iterator[tuple[Step, Any]]:
    """Every command, those of undoing too."""
    for step in book.all_steps():
        if step.command is not None:
            yield step, step.command
        if step.compensate is not None and step.compensate.command is not None:
            yield step, step.compensate.command


@everywhere
def test_the_template_is_whole(folder: Path) -> None:
    template = plant(folder)
    known = {tag for device in template.bindings.devices.values() for tag in device.tags.values()}
    for name, device in template.bindings.devices.items():
        for text in device.interlocks:
            assert compile_expression(text).tags <= known, f"{name}: {text}"
        for op, spec in device.operations.items():
            assert spec.max_per_min, f"{name}.{op} has no limit of its own"
    assert template.bindings.alarms
    assert template.roster


@everywhere
def test_what_it_writes_to_is_an_address_of_that_driver(folder: Path) -> None:
    for name, device in plant(folder).bindings.devices.items():
        check = DRIVERS[device.source.rpartition("-")[2]].check_write
        for op, spec in device.operations.items():
            assert check is None or check(spec.write) == "", f"{name}.{op}"


@everywhere
def test_people_have_a_sheet_in_both_languages(folder: Path) -> None:
    text = (folder / "response.md").read_text("utf-8")
    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert heads == SHEET["zh"] + SHEET["en"]
    for head in heads:
        body = text.split(f"## {head}\n", 1)[1].split("\n## ", 1)[0]
        assert len(body.strip()) > 20, head
        assert bool(HAN.search(body.split("\n---")[0])) == (head in SHEET["zh"]), head
    for book in (file.stem for file in LIBRARY if file.parent == folder):
        assert f"`{book}`" in text, f"the sheet does not name {book}"


def test_the_gas_leak_and_the_boiler_can_bring_nothing_back() -> None:
    """What must never happen by itself is not even bound."""
    gas = load_template(playbook_library() / "gas" / TEMPLATE).bindings.devices
    boiler = load_template(playbook_library() / "boiler" / TEMPLATE).bindings.devices
    assert set(gas["GAS-01/isolation"].operations) == {"close"}
    assert set(gas["GAS-01/exhaust"].operations) == {"start"}
    assert set(boiler["BLR-01/burner"].operations) == {"trip"}
    levels = " ".join(boiler["BLR-01/feed"].interlocks)
    for tag in ("BLR-01.BS-101", "BLR-01.LT-101", "BLR-01.LT-102", "BLR-01.TT-101"):
        assert f"tag('{tag}').good" in levels


def test_lint_and_test_take_the_template_from_the_command_line(tmp_path: Path) -> None:
    folder = playbook_library() / "furnace"
    template = str(folder / TEMPLATE)
    lint_it = ["lint", str(folder / "furnace-overtemp.yaml"), "--site", template]
    assert CliRunner().invoke(app, lint_it).exit_code == 0
    test_it = ["test", str(folder / "furnace-overtemp.test.yaml"), "-k", "false alarm"]
    assert CliRunner().invoke(app, [*test_it, "--site", template]).exit_code == 0
    wrong = tmp_path / TEMPLATE
    wrong.write_text("devises: {}\n")
    result = CliRunner().invoke(app, [*lint_it[:3], str(wrong)])
    assert (result.exit_code, "devices" in result.output) == (2, True), result.output


def test_a_template_without_roles_and_other_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a.yaml", "a.test.yaml", TEMPLATE):
        (tmp_path / "a" / name).write_text("alarms: {}\n")
    (tmp_path / ROLES).write_text("roster: {x: [y]}\n")
    assert [file.name for file in playbook_files(tmp_path)] == ["a.yaml"]
    assert load_template(tmp_path / "a" / TEMPLATE).roster == {"x": ["y"]}
    (tmp_path / TEMPLATE).write_text("- 1\n")
    with pytest.raises(ConfigError):
        load_template(tmp_path / TEMPLATE)
