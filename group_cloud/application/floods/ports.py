"""What the memory of floods needs of its store and of the learner, and the values between them.

Implemented by `adapters/postgres/flood_store.py` and `adapters/flood_process.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from group_cloud.application.ports import Transaction
from group_cloud.domain.scope import Scope

Raised = tuple[str, float, float | None]
"""(point, minutes from the first alarm to the raise, to the return; None: it stands)."""


@dataclass(frozen=True, slots=True)
class Told:
    """An incident as its factory told it last, where that is news to the memory."""

    site: str
    incident: str
    revision: int
    status: str
    flood: bool
    cause: str
    outcome: str
    first_at: int
    ended_at: int | None
    """When all was normal again, else when it was closed."""
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Flood:
    """One flood that is followed."""

    site: str
    incident: str
    tenant: str
    first_at: int
    asked: int
    """The horizon of the newest answer; -1: none."""

    @property
    def name(self) -> str:
        """Unique over all factories."""
        return f"{self.site}/{self.incident}"


@dataclass(frozen=True, slots=True)
class Episode:
    """A flood that is over, as it is remembered; also what people are shown of it."""

    site: str
    incident: str
    revision: int
    at: int
    cause: str
    cause_names: dict[str, str]
    done: list[dict[str, Any]]
    """[{playbook, ok}] of what ran."""
    words: str
    took_min: float
    alarms: Sequence[Raised]

    @property
    def name(self) -> str:
        """Unique over all factories."""
        return f"{self.site}/{self.incident}"

    def shown(self, similarity: float, site_names: dict[str, str]) -> dict[str, Any]:
        """As an answer keeps it, whatever becomes of the memory."""
        return {
            "site": self.site, "site_names": site_names, "incident": self.incident, "at": self.at,
            "cause": self.cause, "cause_names": self.cause_names, "done": self.done,
            "words": self.words, "took_min": self.took_min, "similarity": similarity,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of one tenant's factories, without the alarms."""

    tenant: str
    version: str
    """Another one as soon as anything in it is another."""
    causes: tuple[str, ...]
    """One of each episode."""


@dataclass(frozen=True, slots=True)
class Near:
    """One earlier flood, by name, and how alike it is."""

    name: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Resembled:
    """What the learner says."""

    known: bool
    settled: bool
    trust: float
    nearest: Near | None
    others: tuple[Near, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of a flood at a horizon."""

    site: str
    incident: str
    horizon: int
    at: int
    tenant: str
    known: bool
    settled: bool
    why: str
    trust: float
    remembered: int
    complete: bool
    nearest: dict[str, Any] | None = None
    others: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tellable:
    """A flood whose factory is told of it."""

    site: str
    incident: str
    first_at: int
    number: int
    told: str
    """Digest of what was told last."""
    answer: Answer
    ours: bool
    """What it was held against still belongs to the factory's own tenant."""


class FloodRows(Protocol):
    """What is followed and remembered."""

    async def news(self, limit: int) -> Sequence[Told]:
        """Incidents whose newest revision has not been looked at."""
        ...

    async def follow(self, tx: Transaction, /, told: Told, at: int) -> bool:
        """Take note of a revision; whether it is newer than what was noted."""
        ...

    async def happened(
        self, site: str, incident: str, first_at: int, minutes: float
    ) -> list[Raised]:
        """The alarms of a flood, from its first one on, by names that factories share."""
        ...

    async def runs(self, site: str, names: Sequence[str]) -> Sequence[Any]:
        """What ran: playbook, success, drill."""
        ...

    async def remember(self, tx: Transaction, /, episode: Episode, at: int) -> None:
        """Keep an episode, in the place of an older revision of it."""
        ...

    async def forget(self, tx: Transaction, /, site: str, incident: str) -> None:
        """It is none, or none any more."""
        ...

    async def tidy(self, tenant: str) -> int:
        """Give up what a full memory gives up; returns how many."""
        ...

    async def judge(self, tx: Transaction, /, site: str, incident: str, cause: str) -> None:
        """Note the cause beside the answers; empty: there is none any more."""
        ...

    async def memory(self, tenant: str) -> Memory:
        """What is remembered for a tenant's factories: of those alone."""
        ...

    async def episodes(self, tenant: str) -> list[Episode]:
        """All of it, in a fixed order."""
        ...

    async def shown(self, tenant: str, near: Sequence[Near]) -> list[dict[str, Any]]:
        """These as answers keep them; what the tenant no longer has is left out."""
        ...

    async def open(self) -> Sequence[Flood]:
        """Floods that go on and have no settled answer: each factory's newest, then their second,
        and so on."""
        ...

    async def tenant_of(self, site: str) -> str:
        """Whose a factory is."""
        ...

    async def answer(self, tx: Transaction, /, answer: Answer) -> bool:
        """Keep an answer; whether there was none at that horizon."""
        ...

    async def tellable(self, since: int) -> Sequence[Tellable]:
        """Floods that began since then, with their newest answers, by site, newest first."""
        ...

    async def told(self, tx: Transaction, /, told: Tellable, digest: str) -> int:
        """Something else is told now; returns its number."""
        ...

    async def prune(self, before: int) -> None:
        """Forget floods that are over and older, not what was learnt of them."""
        ...


class Recall(Protocol):
    """The learner, wherever it runs."""

    async def ask(
        self,
        memory: Memory,
        episodes: Sequence[Episode] | None,
        alarms: Sequence[Raised],
        minutes: float,
    ) -> Resembled | None:
        """What these alarms resemble; None: it does not hold this memory, say the episodes."""
        ...

    async def rest(self) -> None:
        """Nothing is asked for a while: give back what it holds."""
        ...


class FloodQuestions(Protocol):
    """See `adapters/postgres/flood_reads.py`."""

    async def listed(
        self, scope: Scope, site: str | None, incident: str | None, limit: int
    ) -> Sequence[Any]:
        """Floods with their newest answers, newest first."""
        ...

    async def judged(self, scope: Scope) -> Sequence[Any]:
        """The last answers about floods whose cause is recorded."""
        ...

    async def totals(self, scope: Scope) -> Any:
        """remembered, causes, asked."""
        ...
