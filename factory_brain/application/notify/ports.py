"""What notifications need of the outside; implemented in `adapters`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from factory_brain.application.ports import Transaction
from factory_brain.domain.notify.duty import Override
from factory_brain.domain.notify.ladder import Case
from factory_brain.domain.rows import Occurrence
from shared.errors import Rejected
from shared.site.notify import ChannelKind, ChannelSpec


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case with what never changes about it."""

    case: Case
    rule: str
    edge: str
    priority: int
    version: int
    at: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one person."""

    id: str
    person: str
    kind: str
    priority: int
    facts: Mapping[str, Any]
    at: int
    due: int | None
    status: str = "queued"
    reason: str = ""
    channel: int = 0
    attempt: int = 0
    case_id: str | None = None
    n: int = 0
    occurrence: str = ""
    alarm: str = ""
    version: int = 0
    edge: str = ""
    kinds: tuple[ChannelKind, ...] = ()
    confirmed_at: int | None = None
    claims: int = 0
    """How often it was taken in hand: only the newest claim may say what became of it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the delivery log."""

    outcome: str
    person: str
    reason: str = ""
    message: str | None = None
    kind: str = ""
    channel: str = ""
    occurrence: str = ""
    alarm: str = ""
    priority: int = 0
    latency_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a playbook says to people."""

    id: str
    to: tuple[str, ...]
    channel: str
    message: Mapping[str, str]
    playbook: str
    alarm: str
    occurrence: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A message ready to go: words for people, facts for machines."""

    id: str
    title: str
    text: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines of the log."""

    person: str | None = None
    outcome: str | None = None
    alarm: str | None = None
    occurrence: str | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Entered:
    """Leave or a swap that somebody entered."""

    override: Override
    roster: str
    why: str
    actor: str
    at: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Why a service did not take a message, and how long it asks to be left alone."""

    why: str
    retry_after_s: int | None = None


Place = tuple[str, int]
"""A person and the number of one of the channels."""


class Channels(Protocol):
    """The one way out to people (see `adapters/apprise_channels.py`)."""

    async def send(self, channel: ChannelSpec, letter: Letter) -> NotTaken | None:
        """Send; None when it was taken, else why not. Never raises for what the service does."""
        ...


class Store(Protocol):
    """Cases, messages and the log (see `adapters/postgres/notify_store.py`)."""

    def planning(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction in which nobody else plans messages."""
        ...

    async def add_cases(self, tx: Transaction, rows: Sequence[CaseRow]) -> None:
        """Put occurrences on ladders; a newer annunciated version starts again."""
        ...

    async def poke(self, tx: Transaction | None, occurrences: Sequence[str], now: int) -> None:
        """Look at the cases of these occurrences now."""
        ...

    async def due_cases(self, tx: Transaction, now: int, limit: int) -> list[CaseRow]:
        """Cases that are due, the highest priority first, locked."""
        ...

    async def save_case(self, tx: Transaction, case: Case) -> None:
        """Write where a case stands."""
        ...

    async def answered(self, occurrence: str, now: int) -> None:
        """Somebody answered for an alarm whose acknowledgement had expired."""
        ...

    async def told(self, tx: Transaction, case_id: str) -> list[str]:
        """Everybody who was told of a case."""
        ...

    async def recent(self, tx: Transaction, person: str, since: int) -> int:
        """How many messages a person was sent singly."""
        ...

    async def add(
        self, tx: Transaction, messages: Sequence[Message], entries: Sequence[Entry], now: int
    ) -> None:
        """Add messages and lines of the log."""
        ...

    async def claim(
        self, now: int, until: int, limit: int, full: Sequence[Place] = ()
    ) -> list[Message]:
        """Messages to be sent now, ours until `until`; none of those that would go to `full`."""
        ...

    async def settle(self, message: Message, entry: Entry, now: int) -> int | None:
        """What became of an attempt, with its line in the log.

        If it failed and nothing of its telling came through, or of those that a summary told, the
        next step does not wait: so many ladders. None: somebody else has the message by now.
        """
        ...

    async def running(self, case_id: str) -> bool:
        """Whether a case is still on its ladder."""
        ...

    async def gathered(self, tx: Transaction, now: int) -> list[Message]:
        """What was gathered for one person of whom some is due, so much as one summary tells."""
        ...

    async def summarise(
        self, tx: Transaction, members: Sequence[Message], summary: Message, now: int
    ) -> None:
        """Replace what was gathered by one message."""
        ...

    async def wait_longer(self, tx: Transaction, person: str, due: int) -> None:
        """It is still quiet for a person: gather on."""
        ...

    async def next_due(self) -> dict[str, int | None]:
        """When `cases`, `queued`, `gathered` and what playbooks `said` are next due."""
        ...

    async def next_queued(self, full: Sequence[Place]) -> int | None:
        """When a message is next due that would not go to `full`."""
        ...

    async def bring_forward(self, ms: int) -> None:
        """The clock was set back: whatever waits, waits no longer for that."""
        ...

    async def untold(self, tx: Transaction, limit: int) -> list[Said]:
        """What playbooks said and nobody was handed yet, locked."""
        ...

    async def note_told(self, tx: Transaction, ids: Sequence[str], now: int) -> None:
        """It was handed to those who are named."""
        ...

    async def key(self) -> bytes:
        """The key of links in messages."""
        ...

    async def message(self, message: str) -> Message | None:
        """One message."""
        ...

    async def confirm(self, message: Message, entry: Entry, actor: str, now: int) -> bool:
        """Note that its person answered; False if that was so already."""
        ...

    async def confirmed_since(self, since: int) -> dict[str, int]:
        """Edge -> when somebody last answered for it, whose channels have not failed since."""
        ...

    async def overrides(self, since: int) -> dict[str, list[Override]]:
        """Roster -> overrides entered by people that end after `since`, the newest last."""
        ...

    async def add_override(self, entered: Entered) -> None:
        """Keep one, with its audit entry."""
        ...

    async def cancel_override(self, roster: str, override: str, actor: str, now: int) -> bool:
        """Take one back; False if there is none."""
        ...

    async def log(self, wanted: LogFilter, limit: int) -> list[dict[str, Any]]:
        """Lines of the log, newest first."""
        ...

    async def prune(self, before: int) -> None:
        """Forget what ended long ago."""
        ...


FindOccurrence = Callable[[str], Awaitable[Occurrence | None]]
FindOccurrences = Callable[[list[str]], Awaitable[list[Occurrence]]]
SetSystem = Callable[[str, bool, dict[str, Any]], Awaitable[None]]
"""(person or ladder, active, params) of the condition `notification_failed`."""
Acknowledge = Callable[[str, str, int, str, str], Awaitable[Rejected | None]]
"""(alarm, occurrence, version, actor, comment), as the desk takes it, in the person's right."""
