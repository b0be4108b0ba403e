"""What the playbook engine needs of the outside, and the values that go in and out of its store.

Implemented by `adapters/postgres/run_*.py`, `edge_devices.py`, `plant_tags.py` and the adapters of
webhooks and HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.expression import TagReading
from shared.playbook.journal import Effect, Record

LIVE_STATES = ("running", "waiting")


class FencedError(Exception):
    """Another engine owns the run now: stop at once, everything of ours is void."""


class UnstorableError(Exception):
    """What is to be journalled cannot be stored, whatever is tried; says why."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as stored."""

    id: str
    digest: str
    playbook: str
    version: int
    key: str
    alarm: str | None
    occurrence: str | None
    context: Mapping[str, Any]
    status: str
    started_at: int
    ended_at: int | None
    deadline_at: int
    fence: int
    asks: Sequence[Mapping[str, Any]] = ()
    """The questions that are open."""
    control: Mapping[str, Any] = field(default_factory=dict)
    """What people told it: cancel, suspend; `outages`: when nobody could run it."""
    priority: int = 3
    news: int = 0
    """Counts what has become known from outside: answers, deliveries, words of people."""

    @property
    def ask(self) -> Mapping[str, Any] | None:
        """The first open question."""
        return self.asks[0] if self.asks else None

    @property
    def live(self) -> bool:
        """It has not ended; it may still wait for its turn."""
        return self.ended_at is None


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored about a run beside its own row."""

    journal: dict[str, Record]
    n: int
    """The newest entry's number."""
    answers: dict[str, dict[str, Any]]
    control: Mapping[str, Any]
    news: int
    """What these are the news of."""


@dataclass(frozen=True, slots=True)
class Rest:
    """How a run is given back."""

    status: str
    wake_at: int | None = None
    asks: Sequence[Mapping[str, Any]] = ()
    watch: Sequence[str] = ()
    """Tags of the site whose change may end its wait."""
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be started."""

    id: str
    digest: str
    playbook: str
    version: int
    key: str
    alarm: str | None
    occurrence: str | None
    context: Mapping[str, Any]
    """alarm, inputs, site, started_by; `calls`: digests of called playbooks; `drill`."""
    at: int
    deadline_at: int
    wake_at: int | None = None
    """When it begins to work; None: at once."""
    priority: int = 3
    """1 is the most urgent; claimed in this order."""
    slot: int = 0
    """Live runs of one key differ in it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook that is due."""

    id: str
    run: str
    path: str
    endpoint: str
    body: Mapping[str, Any]
    attempt: int
    schedule: list[int]
    detach: bool
    at: int = 0
    """When it was handed over; the schedule counts from there."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a receiver answered to a webhook."""

    error: str | None = None
    status: int | None = None
    retry_after_s: int | None = None


