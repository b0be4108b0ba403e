"""What the group's playbooks need of the store: variants, roll-outs, pushes, how runs ended.

`BookRows` is implemented by `adapters/postgres/playbook_store.py`, `BookReads` by
`playbook_reads.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from group_cloud.application.ports import Transaction
from group_cloud.domain.playbook_rollout import BookPlan, Part, Runs
from group_cloud.domain.scope import Scope


@dataclass(frozen=True, slots=True)
class Variant:
    """One version that the group keeps."""

    playbook: str
    version: int
    text: str
    sha256: str
    signature: bytes
    signed_by: str
    errors: int
    findings: list[str]
    note: str
    added_by: str
    added_at: int


@dataclass(frozen=True, slots=True)
class Signed:
    """The bytes of a push as they are sent."""

    part: Part
    rollout: str
    payload: bytes
    signature: bytes


class BookRows(Protocol):
    """Written in the caller's transaction."""

    async def sites(self) -> list[str]:
        """Every factory."""
        ...

    async def lock(self, tx: Transaction, /, what: str) -> None:
        """One at a time for a playbook, or for a factory's numbers."""
        ...

    async def add_variant(self, tx: Transaction, /, variant: Variant) -> bool:
        """Keep a version; whether it was not there before."""
        ...

    async def variant(self, playbook: str, version: int | None = None) -> Variant | None:
        """One version, or the highest."""
        ...

    async def variants(self) -> list[Variant]:
        """All of them, by name, the highest first."""
        ...

    async def insert(self, tx: Transaction, /, plan: BookPlan) -> None:
        """A new roll-out."""
        ...

    async def save(self, tx: Transaction, /, plan: BookPlan) -> None:
        """What may change of a roll-out."""
        ...

    async def plan(
        self, tx: Transaction, /, plan: str, *, free: bool = False
    ) -> BookPlan | None:  # fmt: skip
        """One roll-out, locked; with `free`, None while somebody else works on it."""
        ...

    async def going(self) -> list[BookPlan]:
        """Roll-outs that have not ended, the oldest first."""
        ...

    async def listed(self, limit: int) -> list[tuple[BookPlan, list[Part]]]:
        """Newest first, with their pushes."""
        ...

    async def parts(self, tx: Transaction, /, plan: str) -> list[Part]:
        """A roll-out's pushes in the order of their making."""
        ...

    async def next_counter(self, tx: Transaction, /, site: str) -> int:
        """A factory's next number; nobody else gets it."""
        ...

    async def add_push(self, tx: Transaction, /, signed: Signed) -> None:
        """Keep a new push."""
        ...

    async def push(self, tx: Transaction, /, push: str) -> tuple[Part, str] | None:
        """One push, locked, and its roll-out."""
        ...

    async def save_push(self, tx: Transaction, /, part: Part) -> None:
        """What may change of a push."""
        ...

    async def unheard(self, site: str | None = None) -> list[Signed]:
        """Pushes that no factory has answered, in the order of their numbers."""
        ...

    async def runs(
        self, tx: Transaction, /, playbook: str, site: str, since: int, sites: Sequence[str]
    ) -> Runs:
        """How runs ended at a factory since then, and at all these before."""
        ...


class BookReads(Protocol):
    """Asked for people, within their scope."""

    async def outcomes(self, scope: Scope, playbook: str, since: int) -> Sequence[Any]:
        """The newest runs that were no drills, with where their alarm stands."""
        ...
