"""What the notices of drift need of their store and their learner.

Implemented by `adapters/postgres/notice_store.py` and `adapters/learners.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from group_cloud.application.ports import Transaction
from group_cloud.domain.scope import Scope

Feed = Literal["rates", "labels"]
"""What is complete at the same time: alarms with the day, verdicts some days later."""
What = Literal["alarms", "judged", "dismissed", "forecast"]
State = Literal["open", "taken", "closed"]


@dataclass(frozen=True, slots=True)
class Fed:
    """One number of one closed day."""

    what: What
    alarm: str
    """Empty: the whole factory."""
    day: int
    value: float


@dataclass(frozen=True, slots=True)
class Found:
    """What the learner noticed."""

    what: What
    alarm: str
    kind: str
    day: int
    before: float
    now: float
    trend: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Watched:
    """How far a factory's feed has come."""

    began: int
    day: int
    data: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A factory with figures: since when, and how far its edges have told."""

    site: str
    first_day: int
    """The first day of which anything is known; it may be half a day."""
    reported: int | None = None
    """When it reported last; None: never."""
    edges_told: Mapping[str, int] = field(default_factory=dict)
    """Until when its edges have told, by its newest report: those that hold anything back."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice as stored."""

    id: str
    site: str
    what: str
    alarm: str
    edge: str
    kind: str
    day: int
    before: float
    now: float
    trend: list[list[float]] = field(default_factory=list)
    state: State = "open"
    opened_at: int = 0
    taken_at: int | None = None
    taken_by: str = ""
    closed_at: int | None = None
    closed_by: str = ""
    reason: str = ""


Learn = Callable[[dict[str, Any] | None, Sequence[Fed]], tuple[list[Found], dict[str, Any]]]
"""(what the watch held, the next days) -> what it noticed, what it holds now. Runs in a thread."""


class NoticeRows(Protocol):
    """Notices and watches; what people ask is asked within a scope."""

    async def sites(self) -> list[Site]:
        """Factories with figures."""
        ...

    async def watched(self, site: str, feed: Feed) -> Watched | None:
        """How far a feed has come."""
        ...

    async def numbers(
        self, site: str, feed: Feed, began: int, days: range, whole: Mapping[str, int]
    ) -> list[Fed]:
        """The numbers of these days, the oldest first; `whole`: edge -> the last day of which it
        has told all. Of later days nothing is known of it."""
        ...

    async def advance(
        self, tx: Transaction, /, site: str, feed: Feed, after: int, now: Watched, at: int
    ) -> bool:
        """Keep how far it has come; False: another process was there first."""
        ...

    async def add(self, tx: Transaction, /, made: Notice, most: int) -> bool:
        """A new notice; False: one about the same is open, or the factory has too many."""
        ...

    async def get(self, tx: Transaction, /, scope: Scope, notice: str) -> Notice | None:
        """One within a scope, locked."""
        ...

    async def save(self, tx: Transaction, /, notice: Notice) -> None:
        """Its state."""
        ...

    async def listed(self, scope: Scope, site: str | None, state: str, limit: int) -> Sequence[Any]:
        """Newest first, with the names of point and factory."""
        ...

    async def prune(self, before: int) -> None:
        """Delete closed ones that are older."""
        ...