class RunStore(Protocol):
    """Runs, journal, answers, deliveries. Writes with a fence raise FencedError when it is old."""

    async def save_version(
        self, digest: str, playbook: str, version: int, doc: Any, at: int
    ) -> None:
        """Keep a released document."""
        ...

    async def document(self, digest: str) -> Any:
        """A released document."""
        ...

    async def create(self, run: NewRun) -> bool:
        """Start a run once; False if there is one of this id, occurrence, or key and slot."""
        ...

    async def live_run(self, playbook: str, key: str) -> str | None:
        """The live run of a key."""
        ...

    async def claim(self, owner: str, now: int, lease_ms: int, limit: int) -> list[RunRecord]:
        """Take due runs whose lease is free, the most urgent first, each with a higher fence.

        Whose last owner died, or was due long ago, has that in `control["outages"]`.
        """
        ...

    async def known(self, runs: Sequence[str], alone: Sequence[str] = ()) -> dict[str, Known]:
        """What is stored about these runs; `alone`: those of which an edge may tell too."""
        ...

    async def tell(
        self, run: str, word: str, data: Mapping[str, Any] | None, actor: str, at: int, action: str
    ) -> bool:
        """Note a word (`cancel`, `suspend`), or take it back with None; False: the run is over."""
        ...

    async def renew(self, owner: str, held: Mapping[str, int], until: int) -> None:
        """Prolong an owner's leases of these runs (run -> fence), and of no others."""
        ...

    async def give_back(self, owner: str, held: Mapping[str, int], wake_at: int) -> None:
        """Free an owner's leases of these runs (run -> fence) that could not be driven."""
        ...

    async def free(self, owners: Sequence[str], now: int) -> int:
        """End the leases of owners that are no more; how many there were."""
        ...

    async def held(self, owner: str) -> dict[str, tuple[int, int]]:
        """run -> (fence, news) of what an owner holds."""
        ...

    async def write(
        self, run: RunRecord, effects: Sequence[Effect], now: int, n: int = 0,
        news: int | None = None, rest: Rest | None = None,
        asks: Sequence[Mapping[str, Any]] | None = None,
    ) -> int | None:  # fmt: skip
        """Journal effects in one commit, numbered from `n` on; what acts by a row rides along.

        Given `news`, nothing is written and None returned when there are others; with `rest` the
        run is given back in the same commit, with `asks` its open questions are these while it is
        not. Returns the news; raises UnstorableError for content that cannot be stored.
        """
        ...

    async def release(self, run: RunRecord, rest: Rest) -> None:
        """Give the run back."""
        ...

    async def answers(self, run: str) -> dict[str, dict[str, Any]]:
        """Answers that have arrived, by path."""
        ...

    async def answer(
        self, run: str, path: str, data: Mapping[str, Any], at: int, quorum: int = 1
    ) -> str:
        """Record what a person chose: taken, noted, answered, over."""
        ...

    async def votes(self, run: str, path: str) -> dict[str, str]:
        """Who has chosen what so far."""
        ...

    async def terminate(self, run: str, actor: str, reason: str, at: int) -> bool:
        """End a run at once; False if it is over."""
        ...

    async def poke(self, runs: Sequence[str], at: int) -> None:
        """Let live runs look again; nothing is news."""
        ...

    async def wake_for(self, occurrence: str, playbook: str | None, at: int) -> None:
        """Something has become known about an occurrence: its live runs look at it."""
        ...

    async def watched(self) -> dict[str, list[str]]:
        """run -> tags that it waits for."""
        ...

    async def get(self, run: str) -> RunRecord | None:
        """One run."""
        ...

    async def newest(self, limit: int, before: tuple[int, str] | None = None) -> list[RunRecord]:
        """Newest runs first."""
        ...

    async def entries(self, run: str) -> list[tuple[str, Record, int]]:
        """Every journal row (path, record, order)."""
        ...

    async def next_due(self) -> int | None:
        """When the next run is due and free."""
        ...

    async def dead_deliveries(
        self, limit: int, before: tuple[int, str] | None = None
    ) -> list[dict[str, Any]]:
        """Webhooks that nobody took, newest first."""
        ...

    async def replay_delivery(self, delivery: str, actor: str, now: int) -> bool:
        """Send a dead one again, under its id."""
        ...

    async def late_words(self, now: int) -> None:
        """Tell incidents that are there by now what was said of them before."""
        ...

    async def next_delivery(self, busy: Sequence[str] = ()) -> int | None:
        """When the next delivery is due, but for those to `busy` endpoints."""
        ...

    async def fence(self, device: str, epoch: str, least: int = 0) -> int:
        """The next fence of a device in an edge epoch, and above `least`."""
        ...

    async def due_deliveries(
        self, now: int, limit: int, sending: Mapping[str, int], each: int
    ) -> list[Delivery]:
        """Webhooks that are due, pushed back a little so that only one engine sends them.

        With those under way (`sending`: endpoint -> how many) no endpoint gets more than `each`.
        """
        ...

    async def endpoints_off(self) -> set[str]:
        """Endpoints that want nothing any more."""
        ...

    async def delivered(self, delivery: Delivery, answer: Delivered, now: int) -> None:
        """Note a delivery's end or its next try; settle the path of one that is awaited."""
        ...


class Devices(Protocol):
    """Commands to edges."""

    def epoch(self, device: str) -> str:
        """The epoch of the device's edge; empty while it is not heard."""
        ...

    async def send(
        self, command_id: str, device: str, operation: str, args: Mapping[str, Any],
        expires_ms: int, require: list[str], verify: str, verify_ms: int, run: str, epoch: str,
        drill: bool = False,
    ) -> Mapping[str, Any]:  # fmt: skip
        """Send one command within an edge epoch; returns {outcome, reason, before, readback}.

        `unsendable`: surely nothing was sent; `unknown`: sent and not answered.
        """
        ...

    async def query(self, command_id: str, device: str) -> Mapping[str, Any]:
        """Ask the edge what became of a command; outcome `never_seen` or `unreachable` too.

        `never_seen` counts only together with the same `epoch` that the command was sent in.
        """
        ...


class TagSource(Protocol):
    """Newest values of tags, for conditions."""

    async def readings(self, tags: list[str]) -> dict[str, TagReading]:
        """Newest reading of each tag that has one; right after a start it listens first."""
        ...

    async def stored(self, tags: list[str]) -> dict[str, TagReading]:
        """The same at once, for who only compares."""
        ...

    async def peaks(self, tags: list[str], since: int) -> dict[str, float]:
        """The highest good value of each tag since a time."""
        ...


class WebhookSender(Protocol):
    """Delivers signed webhooks."""

    async def deliver(self, delivery: Delivery) -> Delivered:
        """What the receiver answered; never raises for what it does."""
        ...


class HttpCaller(Protocol):
    """Asks linked systems."""

    async def call(
        self, endpoint: str, method: str, path: str, body: Any, key: str, timeout_s: float,
        drill: bool = False,
    ) -> Mapping[str, Any]:  # fmt: skip
        """{status, json | text}, or {kind, reason} of what went wrong; a drill says that it is."""
        ...


class AlarmStates(Protocol):
    """What alarms are now."""

    async def states(self, occurrence: str) -> Mapping[str, int]:
        """cleared, acknowledged, shelved, suppressed: since when, as far as it is so."""
        ...
