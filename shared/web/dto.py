"""Shapes of the REST interface, shared by the brain, the cloud and the console.

The console's TypeScript types are generated from these through OpenAPI; no rule lives here.
Times are UTC milliseconds. Names that people read come as `Text` (zh, en).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.alarm.filters import Filter as FilterName
from shared.web.dto_base import Dto as Dto
from shared.web.dto_base import LaneCounts as LaneCounts
from shared.web.dto_base import Text as Text
from shared.web.dto_desk import Permit as Permit
from shared.web.dto_desk import RefusedAction as RefusedAction
from shared.web.dto_desk import Shelf as Shelf
from shared.web.dto_group import CandidateScore as CandidateScore
from shared.web.dto_group import DecisionRequest as DecisionRequest
from shared.web.dto_group import Evidence as Evidence
from shared.web.dto_group import Factory as Factory
from shared.web.dto_group import FactoryList as FactoryList
from shared.web.dto_group import Proposal as Proposal
from shared.web.dto_group import ProposalList as ProposalList
from shared.web.dto_group import RolloutState as RolloutState
from shared.web.dto_group import Setting as Setting
from shared.web.dto_identity import GrantOut as GrantOut
from shared.web.dto_runs import AnswerRequest as AnswerRequest
from shared.web.dto_runs import Ask as Ask
from shared.web.dto_runs import ControlRequest as ControlRequest
from shared.web.dto_runs import JoinedAlarm as JoinedAlarm
from shared.web.dto_runs import Run as Run
from shared.web.dto_runs import RunList as RunList
from shared.web.dto_runs import RunStep as RunStep


class Problem(Dto):
    """An error as `application/problem+json` (RFC 9457); the console words `code`."""

    type: str
    """Leads to what the code means: `/api/problems/{code}`."""
    title: str
    status: int
    detail: str
    """The code in the language of `Accept-Language`; Chinese, if there is none."""
    code: str
    params: dict[str, Any] = Field(default_factory=dict)


class ProblemType(Dto):
    """GET /api/problems/{code}."""

    code: str
    text: Text
    """With `{name}` where a parameter goes."""


class Login(Dto):
    """POST /api/session."""

    username: str = Field(max_length=200)
    password: str = Field(max_length=1000)


class Session(Dto):
    """GET /api/session: who is logged in, where."""

    user: str
    roles: list[str]
    grants: list[GrantOut] = Field(default_factory=list)
    """Roles by area of the asset tree; "" is everywhere."""
    actions: list[str] = Field(default_factory=list)
    """What the user may do, anywhere at least; the server asks again at each action."""
    kind: str = "local"
    tier: Literal["factory", "group"]
    site: str
    site_name: Text


AlarmState = Literal[
    "normal",
    "unacknowledged",
    "acknowledged",
    "rtn_unacknowledged",
    "latched_unacknowledged",
    "latched_acknowledged",
    "shelved",
    "suppressed",
    "out_of_service",
    "disabled",
]


class AlarmRow(Dto):
    """One alarm of the live list; its key is `alarm`."""

    alarm: str
    occurrence: str
    version: int
    annunciated_version: int
    edge: str
    asset: str
    tag: str
    name: Text
    priority: int
    state: AlarmState
    isa: str
    active: bool
    acked: bool
    value: float | None
    limit: float | None
    unit: str
    raised_at: int
    returned_at: int | None
    received_at: int
    acked_by: str | None = None
    acked_at: int | None = None
    also_acked_by: list[str] = Field(default_factory=list)
    count: int = 1
    late: bool = False
    local_action: str | None = None
    run: str | None = None
    outcome: str | None = None
    ack_pending: bool = False
    """An acknowledgement is recorded here and not yet confirmed by the edge."""
    system: bool = False
    """About Andon itself: no figure of the plant counts it."""
    alarm_class: Literal["plant", "early_warning"] = "plant"
    """`early_warning`: what a learnt model says of the tags together; `value` is its confidence."""
    assigned_to: str = ""
    comments: int = 0
    shelf: Shelf | None = None
    suppressed_by: list[str] = Field(default_factory=list)
    """What suppresses it: ids of alarms, `state`, `when`, `operator`."""
    permit: Permit | None = None
    """Under which it is out of service."""
    pending: list[str] = Field(default_factory=list)
    """Actions recorded here and not yet answered by the edge."""
    refused: RefusedAction | None = None
    """The newest action on it, if the edge refused it."""
    incident: str = ""
    """The incident that it is part of; "" until that is known."""
    first_out: Literal["", "first", "tie"] = ""
    """The first of its incident; `tie`: the clocks cannot tell which of several was."""
    marks: list[str] = Field(default_factory=list)
    """chattering, fleeting, stale."""
    hidden_behind: str = ""
    """The standing alarm behind which the grouped list shows it; never while it has returned."""


class EdgeHealth(Dto):
    """One node below, as the tier above sees it."""

    edge: str
    site: str
    name: Text
    online: bool
    last_seen: int | None
    epoch: str | None
    lanes: dict[str, LaneCounts] = Field(default_factory=dict)
    oldest_buffered_ms: int | None = None
    clock_offset_ms: float | None = None
    drivers: dict[str, str] = Field(default_factory=dict)
    settings_version: int | None = None
    site_version: str = ""
    """Version of the site's files that the edge runs."""
    site_desired: str = ""
    """Version of them as they stand at the edge; other: some were refused."""
    site_here: str = ""
    """Version of them as this tier knows them; other: the edge's folder is not the same."""
    annunciator: Literal["edge", "brain", "unknown"] = "unknown"
    journal_degraded: bool = False


