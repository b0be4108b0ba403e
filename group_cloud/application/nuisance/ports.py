"""What the ranking of nuisance needs of its store and of its learner.

Implemented by `adapters/postgres/nuisance_store.py` and `adapters/learners.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from group_cloud.application.ports import Transaction
from group_cloud.domain.scope import Scope

Champion = Literal["logistic", "bayes"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was known when an alarm came up; see `learning/nuisance.Occurrence`."""

    occurrence: str
    alarm: str
    since_last_min: float
    """-1: it never came up in the week before."""
    of_point_hour: int
    of_point_day: int
    others_10min: int
    others_hour: int
    standing: int
    usual_per_day: float


@dataclass(frozen=True, slots=True)
class Raised:
    """One alarm of a factory's past week; not returned: 0."""

    occurrence: str
    alarm: str
    raised_at: int
    returned_at: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What people said of one alarm."""

    occurrence: str
    alarm: str
    nuisance: bool
    raised_at: int


@dataclass(frozen=True, slots=True)
class Scored:
    """What was said of an alarm before its verdict was learnt; None: too little was known."""

    logistic: float | None
    bayes: float | None
    said: float | None


@dataclass(frozen=True, slots=True)
class Learnt:
    """A verdict as it was learnt."""

    verdict: Verdict
    seen: Seen
    place: int
    scored: Scored


@dataclass(frozen=True, slots=True)
class Spot:
    """An alarm point with people's verdicts on it."""

    alarm: str
    edge: str
    priority: int
    tunable: bool
    labels: int
    nuisance: int
    last_true_at: int | None
    newest: int = 0
    newest_nuisance: int = 0
    """Of the newest verdicts; see `domain/shelving.py`."""
    true_said_at: int | None = None
    """When it was last true, or was last said to have been."""


@dataclass(frozen=True, slots=True)
class PointRank:
    """How probably an alarm of a point is nuisance."""

    alarm: str
    edge: str
    probability: float
    low: float
    high: float
    labels: int
    nuisance: int
    raised: int
    last_true_at: int | None
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A factory's ranker: how far it has learnt, and its state."""

    learnt: int = 0
    champion: Champion = "logistic"
    data: dict[str, Any] | None = None
    floor: int = 0
    """Verdicts up to this revision are too old to be learnt."""


class Ranker(Protocol):
    """The learner; each call runs in a thread."""

    def learn(
        self, data: dict[str, Any] | None, verdicts: Sequence[tuple[Seen, bool]]
    ) -> tuple[list[Scored], Champion, dict[str, Any]]:
        """Tell each, then learn it: (what was told, who speaks now, the state)."""
        ...

    def rank(
        self, data: dict[str, Any] | None, spots: Sequence[Spot],
        recent: dict[str, list[Seen]],
    ) -> list[PointRank]:  # fmt: skip
        """All points with their place, the likeliest nuisance first."""
        ...


class NuisanceRows(Protocol):
    """Verdicts, models and ranks; what people ask is asked within a scope."""

    async def sites(self) -> list[str]:
        """Factories with verdicts, or with a model."""
        ...

    async def model(self, site: str) -> Model:
        """The newest."""
        ...

    async def new(self, site: str, limit: int) -> list[Verdict]:
        """Verdicts that were not learnt and are not too old, in the order in which they came."""
        ...

    async def changed(self, site: str) -> bool:
        """Whether people have said otherwise of something that was learnt."""
        ...

    async def standing(
        self, site: str, limit: int
    ) -> tuple[list[tuple[Verdict, Seen | None]], int]:
        """The newest verdicts as they stand, in the order in which they came, with what was seen
        where it was learnt before; and the revision up to which there are older ones."""
        ...

    async def raised(self, site: str, since: int, until: int, limit: int) -> list[Raised]:
        """What came up between, oldest first."""
        ...

    async def spots(self, site: str, limit: int) -> list[Spot]:
        """Alarm points with their verdicts."""
        ...

    async def keep(
        self, tx: Transaction, /, site: str, before: Model, now: Model, learnt: Sequence[Learnt],
        at: int, *, anew: bool,
    ) -> bool:  # fmt: skip
        """Keep what was learnt; `anew`: in place of all that was. False: another process was
        there first."""
        ...

    async def keep_ranks(
        self, tx: Transaction, /, site: str, ranks: Sequence[PointRank], at: int
    ) -> None:
        """In place of the factory's former ones."""
        ...

    async def models(self, scope: Scope, site: str | None) -> Sequence[Any]:
        """Each factory's model without its state, with its verdicts counted."""
        ...

    async def told(self, scope: Scope, site: str, limit: int) -> Sequence[Any]:
        """The newest verdicts that were told before they were learnt."""
        ...

    async def ranked(self, scope: Scope, site: str | None, limit: int) -> Sequence[Any]:
        """Points, the likeliest nuisance first."""
        ...


class ShelvingRows(Protocol):
    """Proposals to shelve; see `adapters/postgres/shelving_store.py`."""

    async def open_of(self, tx: Transaction, /, site: str) -> dict[str, Any]:
        """alarm -> the open proposal of it, locked."""
        ...

    async def spot(self, tx: Transaction, /, site: str, alarm: str) -> Spot | None:
        """A point as it is now; None: the factory has it no more."""
        ...

    async def refresh(self, tx: Transaction, /, proposal: str, made: dict[str, Any]) -> None:
        """What an open one says, by what is known now."""
        ...

    async def newest(self, tx: Transaction, /, site: str) -> dict[str, tuple[str, int, int]]:
        """alarm -> (status, labels, decided at) of its newest proposal."""
        ...

    async def add(self, tx: Transaction, /, site: str, made: dict[str, Any]) -> None:
        """A new proposal."""
        ...

    async def withdraw(self, tx: Transaction, /, proposal: str, at: int) -> None:
        """The evidence no longer holds."""
        ...

    async def get(self, tx: Transaction, /, scope: Scope, proposal: str) -> Any:
        """One within a scope, locked; None: unknown."""
        ...

    async def decide(
        self, tx: Transaction, /, proposal: str, status: str, by: str, reason: str, message: str,
        at: int,
    ) -> None:  # fmt: skip
        """What was decided."""
        ...

    async def listed(self, scope: Scope, site: str | None, limit: int) -> Sequence[Any]:
        """Open ones first, newest first."""
        ...
