"""Shapes of playbooks: what is live, versions, drafts and their review, inputs, replays.

Part of the REST interface beside `dto.py`; no rule lives here. Times are UTC milliseconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from shared.web.dto_base import Dto, Text

PlaybookId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}$", max_length=96)
]
Note = Annotated[str, StringConstraints(max_length=2_000, strip_whitespace=True)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=2_000, strip_whitespace=True)]
DraftStatusName = Literal["open", "submitted", "rejected", "released", "discarded"]
DraftSource = Literal["live", "version", "library", "blank"]
DraftOrigin = Literal["live", "version", "library", "blank", "cacao", "group"]


class ReleaseOut(Dto):
    """One released version."""

    version: int
    digest: str
    source: Literal["folder", "console"]
    author: str
    reviewer: str
    note: str
    restores: int | None
    signed_by: str
    """`folder`, or the fingerprint of the key that signed it."""
    at: int


class ReleaseText(ReleaseOut):
    """GET /api/playbooks/{playbook}/versions/{version}."""

    playbook: str
    text: str


class ReleasePage(Dto):
    """GET /api/playbooks/{playbook}/versions, newest first."""

    items: list[ReleaseOut]
    next: str | None


class TriggerOut(Dto):
    """What starts a playbook."""

    id: str
    kind: Literal["alarm", "incident", "event", "cron", "manual"]
    of: str
    """The alarm, the event, the cron line, the roles."""
    transition: str = ""
    where: str = ""


class PlaybookState(Dto):
    """Whether a playbook may start runs."""

    withdrawn: bool
    by: str = ""
    reason: str = ""
    at: int | None = None


class PlaybookSummary(Dto):
    """One playbook in the list."""

    playbook: str
    name: Text
    owner: str
    version: int | None
    """The live one; None: nothing of it is live."""
    newest: int
    refused: str
    """The code of why the newest version is not live; empty if it is."""
    source: Literal["folder", "console"]
    released_at: int
    state: PlaybookState
    triggers: list[TriggerOut]
    live_runs: int
    last_run: str | None
    last_status: str | None
    last_at: int | None
    drafts: int


class PlaybookPage(Dto):
    """GET /api/playbooks, by name."""

    items: list[PlaybookSummary]
    next: str | None


class StepOut(Dto):
    """One line of a playbook's tree."""

    path: str
    id: str
    name: Text
    verb: str
    """Empty for what is no step: an arm, a branch, a handler, a rung of a ladder."""
    depth: int
    about: str
    worst_ms: int
    commands: int


class Explanation(Dto):
    """What a playbook can do at worst."""

    steps: list[StepOut]
    worst_case_ms: int
    worst_case_commands: int
    moves: list[str]
    tells: list[str]
    devices: dict[str, list[str]]
    """This site's device -> the operations that may be called."""
    people: dict[str, list[str]]
    """Addressee -> who that is at this site."""


class InputOut(Dto):
    """One input with this site's value."""

    name: str
    type: str
    unit: str
    description: Text
    options: list[str]
    default: Any
    site: Any
    """What the site's file says; None if nothing."""
    chosen: Any
    """What somebody set in the console; None if nothing."""
    chosen_by: str
    chosen_at: int | None
    stale: bool
    """What was set does not fit this version and is not used."""
    value: Any
    """What a new run is given."""
    least: Any
    most: Any
    """Bounds; the group may move the value inside them. None: no bounds."""


class PlaybookDetail(PlaybookSummary):
    """GET /api/playbooks/{playbook}."""

    text: str
    """Of the newest version."""
    explained: Explanation | None
    inputs: list[InputOut]
    versions: list[ReleaseOut]
    """The newest twenty."""


class InputRequest(Dto):
    """PUT /api/playbooks/{playbook}/inputs/{name}."""

    value: bool | int | float | Annotated[str, StringConstraints(max_length=500)] | None
    """None: as the site's file says again."""
    reason: Reason


class ReasonRequest(Dto):
    """Why something is done."""

    reason: Reason


