"""The alarm machine against the state table and the published traces."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shared.alarm.conformance import check
from shared.alarm.machine import AlarmEvent, Policy, Trigger, step
from shared.alarm.point import PointState, Setting, sample
from shared.alarm.states import NORMAL, AlarmState
from shared.cli.alarms import app
from shared.errors import ContractError

HEADER = (
    "ackreq,confirm,latching,leave,supack,clrack,reshelve,from_isa,from_core,f_enabled,f_raw,"
    "f_active,f_acked,f_confirmed,f_latched,f_shelf,f_supp,f_oos,event,result,annunciated,to_isa,"
    "to_core,t_enabled,t_raw,t_active,t_acked,t_confirmed,t_latched,t_shelf,t_supp,t_oos,retain,"
    "audible"
)
RAISE_ROW = (
    "1,0,0,rearm,reject,required,restart,A_normal,A,1,0,0,1,1,0,U,0,0,RAISE,ok,1,B_unack,B,"
    "1,1,1,0,1,0,U,0,0,1,1"
)


def rows(*lines: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("\n".join([HEADER, *lines]))))


@pytest.mark.oracle
def test_every_row_of_the_state_table_holds(outside_data: Path) -> None:
    table = outside_data / "oracles" / "alarm_transitions.csv"
    with table.open(encoding="utf-8", newline="") as file:
        count, wrong = check(csv.DictReader(file))
    assert count > 5000
    assert wrong == []


def test_the_check_sees_a_single_wrong_cell() -> None:
    assert check(rows(RAISE_ROW)) == (1, [])
    count, wrong = check(rows(RAISE_ROW, RAISE_ROW.replace("B_unack,B", "B_unack,C")))
    assert count == 2
    assert [(m.row, m.column, m.expected, m.actual) for m in wrong] == [(2, "to_core", "C", "B")]


def test_a_table_that_cannot_be_read_names_its_row() -> None:
    with pytest.raises(ContractError, match=r"row 2.*EXPLODE"):
        check(rows(RAISE_ROW, RAISE_ROW.replace("RAISE", "EXPLODE")))


@pytest.mark.parametrize(
    ("text", "code"),
    [(f"{HEADER}\n{RAISE_ROW}\n", 0),
     (f"{HEADER}\n{RAISE_ROW.replace('B_unack,B', 'B_unack,C')}\n", 1),
     (f"{HEADER}\n", 2), ("", 2), ("a,b\n1,2\n", 2)],
)  # fmt: skip
def test_the_verb_is_honest_in_its_exit_code(tmp_path: Path, text: str, code: int) -> None:
    table = tmp_path / "table.csv"
    table.write_text(text)
    result = CliRunner().invoke(app, ["conformance", str(table), "--json"])
    assert result.exit_code == code, result.output
    assert CliRunner().invoke(app, ["conformance", str(tmp_path / "no.csv")]).exit_code == 2


SHOWN = {"A": "N", "B": "U", "C": "A", "D": "R", "LU": "U", "LA": "L"}


def play(policy: Policy, on_delay_ms: int, condition: str, ack: str, reset: str = "") -> str:
    """Run one character a second; people's edges are taken before the sample of the same second."""
    state, point = NORMAL, PointState()
    setting = Setting(limit=0.5, on_delay_ms=on_delay_ms)
    shown = ""
    for second, mark in enumerate(condition):
        now = second * 1000
        if ack[second] == "#":
            state = step(policy, state, AlarmEvent(Trigger.ACKNOWLEDGE), now).state
        if reset and reset[second] == "#":
            state = step(policy, state, AlarmEvent(Trigger.RESET), now).state
        point, change = sample(setting, "HI", point, 1.0 if mark == "#" else 0.0, now)
        if change is not None:
            trigger = Trigger.RAISE if change == "raise" else Trigger.CLEAR
            state = step(policy, state, AlarmEvent(trigger), now).state
        shown += SHOWN[state.core]
    return shown


def test_the_delay_trace_replays() -> None:
    assert (
        play(
            Policy(),
            3000,
            "_#__#######__#####_____",
            "_________#__________#__",
        )
        == "NNNNNNNUUAANNNNNUURRNNN"
    )


def test_the_latching_trace_replays() -> None:
    assert (
        play(
            Policy(latching=True),
            1000,
            "__####_________",
            "________#______",
            "_____#_____#___",
        )
        == "NNNUUUUULLLNNNN"
    )


def test_the_table_b1_of_opc_ua_part_9_replays() -> None:
    policy, state = Policy(confirm_used=True), NORMAL
    script = [
        (Trigger.RAISE, "1011"), (Trigger.ACKNOWLEDGE, "1101"), (Trigger.CLEAR, "0101"),
        (Trigger.CONFIRM, "0110"), (Trigger.RAISE, "1011"), (Trigger.CLEAR, "0011"),
        (Trigger.ACKNOWLEDGE, "0101"), (Trigger.CONFIRM, "0110"),
    ]  # fmt: skip
    assert shown(state) == "0110"
    for trigger, expected in script:
        result = step(policy, state, AlarmEvent(trigger), 0)
        assert result.result == "ok"
        state = result.state
        assert shown(state) == expected, trigger


def shown(state: AlarmState) -> str:
    flags = (state.active, state.acked, state.confirmed, state.retained)
    return "".join("1" if flag else "0" for flag in flags)


def test_a_state_survives_its_plain_form_and_a_newer_version() -> None:
    state = AlarmState(raw=True, active=True, acked=False, shelf="T", shelved_until=9)
    assert AlarmState.from_dict({**state.to_dict(), "field_of_tomorrow": 1}) == state
