"""Hold the alarm machine against a state table, row by row.

The table's columns are those of a published oracle: configuration, state before, event, result,
state after. Called by `andon alarms conformance`, by the edge's own run of it and by the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.alarm.machine import AlarmEvent, Policy, Step, Trigger, step
from shared.alarm.states import AlarmState
from shared.errors import ContractError

ISA = {
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
CONFIGURATION: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ackreq": ("ack_required", {"0": False, "1": True}),
    "confirm": ("confirm_used", {"0": False, "1": True}),
    "latching": ("latching", {"0": False, "1": True}),
    "leave": ("leave", {"rearm": "rearm", "keep": "keep"}),
    "supack": ("hidden_ack", {"reject": "reject", "accept": "accept"}),
    "clrack": ("clear_unacked", {"required": "required", "auto": "auto"}),
    "reshelve": ("reshelve", {"restart": "restart", "reject": "reject"}),
}
FURTHER: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "latched_raise": ("latched_raise", {"annunciate": "annunciate", "same": "same"}),
    "re_alarm_on": ("re_alarm_on", {"standing": "standing", "unacked": "unacked"}),
}
"""Choice points that the published table leaves at their default; columns for them may be added."""
REGIONS = ("enabled", "raw", "active", "acked", "confirmed", "latched", "shelf", "supp", "oos")
EVENTS = (*(trigger.value for trigger in Trigger), "ACK_WRONG_EVENTID", "SHELVE_TIMED_BAD_DURATION")
SHELVE_MS = 60_000
UNREACHABLE = "unreachable"

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One cell that is not reproduced."""

    row: int
    event: str
    column: str
    expected: str
    actual: str


def policy_of(row: Row) -> Policy:
    """The configuration of one row; raises ContractError, KeyError for a column that is missing."""
    chosen = {}
    for column, (name, values) in (*CONFIGURATION.items(), *FURTHER.items()):
        if column in FURTHER and column not in row:
            continue
        if row[column] not in values:
            raise ContractError(f"{column} must be one of {list(values)}, not {row[column]!r}")
        chosen[name] = values[row[column]]
    return replace(Policy(), **chosen)


def region_cells(state: AlarmState) -> tuple[str, ...]:
    """The cells of a state's regions, in the order of `REGIONS`."""
    return (
        _flag(state.enabled), _flag(state.raw), _flag(state.active), _flag(state.acked),
        _flag(state.confirmed), _flag(state.latched), state.shelf, _flag(state.suppressed),
        _flag(state.out_of_service),
    )  # fmt: skip


def before_of(row: Row) -> AlarmState:
    """The state before; raises ContractError."""
    cells = {region: row[f"f_{region}"] for region in REGIONS}
    shelf = cells.pop("shelf")
    if shelf not in ("U", "T", "O"):
        raise ContractError(f"f_shelf must be U, T or O, not {shelf!r}")
    for region, cell in cells.items():
        if cell not in ("0", "1"):
            raise ContractError(f"f_{region} must be 0 or 1, not {cell!r}")
    yes = {region: cell == "1" for region, cell in cells.items()}
    return AlarmState(
        enabled=yes["enabled"], raw=yes["raw"], active=yes["active"], acked=yes["acked"],
        confirmed=yes["confirmed"], latched=yes["latched"], shelf=shelf,
        shelved_until=None if shelf == "U" else SHELVE_MS, suppressed=yes["supp"],
        out_of_service=yes["oos"],
    )  # fmt: skip


def event_of(row: Row) -> str:
    """The event's name; raises ContractError for one that nobody knows."""
    if row["event"] not in EVENTS:
        raise ContractError(f"unknown event {row['event']!r}")
    return row["event"]


def event_named(name: str) -> AlarmEvent:
    """An event of the table as the function takes it."""
    if name == "ACK_WRONG_EVENTID":
        return AlarmEvent(Trigger.ACKNOWLEDGE, occurrence_matches=False)
    if name == "SHELVE_TIMED_BAD_DURATION":
        return AlarmEvent(Trigger.SHELVE_TIMED, shelve_ms=-1)
    return AlarmEvent(Trigger(name), shelve_ms=SHELVE_MS)


def _flag(value: bool) -> str:
    return "1" if value else "0"


def cells_of(result: Step) -> dict[str, str]:
    """Result and state after, as the table writes them."""
    state = result.state
    after = dict(zip((f"t_{region}" for region in REGIONS), region_cells(state), strict=True))
    return {
        "result": result.result,
        "annunciated": _flag(result.annunciate),
        "to_isa": ISA[state.name],
        "to_core": state.core,
        **after,
        "retain": _flag(state.retained),
        "audible": _flag(state.audible),
    }


def compare(number: int, row: Row, actual: Mapping[str, str]) -> list[Mismatch]:
    """The cells of one row that differ from `actual`."""
    before = before_of(row)
    seen = {"from_isa": ISA[before.name], "from_core": before.core, **actual}
    return [
        Mismatch(number, row["event"], column, row[column], value)
        for column, value in seen.items()
        if row[column] != value
    ]


def unreachable(number: int, row: Row) -> Mismatch:
    """The report of a row whose state before no sequence of events leads to."""
    before = " ".join(f"{region}={row[f'f_{region}']}" for region in REGIONS)
    return Mismatch(number, row["event"], "from", before, UNREACHABLE)


def _check_cells(row: Row) -> None:
    policy_of(row)
    before_of(row)
    event_of(row)
    for cell in (*cells_of(Step(AlarmState())), "from_isa", "from_core"):
        if row[cell] is None:
            raise ContractError(f"the cell of {cell} is missing")


def numbered(rows: Iterable[Row]) -> Sequence[tuple[int, Row]]:
    """Rows with their numbers; raises ContractError, naming the row, for one that is unreadable."""
    found = []
    for number, row in enumerate(rows, start=1):
        try:
            _check_cells(row)
        except KeyError as error:
            raise ContractError(f"row {number}: there is no column {error}") from error
        except ContractError as error:
            raise ContractError(f"row {number}: {error}") from error
        found.append((number, row))
    return found


def check(rows: Iterable[Row]) -> tuple[int, list[Mismatch]]:
    """Run every row through the function itself; returns (rows run, mismatches).

    Raises ContractError, naming the row, when the table itself cannot be read.
    """
    table = numbered(rows)
    wrong: list[Mismatch] = []
    for number, row in table:
        result = step(policy_of(row), before_of(row), event_named(row["event"]), 0)
        wrong += compare(number, row, cells_of(result))
    return len(table), wrong
