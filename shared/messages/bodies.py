"""The bodies of events, versioned: what happened, as it travels between the tiers.

A new field needs a default; a changed meaning needs a new type. Times are UTC ms.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.messages.learning import (
    FaultRecord,
    OutcomeRecord,
    ShadowCounts,
    ShadowVerdicts,
    TrialAnswer,
)
from shared.messages.warning import WarningReport, WarningWindows


class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="t"):
    """A tagged wire struct."""


class AlarmTransition(Struct, frozen=True, tag="alarm"):
    """One recorded change of one alarm, with the alarm's whole state after it.

    `kind`: raised, returned, re_alarmed, acknowledged, confirmed, reset, shelved, unshelved,
    suppressed, unsuppressed, out_of_service, in_service, disabled, enabled, reconfigured, retired.
    """

    alarm: str
    occurrence: str
    version: int
    """Counts the changes that the edge's process side writes to this occurrence."""
    annunciated_version: int
    kind: str
    annunciate: bool
    state: dict[str, Any]
    """`AlarmState` as plain data (see shared/alarm/states.py)."""
    settings_version: int
    priority: int
    asset: str
    tag: str
    side: str = ""
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    quality: str = "good"
    source_time: int = 0
    receive_time: int = 0
    clock_offset_ms: float | None = None
    clock_uncertainty_ms: float | None = None
    raised_at: int = 0
    fact: str = ""
    """Id of the operator fact that caused it, if one did."""
    actor: str = ""
    first_out: bool = False
    """The first of its first-out group, or simultaneous with it."""
    returned_at: int = 0
    """Source time of the occurrence's newest return to normal; 0: it stands, or never stood."""
    suppressed_by: list[str] = []
    """What suppresses it now: names of alarms, `state`, `when`, `operator`."""
    names: dict[str, str] = {}
    """What it is called, by language, where no site file says (an alarm of a linked system)."""


class Fact(Struct, frozen=True, tag="fact"):
    """What a person did about one occurrence: merged as a set, ordered by (hlc, id)."""

    id: str
    alarm: str
    occurrence: str
    version_seen: int
    action: str
    """acknowledge, confirm, reset, shelve, unshelve, suppress, unsuppress, out_of_service,
    in_service, disable, enable, comment, assign, outcome.
    """
    actor: str
    place: str
    """edge, factory or group."""
    hlc: str
    args: dict[str, Any] = {}


class FactResult(Struct, frozen=True, tag="fact_result"):
    """The edge's answer to one fact: applied, recorded (also acknowledged) or refused with why."""

    fact: str
    alarm: str
    occurrence: str
    result: str
    code: str = ""


class LocalAction(Struct, frozen=True, tag="local_action"):
    """A reflex acted on a device by itself."""

    reflex: str
    alarm: str
    occurrence: str
    command: str
    device: str
    operation: str
    args: dict[str, Any]
    outcome: str
    """intent, done, refused, expired, failed or unknown."""
    reason: str = ""
    before: Any = None
    readback: Any = None
    latency_ms: float | None = None


class CommandRecord(Struct, frozen=True, tag="command_record"):
    """The edge's own journal entry for a command from above."""

    command: str
    device: str
    operation: str
    outcome: str
    reason: str = ""
    before: Any = None
    readback: Any = None


class FragmentStep(Struct, frozen=True, tag="fragment_step"):
    """One journal entry of a playbook's offline part, run by an edge while the brain was away."""

    playbook: str
    version: int
    alarm: str
    occurrence: str
    path: str
    """As the brain's journal names it: `/offline/…`, `/offline` for the end."""
    phase: str
    data: dict[str, Any] = {}


class StateChange(Struct, frozen=True, tag="state_change"):
    """An equipment's state chart has gone from one state to another."""

    chart: str
    asset: str
    before: str
    after: str


class LinkedEvent(Struct, frozen=True, tag="linked"):
    """What a linked system reported that is no alarm, or comes too late to change one."""

    link: str
    kind: str
    asset: str
    names: dict[str, str] = {}
    priority: int = 0
    value: float | None = None
    unit: str = ""
    alarm: str = ""
    note: str = ""
    """`older`: an alarm's report that a newer one has overtaken."""


class DirectiveReport(Struct, frozen=True, tag="directive_report"):
    """What became of a directive: received, refused, applied, rolled_back, dry_run, superseded."""

    directive: str
    counter: int
    status: str
    code: str = ""
    params: dict[str, Any] = {}
    settings_version: int = 0
    edge: str = ""
    """Whose report it is, as the factory knows it: an edge speaks of its own directives only."""
    at: int = 0
    """When the edge took it up, by its own clock, as its alarms are timed; 0: it does not say."""


class SystemEvent(Struct, frozen=True, tag="system"):
    """The product's own trouble, shown as an alarm: code with parameters, on or off."""

    code: str
    active: bool
    params: dict[str, Any] = {}


class GapRecord(Struct, frozen=True, tag="gap"):
    """What a cap dropped: positions and why; takes the dropped events' place in history."""

    lane: str
    first: int
    last: int
    reason: str


class SampleBatch(Struct, frozen=True, tag="samples"):
    """Samples in columns, little-endian: int32 tag, int64 time (ms), float64 value, uint8 quality.

    `names[i]` is the tag of index i, so that a batch explains itself.
    """

    names: list[str]
    tags: bytes
    times: bytes
    values: bytes
    qualities: bytes


