"""Hold the alarm machine against a state table, row by row.

The table's columns are those of a published oracle: configuration, state before, event, result,
state after. Called by `andon alarms conformance` and the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.alarm.machine import AlarmEvent, Policy, Step, Trigger, step
from shared.alarm.states import AlarmState
from shared.errors import ContractError

_ISA = {
    "normal": "A_normal",
    "unacknowledged": "B_unack",
    "acknowledged": "C_acked",
    "rtn_unacknowledged": "D_rtn_unack",
    "latched_unacknowledged": "L_latched_unack",
    "latched_acknowledged": "L_latched_acked",
    "shelved": "E_shelved",
    "suppressed": "F_suppressed_by_design",
    "out_of_service": "G_out_of_service",
    "disabled": "X_disabled",
}
SHELVE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One row that the machine does not reproduce."""

    row: int
    event: str
    column: str
    expected: str
    actual: str


def _policy(row: Mapping[str, str]) -> Policy:
    return Policy(
        ack_required=row["ackreq"] == "1",
        confirm_used=row["confirm"] == "1",
        latching=row["latching"] == "1",
        leave="keep" if row["leave"] == "keep" else "rearm",
        hidden_ack="accept" if row["supack"] == "accept" else "reject",
        clear_unacked="auto" if row["clrack"] == "auto" else "required",
        reshelve="reject" if row["reshelve"] == "reject" else "restart",
    )


def _before(row: Mapping[str, str]) -> AlarmState:
    shelf = row["f_shelf"]
    if shelf not in ("U", "T", "O"):
        raise ContractError(f"f_shelf must be U, T or O, not {shelf!r}")
    return AlarmState(
        enabled=row["f_enabled"] == "1",
        raw=row["f_raw"] == "1",
        active=row["f_active"] == "1",
        acked=row["f_acked"] == "1",
        confirmed=row["f_confirmed"] == "1",
        latched=row["f_latched"] == "1",
        shelf=shelf,
        shelved_until=None if shelf == "U" else SHELVE_MS,
        suppressed=row["f_supp"] == "1",
        out_of_service=row["f_oos"] == "1",
    )


def _event(name: str) -> AlarmEvent:
    if name == "ACK_WRONG_EVENTID":
        return AlarmEvent(Trigger.ACKNOWLEDGE, occurrence_matches=False)
    if name == "SHELVE_TIMED_BAD_DURATION":
        return AlarmEvent(Trigger.SHELVE_TIMED, shelve_ms=-1)
    try:
        return AlarmEvent(Trigger(name), shelve_ms=SHELVE_MS)
    except ValueError as error:
        raise ContractError(f"unknown event {name!r}") from error


def _flag(value: bool) -> str:
    return "1" if value else "0"


def _columns(result: Step) -> dict[str, str]:
    state = result.state
    return {
        "result": result.result,
        "annunciated": _flag(result.annunciate),
        "to_isa": _ISA[state.name],
        "to_core": state.core,
        "t_enabled": _flag(state.enabled),
        "t_raw": _flag(state.raw),
        "t_active": _flag(state.active),
        "t_acked": _flag(state.acked),
        "t_confirmed": _flag(state.confirmed),
        "t_latched": _flag(state.latched),
        "t_shelf": state.shelf,
        "t_supp": _flag(state.suppressed),
        "t_oos": _flag(state.out_of_service),
        "retain": _flag(state.retained),
        "audible": _flag(state.audible),
    }


def check(rows: Iterable[Mapping[str, str]]) -> tuple[int, list[Mismatch]]:
    """Run every row; returns (rows run, mismatches).

    Raises ContractError, naming the row, when the table itself cannot be read.
    """
    count = 0
    wrong: list[Mismatch] = []
    for count, row in enumerate(rows, start=1):
        try:
            actual = _columns(step(_policy(row), _before(row), _event(row["event"]), 0))
            for column, value in actual.items():
                if row[column] != value:
                    wrong.append(Mismatch(count, row["event"], column, row[column], value))
        except (KeyError, ContractError) as error:
            raise ContractError(f"row {count}: {error}") from error
    return count, wrong
