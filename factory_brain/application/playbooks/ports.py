"""What the playbook engine needs of the outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from shared.expression import TagReading
from shared.playbook.run import Effect, Record


class FencedError(Exception):
    """Another engine owns the run now: stop at once, everything of ours is void."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A claimed run."""

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
    ask: Mapping[str, Any] | None


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
    at: int
    deadline_at: int
    wake_at: int | None = None
    """When it begins to work; None: at once."""


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
        """Start a run once; False if this occurrence or key has one already."""
        ...

    async def live_run(self, playbook: str, key: str) -> str | None:
        """The live run of a key."""
        ...

    async def claim(self, owner: str, now: int, lease_ms: int, limit: int) -> list[RunRecord]:
        """Take due runs whose lease is free, each with a higher fence."""
        ...

    async def renew(self, run: RunRecord, until: int) -> None:
        """Prolong the lease."""
        ...

    async def release(
        self, run: RunRecord, status: str, wake_at: int | None, ask: Any, ended_at: int | None
    ) -> None:
        """Give the run back with its state."""
        ...

    async def journal(self, run: str) -> dict[str, Record]:
        """Newest record of every path."""
        ...

    async def write(self, run: RunRecord, effects: list[Effect], now: int) -> None:
        """Journal effects in one commit; a webhook's delivery and a notification ride along."""
        ...

    async def answers(self, run: str) -> dict[str, dict[str, Any]]:
        """Answers that have arrived, by path."""
        ...

    async def wake_for(self, occurrence: str, playbook: str, at: int) -> None:
        """Something has become known about an occurrence: its live run looks at it."""
        ...

    async def answer(self, run: str, path: str, data: Any, at: int) -> bool:
        """Record an answer and wake the run; False if there was one already."""
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

    async def next_delivery(self) -> int | None:
        """When the next delivery is due."""
        ...

    async def fence(self, device: str, epoch: str) -> int:
        """The next fence of a device in an edge epoch."""
        ...

    async def due_deliveries(self, now: int, limit: int) -> list[Delivery]:
        """Webhooks that are due, pushed back a little so that only one engine sends them."""
        ...

    async def delivered(self, delivery: Delivery, error: str | None, now: int) -> None:
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
        """Newest reading of each tag that has one."""
        ...


class WebhookSender(Protocol):
    """Delivers signed webhooks."""

    async def deliver(self, delivery: Delivery) -> str | None:
        """None when delivered; else why not."""
        ...