class RestoreRequest(Dto):
    """POST /api/playbooks/{playbook}/restore."""

    version: int = Field(ge=1, le=2**31 - 1)
    reason: Reason


class MigrateRequest(Dto):
    """POST /api/runs/{run_id}/migrate."""

    version: int = Field(ge=1, le=2**31 - 1)
    reason: Reason


class StepChangeOut(Dto):
    """One step that is not as it was."""

    kind: Literal["added", "removed", "changed", "moved"]
    id: str
    path: str
    verb: str
    fields: list[str]


class MigrationOut(Dto):
    """GET /api/runs/{run_id}/migrate: what moving a run would come to."""

    run: str
    before: int
    after: int
    fits: bool
    code: str
    """Why it does not fit; empty if it does."""
    params: dict[str, Any]
    deadline_at: int | None
    """When the run would have to be over; None: the version cannot be read."""
    steps: list[StepChangeOut]


class PlaybookDone(Dto):
    """What was done."""

    playbook: str
    version: int | None = None


class TemplateOut(Dto):
    """What a draft may begin from."""

    id: str
    playbook: str
    name: Text


class TemplateList(Dto):
    """GET /api/playbook-templates."""

    items: list[TemplateOut]
    next: str | None = None


class FindingOut(Dto):
    """What is wrong with a text, and where."""

    code: str
    severity: Literal["error", "advice"]
    line: int
    column: int
    message: Text
    mend: Text


class RemarkOut(Dto):
    """What was said about a draft, or done with it."""

    id: str
    at: int
    by: str
    kind: Literal["comment", "submitted", "reopened", "approved", "rejected", "discarded"]
    revision: int
    text: str


class DraftSummary(Dto):
    """One draft in a list."""

    id: str
    playbook: str
    source: DraftOrigin
    base: int | None
    status: DraftStatusName
    revision: int
    authors: list[str]
    created_at: int
    changed_at: int
    changed_by: str
    released: int | None


class DraftPage(Dto):
    """GET /api/drafts, newest change first."""

    items: list[DraftSummary]
    next: str | None


class DraftOut(DraftSummary):
    """GET /api/drafts/{draft}; its ETag is what a change must name."""

    text: str
    test: str
    findings: list[FindingOut]
    errors: int
    explained: Explanation | None
    remarks: list[RemarkOut]


class DraftRequest(Dto):
    """POST /api/drafts."""

    source: DraftSource
    playbook: PlaybookId | Literal[""] = ""
    version: int | None = Field(default=None, ge=1, le=2**31 - 1)
    template: Annotated[str, StringConstraints(max_length=200)] = ""


class CacaoRequest(Dto):
    """POST /api/drafts/cacao: an OASIS CACAO v2 document, as text."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """The file's name: places in faults begin with it."""
    text: Annotated[str, StringConstraints(max_length=786_432)]


class DraftText(Dto):
    """PUT /api/drafts/{draft}."""

    text: Annotated[str, StringConstraints(max_length=262_144)]
    test: Annotated[str, StringConstraints(max_length=262_144)] = ""


class CheckRequest(Dto):
    """POST /api/playbooks/check: a text that nobody has saved."""

    text: Annotated[str, StringConstraints(max_length=262_144)]


class CheckOut(Dto):
    """What a text is worth here."""

    findings: list[FindingOut]
    errors: int
    explained: Explanation | None


class DraftNote(Dto):
    """What is said with a step of the review."""

    note: Note = ""


class RemarkRequest(Dto):
    """POST /api/drafts/{draft}/remarks."""

    text: Reason


class DiffOut(Dto):
    """GET /api/drafts/{draft}/diff: against what is released now."""

    against: int | None
    """The version; None: nothing was released yet."""
    lines: list[str]
    steps: list[StepChangeOut]
    parts: list[str]
    moves_added: list[str]
    moves_removed: list[str]
    tells_added: list[str]
    tells_removed: list[str]
    before: Explanation | None
    after: Explanation | None