class Banner(Dto):
    """What every page shows."""

    by_priority: dict[int, dict[str, int]]
    """priority -> {"active": n, "unacked": n}."""
    unacked: int
    oldest_unacked_at: int | None
    alarms_10min: int
    flood: bool = False
    """On at the 11th alarm in 10 minutes, off when fewer than 5 remain (site's kpi.yaml)."""
    flood_since: int | None = None
    shelved: int
    suppressed: int
    out_of_service: int
    edges_online: int
    edges_total: int
    cloud_online: bool
    horn: bool
    """This console sounds now."""
    system: list[Text] = Field(default_factory=list)
    early_warnings: int = 0
    """Standing early warnings: in none of the other counts."""


class AlarmSnapshot(Dto):
    """GET /api/alarms."""

    epoch: str
    seq: int
    at: int
    rows: list[AlarmRow]
    banner: Banner


class AlarmDelta(Dto):
    """SSE event `delta`: whole changed rows, newest wins; `removed` left the list."""

    epoch: str
    seq: int
    at: int
    rows: list[AlarmRow]
    removed: list[str]
    banner: Banner


class ResponseSheet(Dto):
    """What the operator is to know and do."""

    cause: Text
    consequence: Text
    action: Text
    time_to_respond_s: int | None = None
    contact: Text | None = None


class TimelineEntry(Dto):
    """One entry of an occurrence's history."""

    at: int
    received_at: int | None = None
    lane: Literal["process", "alarm", "people", "playbook", "command", "cloud"]
    kind: str
    params: dict[str, Any] = Field(default_factory=dict)
    actor: str | None = None
    tier: str | None = None
    late: bool = False


class AlarmDetail(Dto):
    """GET /api/alarms/{alarm}."""

    row: AlarmRow
    limit: float | None
    side: str | None
    deadband: float
    on_delay_s: float
    off_delay_s: float
    filter: FilterName = "raw"
    """What the limit is held against; the trend shows samples."""
    settings_version: int
    response: ResponseSheet
    timeline: list[TimelineEntry]
    run: str | None
    trend_tag: str | None
    snippet: bool = False
    """Whether the raise took its samples along (GET /api/occurrences/{occurrence}/snippet)."""


class Samples(Dto):
    """GET /api/tags/{tag}/samples?since=&until=&max=: one tag's samples, oldest first."""

    tag: str
    unit: str
    t: list[int]
    v: list[float | None]
    q: list[int]
    resolution: Literal["raw", "minute", "hour"] = "raw"
    """Beyond `max` samples, `v` is the average of each minute or hour, which begins at `t`."""
    lo: list[float | None] = Field(default_factory=list)
    """Least and greatest of each minute or hour; empty for raw samples."""
    hi: list[float | None] = Field(default_factory=list)


class SnippetOut(Dto):
    """GET /api/occurrences/{occurrence}/snippet: the tags around a raise at full rate."""

    alarm: str
    occurrence: str
    raised_at: int
    since: int
    until: int
    truncated: bool
    """Not all of it: too many samples, or a gap in the edge's own history."""
    series: list[Samples]
    """The alarm's own tag first."""


class SamplingRequest(Dto):
    """POST /api/tags/{tag}/sampling: every sample for a time, 0 to end it."""

    minutes: int = Field(ge=0, le=60)


class AckItem(Dto):
    """One rendered row: what was on the screen."""

    alarm: str
    occurrence: str
    version: int


class AckRequest(Dto):
    """POST /api/alarms/ack (header Idempotency-Key)."""

    items: list[AckItem] = Field(max_length=500)
    comment: str = Field(default="", max_length=1000)


class ItemResult(Dto):
    """Per-row answer of a bulk action."""

    occurrence: str
    accepted: bool
    code: str = "ok"
    params: dict[str, Any] = Field(default_factory=dict)


class ActionResult(Dto):
    """Answer of a bulk action, row by row."""

    results: list[ItemResult]


class OutcomeRequest(Dto):
    """POST /api/occurrences/{occurrence}/outcome: the label that the group learns from."""

    outcome: Literal["true", "nuisance", "drill"]
    cause: str = Field(default="", max_length=200)
    comment: str = Field(default="", max_length=1000)


class Fleet(Dto):
    """GET /api/fleet."""

    edges: list[EdgeHealth]
