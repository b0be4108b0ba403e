"""This brain's part of the sources: three streams of each edge, consumed only while it is its own.

Asked by `Brains` for the edges; a taken-over source begins with what its last owner left undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from factory_brain.application.brains import Hold
from shared.bus.jetstream_api import Asks, drop_consumer, subjects_of
from shared.bus.streams import EVENTS, SAMPLES
from shared.errors import ContractError, RetryableTransportError
from shared.messages import subjects
from shared.messages.subjects import HISTORY, LIVE, REPLAY
from shared.outbox.receiving import Receiving
from shared.service import supervise
from shared.telemetry import logger

log = logger("sources")
FORMER = ((EVENTS, "brain"), (EVENTS, "brain-replay"), (SAMPLES, "brain"))
"""Consumers of all edges at once, as one brain alone had them."""
LOOK_S = 5.0
READ_S = 1.0
"""For how long JetStream is asked: far less than a lease."""


class Sources:
    """Consumes what is this brain's."""

    def __init__(
        self, site: str, bus: Asks, receiving: Receiving, known: Callable[[], Sequence[str]]
    ) -> None:
        self._site, self._bus, self._receiving, self._known = site, bus, receiving, known
        self._tasks: list[asyncio.Task[None]] = []
        self._strangers: set[str] = set()
        """Edges that speak and are not among the site's: kept too, and they block nobody."""
        self._looked = float("-inf")
        self.on_taken: list[Callable[[], Awaitable[None]]] = []
        """Called when a source has come to this brain, before anything of it is received."""

    async def open(self) -> None:
        """Make room for consumers edge by edge."""
        for stream, durable in FORMER:
            await drop_consumer(self._bus, stream, durable)

    async def edges(self) -> list[str]:
        """All that have something to say."""
        now = asyncio.get_running_loop().time()
        if now - self._looked > LOOK_S:
            self._looked = now
            try:
                async with asyncio.timeout(READ_S):  # leases are renewed only after this
                    for stream in (EVENTS, SAMPLES):
                        self._strangers |= self._named(await subjects_of(self._bus, stream))
            except (RetryableTransportError, TimeoutError) as error:
                log.warning("streams_not_read", error=str(error))
        return sorted({*self._known(), *self._strangers})

    @property
    def strangers(self) -> set[str]:
        """Edges that speak and are not among the site's."""
        return self._strangers

    def _named(self, found: list[str]) -> set[str]:
        names: set[str] = set()
        for subject in found:
            try:
                node, _, _ = subjects.parse(subject)
            except ContractError:
                continue  # nobody's subject; it must not stop the renewal of leases
            if node.site == self._site:
                names.add(node.name)
        return names

    def add(self, edge: str, hold: Hold) -> None:
        """Be ready to consume an edge's streams."""
        said = partial(subjects.any_node, self._site, edge)
        for lane, stream, subject in (
            (LIVE, EVENTS, said("alarm", LIVE)), (REPLAY, EVENTS, said("alarm", REPLAY)),
            (HISTORY, SAMPLES, said("sample", "*")),
        ):  # fmt: skip
            work = partial(self._consume, stream, f"{lane}-{edge}", subject)
            name = f"ingest-{lane}-{edge}"
            body = supervise(name, partial(hold.during, work))
            self._tasks.append(asyncio.create_task(body, name=name))

    async def _consume(self, stream: str, durable: str, subject: str) -> None:
        # What the last owner had in hand waits for nobody's patience; watermarks make it harmless.
        await drop_consumer(self._bus, stream, durable)
        if stream == EVENTS:
            for told in self.on_taken:
                await told()
        await self._receiving.consume(stream, durable, subject)

    async def run(self) -> None:
        """As long as the brain lives: its consumers end with it."""
        try:
            await asyncio.Event().wait()
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=5)

    @property
    def stopped(self) -> bool:
        """Whether a consumer has ended: there is none that may."""
        return any(task.done() for task in self._tasks)
