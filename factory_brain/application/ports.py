"""What the brain's application needs of the outside; implemented in `adapters`.

`Transaction` is opaque here: whatever is written with it stands or falls together.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from factory_brain.domain.arrivals import Arrived
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.samples import Columns
from shared.messages.bodies import Fact, Snippet
from shared.outbox.receiving import Batch, Received

Transaction = Any
"""A running database transaction (an asyncpg connection in production)."""


class Alarms(Protocol):
    """Events, occurrences and facts."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits at the end of the block."""
        ...

    async def insert_events(
        self, tx: Transaction, batch: Batch, items: list[Received], late_ms: int, /
    ) -> None:
        """Append events of a batch to the journal; `late_ms` is the age that makes one late."""
        ...

    async def apply_transitions(
        self, tx: Transaction, /, arrived: list[Arrived], also: Iterable[str] = ()
    ) -> None:
        """Fold transitions into their occurrences; these and `also` stay locked."""
        ...

    async def refresh_open(self, tx: Transaction, /, occurrence: str) -> Occurrence | None:
        """Recompute whether an occurrence is open; returns it as this transaction sees it."""
        ...

    async def refresh(self, tx: Transaction, /, occurrences: list[str]) -> list[Occurrence]:
        """The same for many, which the caller has locked."""
        ...

    async def insert_fact(
        self, tx: Transaction, /, fact: Fact, edge: str, at: int, result: str | None
    ) -> bool:
        """Record a fact; False if it is known."""
        ...

    async def fact_result(self, tx: Transaction, /, fact_id: str, result: str, code: str) -> None:
        """Note what the edge answered."""
        ...

    async def set_local_actions(self, tx: Transaction, /, said: dict[str, str]) -> None:
        """Note the edge's own actions, by occurrence."""
        ...

    async def set_label(
        self, tx: Transaction, /, occurrence: str, label: str, cause: str, by: str, at: int
    ) -> None:
        """Store a person's outcome."""
        ...

    async def set_system(
        self,
        tx: Transaction,
        /,
        source: str,
        code: str,
        active: bool,
        params: dict[str, Any],
        at: int,
    ) -> None:
        """Switch one of the product's own conditions."""
        ...

    async def locked(self, tx: Transaction, /, occurrence: str) -> Occurrence | None:
        """One occurrence, locked for this transaction."""
        ...

    async def newest(self, alarm: str, tx: Transaction = None) -> Occurrence | None:
        """The newest occurrence of an alarm; as `tx` sees it if one is given."""
        ...

    async def get(self, occurrence: str) -> Occurrence | None:
        """One occurrence."""
        ...

    async def settings(self) -> dict[str, tuple[dict[str, Any], int]]:
        """Settings that directives changed, by alarm."""
        ...


class Samples(Protocol):
    """The historian."""

    async def insert(self, tx: Transaction, batches: list[Columns], /) -> None:
        """Store samples; a repeated (tag, time) keeps the first."""
        ...

    async def insert_snippet(self, tx: Transaction, edge: str, snippet: Snippet, /) -> None:
        """Store what a raise took along; a repetition changes nothing."""
        ...

    async def window(self, tag: str, since: int, until: int) -> list[tuple[int, float]]:
        """Good samples of a tag in [since, until], with the value standing at `since` first."""
        ...


class Sender(Protocol):
    """This tier's own outbox."""

    async def append(self, tx: Transaction, /, lane: str, at: int, event: bytes) -> int:
        """Add one encoded event in the transaction."""
        ...

    async def append_many(
        self, tx: Transaction, /, lane: str, at: int, events: list[bytes]
    ) -> None:
        """Add encoded events, in order, in the transaction."""
        ...


class Audit(Protocol):
    """The append-only audit chain."""

    async def __call__(
        self, tx: Transaction, /, at: int, actor: str, action: str, target: str, data: Any
    ) -> None:
        """Append one entry in the transaction."""
        ...
