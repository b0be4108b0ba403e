"""What early warning needs of the store; implemented in `adapters/postgres/warning_*.py`.

`Transaction` is opaque here: whatever is written with it stands or falls together.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from factory_brain.application.ports import Transaction
from factory_brain.domain.warning import Label, Record, Span
from shared.site.assets import AssetTree


@dataclass(frozen=True, slots=True)
class Norm:
    """What a plant's tags were in its commissioning: made once, never adapted."""

    plant: str
    tags: tuple[str, ...]
    mean: tuple[float, ...]
    sigma: tuple[float, ...]
    days: tuple[int, ...]
    made_at: int

    @property
    def until(self) -> int:
        """The last commissioning day's number."""
        return max(self.days)


@dataclass(frozen=True, slots=True)
class Minutes:
    """Each tag's mean of each minute of a span; NaN where there is none good."""

    since: int
    count: int
    columns: tuple[array[float], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """The push that is in force for a plant."""

    push: str
    counter: int
    plant: str
    payload: bytes
    expires_at: int
    at: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What was done with a push."""

    counter: int
    push: str
    plant: str
    kind: str
    status: str
    code: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    payload: bytes = b""
    expires_at: int = 0
    at: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said of one window, or why nothing was."""

    plant: str
    at: int
    push: str
    silent: str = ""
    confidence: float = 0.0
    threshold: float = 0.0
    """As a confidence."""
    hit: bool = False
    tags: tuple[str, ...] = ()
    outside: int = 0
    """Tags beyond what the model was trained on."""


@dataclass(frozen=True, slots=True)
class EarlyWarning:
    """One early warning as stored."""

    occurrence: str
    alarm: str
    line: str
    plant: str
    push: str
    raised_at: int
    since: int
    """Where the first window that raised it begins."""
    confidence: float
    threshold: float
    tags: tuple[str, ...]
    outside: int
    many: int
    changed: int
    returned_at: int | None = None
    acked_by: str | None = None
    acked_at: int | None = None
    label: str = ""
    label_by: str = ""
    label_at: int | None = None


class Samples(Protocol):
    """The historian."""

    async def minutes(self, tags: Sequence[str], since: int, count: int) -> Minutes:
        """`count` minutes from `since` on."""
        ...

    async def oldest(self, tags: Sequence[str]) -> int | None:
        """When the youngest beginning of these tags' stored histories is; None: one has none."""
        ...


class Reads(Protocol):
    """What people and alarms have said."""

    async def record(self, assets: AssetTree, line: str, since: int, now: int) -> Record:
        """What people have said of a line since then, and what stood that nobody has judged."""
        ...

    async def alarmed(
        self, assets: AssetTree, line: str, since: int, until: int
    ) -> list[Span]:  # fmt: skip
        """When alarms of a line stood."""
        ...

    async def drills(
        self, assets: AssetTree, line: str, since: int, until: int
    ) -> list[Span]:  # fmt: skip
        """Drills of playbooks there that reach into a span or into the two hours before it."""
        ...


class Rows(Protocol):
    """What early warning itself keeps."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits at the end of the block."""
        ...

    async def norm(self, plant: str) -> Norm | None:
        """A plant's commissioning."""
        ...

    async def keep_norm(self, norm: Norm) -> Norm:
        """Keep it unless there is one; returns what is kept."""
        ...

    async def sent(self, plant: str, since: int) -> dict[int, Label]:
        """Window end -> the label that it was last sent with."""
        ...

    async def sent_today(self, plant: str, since: int) -> int:
        """How many windows were sent since then."""
        ...

    async def mark_sent(
        self, tx: Transaction, /, plant: str, labels: Mapping[int, Label], at: int
    ) -> int:
        """Note what is sent; returns the revision of the message."""
        ...

    async def settled(self, tx: Transaction, /, counter: int) -> Settled | None:
        """What was done with a number."""
        ...

    async def highest(self, tx: Transaction, /) -> int:
        """The highest number that was settled, which stays locked."""
        ...

    async def settle(self, tx: Transaction, /, done: Settled) -> None:
        """Keep what was done."""
        ...

    async def models(self) -> list[Model]:
        """The newest applied push of each plant, if it is a model."""
        ...

    async def judged(self, plant: str, since: int) -> list[Judged]:
        """What was said since then, oldest first."""
        ...

    async def keep_judged(self, tx: Transaction, /, said: Judged) -> bool:
        """Keep a judgement; False if that window was judged before."""
        ...

    async def standing(self, tx: Transaction, /, alarm: str) -> EarlyWarning | None:
        """The warning that stands, locked."""
        ...

    async def put(self, tx: Transaction, /, warning: EarlyWarning) -> bool:
        """Insert or replace; False where another one stands already."""
        ...

    async def get(self, tx: Transaction, /, occurrence: str) -> EarlyWarning | None:
        """One warning, locked."""
        ...

    async def shown(self, returned_since: int) -> list[EarlyWarning]:
        """Those that stand, or returned since then and were not acknowledged."""
        ...

    async def listed(self, limit: int) -> list[EarlyWarning]:
        """Newest first."""
        ...

    async def forget(self, before: int) -> None:
        """Delete what was said and sent long ago; warnings stay longer."""
        ...
