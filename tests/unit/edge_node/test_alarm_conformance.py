"""The edge's own API against state tables: the published one, and tables of other choices."""

from __future__ import annotations

import csv
import io
import itertools
import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_node import conformance
from edge_node.conformance_rig import RESTART
from shared.alarm.conformance import (
    CONFIGURATION,
    EVENTS,
    FURTHER,
    ISA,
    REGIONS,
    UNREACHABLE,
    Row,
    cells_of,
    check,
    event_named,
    policy_of,
    region_cells,
)
from shared.alarm.machine import step
from shared.alarm.states import AlarmState
from shared.cli.alarms import app

CHOICES = {**CONFIGURATION, **FURTHER}
ALL = [
    dict(zip(CHOICES, values, strict=True))
    for values in itertools.product(*(list(options) for _, options in CHOICES.values()))
]


def table(configuration: dict[str, str]) -> list[dict[str, str]]:
    """Every state that the function reaches under a configuration, times every event."""
    policy, start = policy_of(configuration), AlarmState()
    rows, seen, todo = [], {region_cells(start)}, [start]
    while todo:
        state = todo.pop()
        cells = dict(zip((f"f_{r}" for r in REGIONS), region_cells(state), strict=True))
        before = {"from_isa": ISA[state.name], "from_core": state.core, **cells}
        for event in EVENTS:
            after = step(policy, state, event_named(event), 0)
            rows.append({**configuration, **before, "event": event, **cells_of(after)})
            if region_cells(after.state) not in seen:
                seen.add(region_cells(after.state))
                todo.append(after.state)
    return rows


@pytest.mark.oracle
def test_every_row_of_the_state_table_holds_through_the_edge(outside_data: Path) -> None:
    path = outside_data / "oracles" / "alarm_transitions.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 5000
    assert conformance.check(rows) == (len(rows), [])


def test_the_edge_does_what_the_function_says_whatever_is_chosen() -> None:
    """A sample; the whole 512 take a minute (see the reference of the life cycle)."""
    assert len(ALL) == 512
    for configuration in random.Random(20).sample(ALL, 14):
        rows = table(configuration)
        assert conformance.check(rows) == (len(rows), [])
        found = conformance.explore(policy_of(configuration))
        assert len(found) * len(EVENTS) == len(rows)  # nor does it reach any other state


@pytest.mark.parametrize("at", [0, 137, 511])
def test_a_restart_changes_no_state_that_can_be_reached(at: int) -> None:
    """Nor does it sound again, and the tour goes on from it as if nothing had been."""
    policy = policy_of(ALL[at])
    tour = conformance.Tour(policy, False, (*conformance.PLAIN, RESTART), {})
    found = tour.run()
    assert set(found) == set(conformance.explore(policy))
    for key, done in found.items():
        assert (done[RESTART].key, done[RESTART].cells["result"]) == (key, "noop")


def planted(rows: list[dict[str, str]], seed: int) -> dict[int, tuple[str, str, str]]:
    """Spoil cells of some rows: row -> column, wrong cell, right cell."""
    chance = random.Random(seed)
    columns = ["result", "annunciated", "to_isa", "t_raw", "t_acked", "t_shelf", "t_supp", "retain",
               "audible", "t_confirmed", "t_latched", "t_enabled", "t_oos", "t_active"]  # fmt: skip
    wrong = {}
    for index in chance.sample(range(len(rows)), 40):
        column = chance.choice(columns)
        right = rows[index][column]
        given = {"0": "1", "1": "0", "U": "T"}.get(right, "U" if column == "t_shelf" else "x")
        rows[index] = {**rows[index], column: given}
        wrong[index + 1] = (column, given, right)
    return wrong


@pytest.mark.parametrize("runner", [check, conformance.check])
def test_every_planted_wrong_cell_is_reported_and_nothing_else(runner) -> None:
    rows = table({**ALL[0], "latching": "1", "confirm": "1", "ackreq": "1"})
    wrong = planted(rows, 7)
    count, found = runner(rows)
    assert count == len(rows)
    assert {m.row: (m.column, m.expected, m.actual) for m in found} == wrong
    assert len(found) == len(wrong)


def test_a_state_that_nothing_leads_to_is_reported() -> None:
    rows: list[Row] = list(table(ALL[0]))
    active = next(i for i, row in enumerate(rows) if row["f_active"] == "1")
    # Active without its condition: no event can bring that about.
    rows[active] = {**rows[active], "f_raw": "0"}
    _, found = conformance.check(rows)
    assert [(m.row, m.actual) for m in found] == [(active + 1, UNREACHABLE)]


@pytest.mark.parametrize(("through", "runs"), [("all", 2), ("pure", 1), ("edge", 1)])
def test_the_verb_runs_both_ways(tmp_path: Path, through: str, runs: int) -> None:
    rows = table(ALL[-1])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path = tmp_path / "table.csv"
    path.write_text(text.getvalue())
    result = CliRunner().invoke(app, ["conformance", str(path), "--through", through, "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.output)
    assert (answer["holds"], answer["passed"], len(answer["runs"])) == (True, len(rows), runs)
    path.write_text(text.getvalue().replace(",reject,", ",refuse,"))
    refused = CliRunner().invoke(app, ["conformance", str(path), "--through", through])
    assert refused.exit_code == 2  # a choice that nobody knows is never read as a default
