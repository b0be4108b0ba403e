"""Shapes of the alarm desk: actions, lists of what is kept from people, attachments, hand-over.

Part of the REST interface beside `dto.py`; no rule lives here. Times are UTC milliseconds.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.web.dto_base import Dto, Text


class Shelf(Dto):
    """How an alarm is shelved."""

    mode: Literal["timed", "one_shot"]
    until: int | None
    by: str = ""
    reason: str = ""
    since: int | None = None


class Permit(Dto):
    """Under which permit an alarm is out of service."""

    id: str = ""
    approved_by: str = ""
    until: int | None = None
    by: str = ""
    reason: str = ""
    since: int | None = None


class RefusedAction(Dto):
    """What the edge refused, told to who had asked."""

    action: str
    code: str
    actor: str
    at: int


DeskAction = Literal[
    "acknowledge", "confirm", "reset", "shelve", "unshelve", "suppress", "unsuppress",
    "out_of_service", "in_service", "disable", "enable", "comment", "assign",
]  # fmt: skip


class ActionItem(Dto):
    """One rendered row; an alarm that never had an occurrence is named with "" and 0."""

    alarm: str = Field(max_length=200)
    occurrence: str = Field(default="", max_length=200)
    version: int = 0


class ActionArgs(Dto):
    """What an action needs beside its rows."""

    reason: str = Field(default="", max_length=500)
    """shelve, suppress, out_of_service, disable: always."""
    minutes: float | None = Field(default=None, gt=0, le=100_000)
    """shelve: for so long."""
    one_shot: bool = False
    """shelve: until it returns to normal, within the definition's longest time."""
    text: str = Field(default="", max_length=500)
    """comment."""
    comment: str = Field(default="", max_length=500)
    """acknowledge: a remark."""
    to: str | None = Field(default=None, max_length=100)
    """assign: to whom; "" takes it back."""
    permit: str = Field(default="", max_length=100)
    """out_of_service: number of the permit, who approved it, until when (UTC ms)."""
    approved_by: str = Field(default="", max_length=100)
    until: int | None = None


class ActionRequest(Dto):
    """POST /api/alarms/actions (header Idempotency-Key)."""

    action: DeskAction
    items: list[ActionItem] = Field(min_length=1, max_length=500)
    args: ActionArgs = ActionArgs()


class HeldAlarm(Dto):
    """One row of the shelved, suppressed or out-of-service list."""

    alarm: str
    occurrence: str
    version: int
    edge: str
    asset: str
    name: Text
    priority: int
    active: bool
    """The condition is present now."""
    acked: bool
    mode: str = ""
    """Of a shelf: timed or one_shot."""
    since: int | None = None
    until: int | None = None
    """When the shelf ends, or the permit."""
    remaining_ms: int | None = None
    """Negative: a permit that is over."""
    by: str = ""
    """Who did it; "" by design."""
    reason: str = ""
    permit: str = ""
    approved_by: str = ""
    suppressed_by: list[str] = Field(default_factory=list)
    """Ids of alarms, `state`, `when`, `operator`."""
    max_shelve_min: float | None = None
    pending: bool = False
    """Asked for, and not yet answered by the edge."""


class HeldList(Dto):
    """GET /api/alarms/shelved, /suppressed, /out-of-service: what ends first comes first."""

    at: int
    items: list[HeldAlarm]


class SaidOut(Dto):
    """Who said something about an occurrence, where, and when (hybrid time)."""

    fact: str
    actor: str
    place: str
    hlc: str
    text: str = ""


class OperatorState(Dto):
    """One occurrence as every tier folds it (group: /api/factories/{site}/occurrences/{id})."""

    site: str
    alarm: str
    occurrence: str
    version: int
    annunciated_version: int
    state: str
    isa: str
    active: bool
    acked: bool
    priority: int
    settings_version: int
    raised_at: int
    returned_at: int | None
    value: float | None
    acked_by: SaidOut | None = None
    also_acked_by: list[SaidOut] = Field(default_factory=list)
    comments: list[SaidOut] = Field(default_factory=list)
    assigned_to: str = ""
    outcome: dict[str, Any] | None = None


class KnownAlarm(Dto):
    """One alarm of the site, at rest or not."""

    alarm: str
    name: Text
    edge: str
    asset: str
    tag: str
    priority: int
    safety: bool
    """Never kept from people from here."""
    max_shelve_min: float
    occurrence: str = ""
    version: int = 0
    state: str = "normal"
    pending: list[str] = Field(default_factory=list)
    refused: RefusedAction | None = None


class KnownAlarms(Dto):
    """GET /api/desk/alarms?q=&limit=&cursor=: every alarm of the site, by id."""

    items: list[KnownAlarm]
    next: str | None = None


class Attachment(Dto):
    """A file that people put beside an occurrence or an incident."""

    id: str
    occurrence: str | None
    incident: str | None
    name: str
    media_type: str
    size: int
    sha256: str
    by: str
    at: int


class AttachmentList(Dto):
    """GET /api/attachments?occurrence= or ?incident=."""

    items: list[Attachment]


class Shift(Dto):
    """A shift as it falls on the calendar."""

    id: str
    name: Text
    start: int
    end: int


class Remark(Dto):
    """A comment or an assignment on an alarm that still stands open."""

    alarm: str
    occurrence: str
    name: Text
    at: int
    by: str
    text: str = ""
    assigned_to: str = ""


class StandingAlarm(Dto):
    """An alarm that the next shift inherits."""

    alarm: str
    occurrence: str
    name: Text
    priority: int
    state: str
    asset: str
    raised_at: int
    acked_by: str | None = None
    assigned_to: str = ""


class OpenIncident(Dto):
    """An incident that is not closed."""

    id: str
    title: str
    status: str
    owner: str = ""
    opened_at: int


class OpenRun(Dto):
    """A playbook run that goes on."""

    id: str
    playbook: str
    name: Text
    status: str
    alarm: str | None
    started_at: int


class HandoverContent(Dto):
    """What one shift leaves to the next."""

    at: int
    shelved: list[HeldAlarm]
    suppressed: list[HeldAlarm]
    out_of_service: list[HeldAlarm]
    stale: list[StandingAlarm]
    """Standing for more than a day."""
    standing: list[StandingAlarm]
    unacknowledged: list[StandingAlarm]
    comments: list[Remark]
    assignments: list[Remark]
    incidents: list[OpenIncident]
    runs: list[OpenRun]


class HandoverDraft(Dto):
    """GET /api/handover/current."""

    shift: Shift
    next_shift: Shift
    content: HandoverContent


class HandoverRequest(Dto):
    """POST /api/handover (header Idempotency-Key)."""

    note: str = Field(default="", max_length=4000)


class SignRequest(Dto):
    """POST /api/handover/{id}/sign (header Idempotency-Key)."""

    note: str = Field(default="", max_length=1000)


class HandoverEntry(Dto):
    """One hand-over in the list."""

    id: str
    shift: Shift
    next_shift: Shift
    created_at: int
    created_by: str
    note: str
    digest: str
    """SHA-256 of the frozen content; the audit log has it too."""
    signed_at: int | None = None
    signed_by: str | None = None
    sign_note: str = ""
    counts: dict[str, int] = Field(default_factory=dict)


class HandoverReport(Dto):
    """GET /api/handover/{id}: as it was handed over; never changes."""

    entry: HandoverEntry
    content: dict[str, Any]
    """A HandoverContent, as frozen."""


class HandoverList(Dto):
    """GET /api/handover?limit=&cursor=: newest first."""

    items: list[HandoverEntry]
    next: str | None = None
