"""What the links need of the outside; implemented in `adapters`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from factory_brain.application.ports import Transaction
from factory_brain.domain.link_alarms import LinkAlarm
from shared.errors import Rejected
from shared.outbox.port import Outbox


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One webhook to a linked system."""

    id: str
    outbound: str
    type: str
    body: bytes
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """What a receiver answered; `error` is None when it took the message."""

    error: str | None
    status: int | None = None
    retry_after_s: int | None = None

    @property
    def gone(self) -> bool:
        """It wants nothing any more."""
        return self.status == 410


class Poster(Protocol):
    """Signs and sends one webhook."""

    async def post(self, endpoint: str, message: str, body: bytes) -> Answered:
        """Send to an endpoint of the site; never raises for what the receiver does."""
        ...


class Hooks(Protocol):
    """Inbound links' rows (see `adapters/postgres/hook_store.py`)."""

    def transaction(self, link: str) -> AbstractAsyncContextManager[Transaction]:
        """A transaction in which this link is ours alone."""
        ...

    async def answer(self, tx: Transaction, link: str, message: str) -> dict[str, Any] | None:
        """The answer a message was given."""
        ...

    async def remember(
        self, tx: Transaction, link: str, message: str, answer: dict[str, Any], at: int
    ) -> None:
        """Keep a message's id with its answer."""
        ...

    async def alarm(self, tx: Transaction, alarm: str) -> LinkAlarm | None:
        """One alarm."""
        ...

    async def count_alarms(self, tx: Transaction, link: str) -> int:
        """How many alarms a link has."""
        ...

    async def put_alarm(self, tx: Transaction, alarm: LinkAlarm) -> None:
        """Write one alarm."""
        ...

    async def shelves_over(self, now: int) -> list[tuple[str, str]]:
        """(link, alarm) of shelves whose time is over."""
        ...

    async def append(self, tx: Transaction, link: str, events: list[bytes]) -> int:
        """Count events and keep them until they are in the journal."""
        ...

    async def waiting(self) -> list[str]:
        """Links with events that are not in the journal yet."""
        ...

    async def next(self, link: str, limit: int) -> tuple[str, int, list[msgspec.Raw]] | None:
        """(epoch, first, events) of what waits."""
        ...

    async def committed(self, link: str, through: int) -> None:
        """They are in the journal."""
        ...

    async def new_fact(self, tx: Transaction, fact: str, at: int) -> bool:
        """Note a fact; False if it was applied before."""
        ...

    async def links(self) -> list[str]:
        """All links that ever reported."""
        ...

    async def overview(self) -> dict[str, tuple[int, int | None, int]]:
        """Link -> (events, time of the newest message, alarms)."""
        ...

    async def prune(self, link: str, before: int, facts_before: int) -> None:
        """Forget message ids and facts of long ago."""
        ...


class Deliveries(Protocol):
    """Outbound webhooks' rows (see `adapters/postgres/delivery_store.py`)."""

    async def put(self, tx: Transaction | None, rows: list[Outgoing], now: int) -> None:
        """Add deliveries; known ones stay as they are."""
        ...

    async def claim(
        self, outbound: str, now: int, until: int, limit: int, strict: bool
    ) -> list[Outgoing]:
        """Deliveries that are due, ours until `until`."""
        ...

    async def next_due(self, outbound: str) -> int | None:
        """When the next one is due."""
        ...

    async def settle(
        self, row: Outgoing, status: str, due: int, now: int, code: int | None, error: str | None
    ) -> None:
        """What became of an attempt."""
        ...

    async def note(self, outbound: str, error: str | None) -> int:
        """Count an attempt: failed ones since the last success."""
        ...

    async def disable(self, outbound: str, now: int, error: str) -> None:
        """Tell it nothing any more."""
        ...

    async def bury(self, outbound: str, now: int, error: str) -> None:
        """What waits for it is dead."""
        ...

    async def enable(self, outbound: str, actor: str, now: int) -> None:
        """Tell it again."""
        ...

    async def replay(self, outbound: str | None, one: str | None, actor: str, now: int) -> int:
        """Make dead ones due again; how many."""
        ...

    async def list(
        self, outbound: str | None, status: str | None, before: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Deliveries, newest first."""
        ...

    async def overview(self) -> dict[str, dict[str, Any]]:
        """Counts and condition of each."""
        ...

    async def disabled(self) -> set[str]:
        """Links that are told nothing."""
        ...

    async def prune(self, outbound: str, before: int) -> None:
        """Forget what ended long ago."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice for a device."""

    device: str
    id: str
    body: dict[str, Any]
    expires_at: int
    seq: int = 0
    attempts: int = 0
    sent_at: int | None = None


class Notices(Protocol):
    """Devices' rows (see `adapters/postgres/device_store.py`)."""

    async def put(self, tx: Transaction | None, notices: list[Notice], now: int) -> None:
        """Number and keep notices; known ones stay as they are."""
        ...

    async def order(self, notice: Notice, actor: str, now: int) -> None:
        """Keep a person's notice, with its audit entry."""
        ...

    async def limit(self, device: str, most: int, now: int) -> int:
        """Drop the oldest beyond `most`, with a record; how many."""
        ...

    async def oldest(self, device: str, now: int) -> Notice | None:
        """The oldest that waits; those whose time is over are ended first, with a record."""
        ...

    async def sent(self, notice: Notice, now: int) -> None:
        """It was handed to the broker."""
        ...

    async def acknowledged(
        self, device: str, notice: str, answer: dict[str, Any], now: int
    ) -> bool:
        """The device has it; False if that is known."""
        ...

    async def presence(self, device: str, online: bool, now: int) -> None:
        """Whether it is there."""
        ...

    async def said(self, device: str, message: str) -> dict[str, Any] | None:
        """The answer to what a device said."""
        ...

    async def keep_answer(self, device: str, message: str, answer: Any, now: int) -> None:
        """Keep the answer to what a device said."""
        ...

    async def overview(self) -> dict[str, dict[str, Any]]:
        """Counts and presence of each."""
        ...

    async def list(
        self, device: str, status: str | None, before: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Notices of a device, newest first."""
        ...

    async def prune(self, before: int) -> None:
        """Forget what ended long ago."""
        ...


OnMessage = Callable[[str, bytes], None]
"""(topic, payload)."""


class Broker(Protocol):
    """The factory's MQTT broker (see `adapters/device_broker.py`)."""

    on_message: OnMessage | None
    on_up: Callable[[], None] | None

    @property
    def up(self) -> bool:
        """Whether it is connected."""
        ...

    async def publish(self, topic: str, body: bytes, *, retain: bool) -> bool:
        """Hand one message to the broker (QoS 1); whether it has confirmed it."""
        ...


SetSystem = Callable[[str, bool, dict[str, Any]], Awaitable[None]]
"""(link, active, params) of the condition `link_failed`."""
Acknowledge = Callable[[str, str, int, str, str], Awaitable[Rejected | None]]
"""(alarm, occurrence, version, actor, comment), as the desk takes it."""
Lanes = Callable[[str], Outbox]
"""The outbox's view of one link's facts."""
