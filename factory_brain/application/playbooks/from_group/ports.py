"""What settling the group's playbooks needs: a row per push, the drafts, the shelf, the way up.

`PushRows` is implemented by `adapters/postgres/group_playbook_store.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from factory_brain.application.playbooks.authoring.drafts import Drafts
from factory_brain.application.playbooks.authoring.ports import Audit
from factory_brain.application.playbooks.authoring.shelf import Shelf
from factory_brain.application.ports import Transaction
from factory_brain.domain.push_gate import LocalPolicy
from shared.clock import Clock
from shared.messages.bodies import Body
from shared.site.loader import Site

PushStatus = Literal["waiting", "applied", "refused", "rolled_back"]
GROUP = "group"
"""Who acts where nobody of this factory does."""


@dataclass(frozen=True, slots=True)
class Settled:
    """One push as this factory has settled it."""

    counter: int
    id: str
    playbook: str
    kind: str
    status: PushStatus
    payload: bytes
    received_at: int
    expires_at: int
    at: int
    code: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    draft: str | None = None
    version: int | None = None
    """What was released of it; with `waiting`: the playbook itself is withdrawn here."""
    before: dict[str, Any] = field(default_factory=dict)
    by: str = ""


class PushRows(Protocol):
    """Pushes and tuned inputs."""

    async def newest(self, tx: Transaction, /, rollbacks: bool) -> int:
        """The highest number that was ever taken up, of rollbacks or of all others."""
        ...

    async def taken_back(self, tx: Transaction, /, push: str, playbook: str) -> bool:
        """Whether a rollback named this push before it came."""
        ...

    def blames(self, error: Exception) -> bool:
        """Whether a push itself is to blame for an error, and not the database."""
        ...

    async def at(self, tx: Transaction, /, counter: int) -> Settled | None:
        """What has this number."""
        ...

    async def get(self, tx: Transaction, /, push: str) -> Settled | None:
        """One push; nobody else changes it before the transaction ends."""
        ...

    async def of_draft(self, tx: Transaction, /, draft: str) -> Settled | None:
        """The push that a draft was made of."""
        ...

    async def waiting(self, tx: Transaction, /) -> list[Settled]:
        """What waits for a person."""
        ...

    async def save(self, tx: Transaction, /, settled: Settled) -> None:
        """Keep a push as it stands now."""
        ...

    async def listed(self) -> list[Settled]:
        """What waits first, then the newest."""
        ...

    async def one(self, push: str) -> Settled | None:
        """One push, to look at."""
        ...

    async def inputs(self, tx: Transaction, /, playbook: str) -> dict[str, tuple[Any, str]]:
        """input -> the group's value, and the push that brought it."""
        ...

    async def set_input(
        self, tx: Transaction, /, playbook: str, name: str, value: dict[str, Any], push: str,
        at: int,
    ) -> None:  # fmt: skip
        """Keep the group's value of an input; `{}` takes it back."""
        ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What the parts share."""

    site: Site
    policy: LocalPolicy
    release_key: Ed25519PublicKey
    clock: Clock
    rows: PushRows
    shelf: Shelf
    drafts: Drafts
    say: Callable[[Transaction, str, Body], Awaitable[None]]
    audit: Audit
