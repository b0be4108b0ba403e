"""Values of authoring and what it needs of the store: releases, drafts, remarks, inputs.

Implemented by `adapters/postgres/release_store.py` and `draft_store.py`; whatever takes `tx` stands
or falls with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from factory_brain.application.ports import Transaction

DraftStatus = Literal["open", "submitted", "rejected", "released", "discarded"]
RemarkKind = Literal["comment", "submitted", "reopened", "approved", "rejected", "discarded"]
LIVE_DRAFTS = ("open", "submitted", "rejected")


@dataclass(frozen=True, slots=True)
class Release:
    """One released version."""

    playbook: str
    version: int
    digest: str
    text: str
    sha256: str
    source: Literal["folder", "console"]
    author: str
    reviewer: str
    note: str
    restores: int | None
    signed_by: str
    signature: bytes | None
    at: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Whether a playbook is kept from starting runs."""

    withdrawn: bool
    by: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class GivenInput:
    """A value that was set in the console."""

    name: str
    value: Any
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A text that is being written or reviewed."""

    id: str
    playbook: str
    source: str
    base: int | None
    text: str
    test: str
    status: DraftStatus
    revision: int
    authors: list[str]
    created_at: int
    changed_at: int
    changed_by: str
    released: int | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """What was said about a draft."""

    id: str
    draft: str
    at: int
    by: str
    kind: RemarkKind
    revision: int
    text: str


@dataclass(frozen=True, slots=True)
class RunFigures:
    """The runs of one playbook."""

    live: int = 0
    last_run: str | None = None
    last_status: str | None = None
    last_at: int | None = None


class ReleaseStore(Protocol):
    """Releases, what is withdrawn, inputs."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction in which nobody else releases, in any brain."""
        ...

    async def add(self, tx: Transaction, release: Release) -> None:
        """Keep a release."""
        ...

    async def get(
        self, playbook: str, version: int, tx: Transaction | None = None
    ) -> Release | None:
        """One release."""
        ...

    async def newest(self, playbook: str, tx: Transaction | None = None) -> Release | None:
        """The release with the highest version."""
        ...

    async def below(self, playbook: str, version: int, tx: Transaction) -> Release | None:
        """The release with the highest version below this one."""
        ...

    async def newest_of_all(self) -> list[Release]:
        """That of every playbook, by name."""
        ...

    async def versions(self, playbook: str, limit: int, before: int | None = None) -> list[Release]:
        """Newest first."""
        ...

    async def withdrawn(self) -> dict[str, Withdrawn]:
        """What people said last about each playbook that they ever withdrew."""
        ...

    async def set_withdrawn(self, tx: Transaction, playbook: str, said: Withdrawn) -> None:
        """Keep what somebody said."""
        ...

    async def inputs(self) -> dict[str, dict[str, GivenInput]]:
        """playbook -> input -> what was set."""
        ...

    async def set_input(
        self, tx: Transaction, playbook: str, given: GivenInput, cleared: bool
    ) -> None:
        """Keep a value, or that it was taken back."""
        ...

    async def tuned(self) -> dict[str, dict[str, Any]]:
        """playbook -> input -> the group's value, which was taken over here."""
        ...

    async def figures(self) -> dict[str, RunFigures]:
        """playbook -> its runs."""
        ...


class DraftStore(Protocol):
    """Drafts and remarks."""

    async def put(self, tx: Transaction, draft: Draft) -> None:
        """Keep a draft as it is now."""
        ...

    async def get(self, draft: str, tx: Transaction | None = None) -> Draft | None:
        """One draft; with `tx`, nobody else changes it before that ends."""
        ...

    async def listed(
        self, statuses: Sequence[str], playbook: str | None, limit: int,
        before: tuple[int, str] | None,
    ) -> list[Draft]:  # fmt: skip
        """Newest change first."""
        ...

    async def count_live(self) -> int:
        """Drafts that are neither released nor discarded."""
        ...

    async def remark(self, tx: Transaction, remark: Remark) -> None:
        """Keep what was said."""
        ...

    async def remarks(self, draft: str, limit: int) -> list[Remark]:
        """Oldest first."""
        ...


class Audit(Protocol):
    """The audit log (`shared/postgres/audit.py`)."""

    async def __call__(
        self, connection: Any, at: int, actor: str, action: str, target: str,
        data: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Append an entry in the transaction of the act."""
        ...