class Snippet(Struct, frozen=True, tag="snippet"):
    """What the tags around an alarm did before and after its raise, at full rate.

    Columns as in `SampleBatch`, of source times in [since, until].
    """

    alarm: str
    occurrence: str
    raised_at: int
    since: int
    until: int
    samples: SampleBatch
    truncated: bool = False
    """Not all of it: too many rows, a gap in the edge's own history, or it began later."""


class PlaybookOutcome(Struct, frozen=True, tag="playbook_outcome"):
    """A run's end, for the group."""

    run: str
    playbook: str
    version: int
    alarm: str
    occurrence: str
    status: str
    success: bool | None
    metrics: dict[str, Any] = {}
    release: str = ""
    """Digest of the very text that ran."""
    variant: str = ""
    """Which of several ways to do the same it was; empty: the only one."""
    context: dict[str, Any] = {}
    """What it was started for and with: plain figures and words, few and short."""
    started_at: int = 0
    ended_at: int = 0
    duration_s: float | None = None
    drill: bool = False


class IncidentRecord(Struct, frozen=True, tag="incident"):
    """An incident as its factory sees it; the newest revision holds, whatever the order."""

    site: str
    id: str
    revision: int
    """Rises with every change at the factory."""
    status: str
    """open, acknowledged, contained, closed; or merged, and then `merged_into` says into which."""
    opened_at: int
    priority: int
    asset: str
    merged_into: str = ""
    first_at: int = 0
    last_at: int = 0
    acknowledged_at: int | None = None
    contained_at: int | None = None
    closed_at: int | None = None
    returned_at: int | None = None
    alarms_total: int = 0
    standing: int = 0
    unacked: int = 0
    flood: bool = False
    owner: str = ""
    cause: str = ""
    outcome: str = ""
    reopened: int = 0
    assets: list[str] = []
    alarms: list[str] = []
    occurrences: list[str] = []
    """The earliest; `alarms_total` counts them all."""
    first_out: list[str] = []
    runs: list[str] = []
    names: dict[str, str] = {}
    """What its first alarm is called."""
    cause_names: dict[str, str] = {}
    comment: str = ""
    """What was said when it was contained and closed."""


class AlarmPoints(Struct, frozen=True, tag="alarm_points"):
    """Where a factory's alarms stand and what they watch, so that like can be held against like.

    alarm -> [edge, asset, process, asset class, tag class, priority]; in parts of one version.
    """

    site: str
    version: str
    part: int
    parts: int
    points: dict[str, list[Any]]
    names: dict[str, dict[str, str]] = {}
    tuning: dict[str, dict[str, Any]] = {}
    """alarm -> setting that runs, bounds, side, unit: of those whose settings may be moved."""
    four_eyes: bool = False
    """Whether this site wants two people to agree before its settings are moved."""
    kinds: dict[str, list[str]] = {}
    """alarm -> [kind of condition, side]."""


class FleetReport(Struct, frozen=True, tag="fleet_report"):
    """A factory's brain and edges: what they run, what they should run, how they are (a state)."""

    site: str
    at: int
    site_here: str
    """Version of the site's files at the brain."""
    edges: list[dict[str, Any]]
    """edge, names, online, last_seen, site_version, site_desired, settings_version, fragments,
    buffered, oldest_buffered_ms, clock_offset_ms, drivers, annunciator, journal_degraded."""
    brain: dict[str, Any] = {}
    """version, epoch, buffered, oldest_buffered_ms."""


class MailReceipt(Struct, frozen=True, tag="mail_receipt"):
    """What became of the group's message to a factory's desk: received, acknowledged (+ reply)."""

    site: str
    message: str
    status: str
    actor: str = ""
    reply: str = ""
    at: int = 0


class PlaybookPushReport(Struct, frozen=True, tag="playbook_push_report"):
    """What a factory did with a playbook of the group: waiting, applied, refused, rolled_back."""

    site: str
    push: str
    """Empty: nothing that could be trusted said which it was."""
    counter: int
    playbook: str
    status: str
    code: str = ""
    params: dict[str, Any] = {}
    version: int | None = None
    """The version that is live there now."""
    actor: str = ""
    at: int = 0


class AuditHead(Struct, frozen=True):
    """The signed head of a factory's audit chain: kept by the group as a witness."""

    id: int
    hash: str
    at: int
    signature: bytes


class FactorySummary(Struct, frozen=True, tag="factory_summary"):
    """Totals of a factory, for the group's overview."""

    site: str
    names: dict[str, str]
    active: int
    unacked: int
    worst_priority: int | None
    edges_online: int
    edges_total: int
    audit: AuditHead | None = None


Body = (
    AlarmTransition
    | Fact
    | FactResult
    | LocalAction
    | CommandRecord
    | FragmentStep
    | StateChange
    | LinkedEvent
    | DirectiveReport
    | SystemEvent
    | GapRecord
    | SampleBatch
    | Snippet
    | OutcomeRecord
    | ShadowCounts
    | ShadowVerdicts
    | FaultRecord
    | TrialAnswer
    | PlaybookOutcome
    | IncidentRecord
    | AlarmPoints
    | FleetReport
    | MailReceipt
    | PlaybookPushReport
    | FactorySummary
    | WarningWindows
    | WarningReport
)
