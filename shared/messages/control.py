"""Messages that steer rather than record: health, registration, watermarks, leases, commands.

They travel on core NATS (requests with a bound wait); each is idempotent or fenced.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Control(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A steering message."""


class Counts(Control, frozen=True):
    """Conservation of one lane: produced = delivered + buffered + dropped + quarantined."""

    produced: int = 0
    delivered: int = 0
    buffered: int = 0
    dropped: int = 0
    quarantined: int = 0


class Health(Control, frozen=True):
    """A node's heartbeat. (boot, mono) is the token that a command's time to live counts from."""

    source: str
    epoch: str
    boot: str
    mono: int
    at: int
    lanes: dict[str, Counts] = {}
    oldest_buffered_ms: int | None = None
    drivers: dict[str, str] = {}
    settings_version: int = 0
    directive_counter: int = 0
    annunciating: bool = False
    journal_degraded: bool = False
    clock_offset_ms: float | None = None
    fragments: str = ""
    """Version of the playbooks' offline parts that it holds."""
    site_version: str = ""
    """Version of the site's files that it runs."""
    site_desired: str = ""
    """Version of the site's files as they stand in its folder; other: some were refused."""
    filters: list[str] = []
    """What it can hold a limit against beside raw samples; an edge of before says nothing."""


class Hello(Control, frozen=True):
    """A source registers its new epoch and names the older ones of which it still holds events."""

    source: str
    epoch: str
    boot: str
    at: int
    held: dict[str, list[str]] = {}
    """older epoch -> lanes still buffered."""


class Welcome(Control, frozen=True):
    """The receiver's answer: accepted, and the watermarks it knows of this source."""

    accepted: bool
    code: str = ""
    at: int = 0
    watermarks: dict[str, int] = {}
    """`epoch/lane` -> committed sequence number."""


class Committed(Control, frozen=True):
    """Committed through seq n, for the lanes of one source; `quarantined` are refused events."""

    source: str
    watermarks: dict[str, int]
    at: int = 0
    quarantined: dict[str, int] = {}


class Token(Control, frozen=True):
    """An edge's own clock: boot id and monotonic milliseconds."""

    boot: str
    mono: int


class LeaseGrant(Control, frozen=True):
    """The brain takes the horn for `ttl_ms`; without renewal the edge sounds again."""

    id: str
    holder: str
    ttl_ms: int
    released: bool = False
    token: Token | None = None
    """The edge's clock as the brain last heard it: `ttl_ms` counts from there, so that a grant
    that was long under way cannot keep the edge silent after the brain has stopped sounding."""


class LeaseAck(Control, frozen=True):
    """The edge's answer to a lease."""

    id: str
    accepted: bool
    code: str = ""


class Command(Control, frozen=True):
    """An actuation with an expiry. `expires_ms` counts from `token` on the edge's own clock."""

    id: str
    device: str
    operation: str
    args: dict[str, Any]
    token: Token
    expires_ms: int
    fence: int
    epoch: str
    """The edge epoch that the fence was made under."""
    require: list[str] = []
    verify: str = ""
    verify_within_ms: int = 0
    run: str = ""
    drill: bool = False


class CommandQuery(Control, frozen=True):
    """Asks what became of command `id`."""

    id: str


class Fragment(Control, frozen=True):
    """The offline part of one released playbook."""

    playbook: str
    version: int
    document: bytes
    """The playbook as JSON."""
    codes: dict[str, list[str]] = {}
    """What its triggers name -> the edge's alarms that the site means by it."""


class Fragments(Control, frozen=True):
    """All that an edge may run while the brain is away; replaces what it had."""

    version: str
    items: list[Fragment] = []


class CommandRequest(Control, frozen=True):
    """What travels on the command subject: one of these."""

    command: Command | None = None
    query: CommandQuery | None = None
    fragments: Fragments | None = None
    health: bool = False
    """The heartbeat is wanted at once, as the answer: a brain has started and has heard nobody."""


class CommandResult(Control, frozen=True):
    """done, refused, expired, failed, unknown; never_seen (answer to a query, same epoch only)."""

    id: str
    outcome: str
    reason: str = ""
    params: dict[str, Any] = {}
    before: Any = None
    readback: Any = None
    epoch: str = ""


class SampleRequest(Control, frozen=True):
    """The factory wants every sample of a tag for a time; 0 ends it. Repeating it is harmless."""

    id: str
    tag: str
    ttl_ms: int


class SampleAnswer(Control, frozen=True):
    """Accepted for `ttl_ms`, or refused with a code."""

    id: str
    accepted: bool
    code: str = ""
    ttl_ms: int = 0
