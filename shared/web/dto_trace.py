"""Shapes of product units, batches and the time line of everything.

Imported by the brain's routes; no rule lives here. Times are UTC milliseconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from shared.web.dto_base import Dto, Text

UnitName = Annotated[
    str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f/]{1,100}$", strip_whitespace=True)
]
Time = Annotated[int, Field(ge=0, le=1 << 53)]
Attribute = str | float | bool | None


class PassageReport(Dto):
    """One stay; said again with `left_at`, it is completed."""

    unit: UnitName
    station: Annotated[str, Field(min_length=1, max_length=32)]
    entered_at: Time
    left_at: Time | None = None
    batch: Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f/]*$")] = ""
    attributes: dict[
        Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")],
        Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")] | float | bool,
    ] = Field(default_factory=dict, max_length=32)


class RelationReport(Dto):
    """A part went into a whole (assembled_into), or came out of it (split_from)."""

    parent: UnitName
    child: UnitName
    kind: Literal["assembled_into", "split_from"]
    at: Time
    station: Annotated[str, Field(max_length=32)] = ""


class PassageReports(Dto):
    """POST /api/units/passages (header Idempotency-Key)."""

    passages: list[PassageReport] = Field(default_factory=list, max_length=1000)
    relations: list[RelationReport] = Field(default_factory=list, max_length=1000)


class ReportResult(Dto):
    """What became of one item."""

    accepted: bool
    code: str = "ok"
    params: dict[str, Any] = Field(default_factory=dict)


class PassageResults(Dto):
    """Item by item, in the order of the request; `changed`: how much was news."""

    passages: list[ReportResult]
    relations: list[ReportResult]
    changed: int


class PassageOut(Dto):
    """One stay of a unit in a station."""

    unit: str
    batch: str
    station: str
    name: Text
    asset: str
    entered_at: int
    left_at: int | None
    source: str
    attributes: dict[str, Any] = Field(default_factory=dict)
    occurrences: list[str] = Field(default_factory=list)
    """Why it is listed: the occurrences that stood meanwhile; empty for a limit of one's own."""
    uncertain: bool = False
    """The clocks cannot tell whether it was there already, or still."""


class UnitPage(Dto):
    """GET /api/units: stays, oldest first."""

    items: list[PassageOut]
    next: str | None
    spans: int | None = None
    """How often it was out of limits in the period."""


class StationOut(Dto):
    """One step of the process."""

    id: str
    name: Text
    asset: str
    follows: list[str]
    tags: list[str]


class RelationOut(Dto):
    """One step of a unit's genealogy."""

    parent: str
    child: str
    kind: str
    at: int
    station: str


class ProcessValue(Dto):
    """What a tag of the station did during the stay."""

    tag: str
    name: Text
    unit: str
    low: float
    average: float
    high: float
    samples: int
    limits: dict[str, float] = Field(default_factory=dict)
    """side -> limit of the tag's alarms as they stand now."""
    out: bool = False
    """Beyond one of them for a moment at least."""


class StayAlarm(Dto):
    """An alarm that stood during a stay."""

    occurrence: str
    alarm: str
    name: Text
    raised_at: int
    returned_at: int | None
    uncertain: bool = False


class StayOut(Dto):
    """One stay with what happened meanwhile."""

    passage: PassageOut
    alarms: list[StayAlarm]
    values: list[ProcessValue]


class TraceEntry(Dto):
    """One entry of the time line of everything."""

    at: int
    """By the clock of who said it."""
    received_at: int | None = None
    lane: Literal[
        "process", "alarm", "people", "playbook", "command", "cloud", "told", "unit", "incident"
    ]
    kind: str
    params: dict[str, Any] = Field(default_factory=dict)
    actor: str | None = None
    tier: str | None = None
    late: bool = False
    alarm: str | None = None
    occurrence: str | None = None
    station: str | None = None
    unit: str | None = None
    clock: str = ""
    """Whose clock: an edge, `factory`, or a station's reporter."""
    uncertainty_ms: int | None = None
    """How far that clock may be off; null: nobody knows."""
    uncertain: bool = False
    """Nobody can say whether it came before or after a neighbour that it is told beside."""


class UnitDetail(Dto):
    """GET /api/units/{unit}: what happened to it."""

    unit: str
    batches: list[str]
    stays: list[StayOut]
    relations: list[RelationOut]
    timeline: list[TraceEntry]
    truncated: bool = False


class BatchStation(Dto):
    """A batch in one station."""

    station: str
    name: Text
    units: int
    first_at: int
    last_at: int | None
    alarms: list[StayAlarm]
    values: list[ProcessValue]


class BatchDetail(Dto):
    """GET /api/batches/{batch}; its units: GET /api/units?batch=."""

    batch: str
    stations: list[BatchStation]


class TraceSignal(Dto):
    """A tag around what is traced."""

    tag: str
    name: Text
    unit: str
    resolution: Literal["raw", "minute", "hour", "snippet"]
    t: list[int]
    v: list[float | None]
    limits: dict[str, float] = Field(default_factory=dict)


class TraceOut(Dto):
    """GET /api/trace/{kind}/{id}."""

    kind: Literal["alarm", "incident", "unit", "batch"]
    id: str
    title: Text
    site: str
    since: int
    until: int
    timezone: str
    entries: list[TraceEntry]
    signals: list[TraceSignal]
    truncated: bool = False
    """Not all of it: there is more than a time line can hold."""
