"""All sinks of the site: a task for each, started and ended as `sinks.yaml` changes.

Run by the service. Tells who is behind (a condition of the system, figures, the list); forwards
nothing itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from factory_brain.application.sinks.forwarder import Forwarder
from factory_brain.application.sinks.port import Counts, SinkEvents, SinkStore
from shared.clock import Clock
from shared.errors import ConfigError
from shared.metrics import Exposition
from shared.service import supervise
from shared.site.sinks import SinkSpec
from shared.site.site import Site
from shared.telemetry import logger
from shared.web.dto_base import Text
from shared.web.dto_sinks import SinkOut

log = logger("sinks")
LOOK_S = 2.0
PRUNE_EVERY_S = 30.0
SetBehind = Callable[[str, bool, dict[str, Any]], Awaitable[None]]
Make = Callable[[SinkSpec], Awaitable[Forwarder]]
"""Raises ConfigError where the files do not allow it."""
Journal = Callable[[str], SinkEvents]


class Forwarding:
    """The running sinks."""

    def __init__(
        self, site: Site, clock: Clock, store: SinkStore, make: Make, journal: Journal,
        set_behind: SetBehind, told: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self._site, self._clock, self._store, self._make = site, clock, store, make
        self._journal, self._set_behind = journal, set_behind
        self._running: dict[str, tuple[SinkSpec, Forwarder, asyncio.Task[None]]] = {}
        self._unopened: dict[str, str] = {}
        self._told = set(told)
        """Sinks whose condition is on; `told`: those that an earlier start left on."""

    async def prepare(self) -> None:
        """New sinks take what comes from now on: before anything comes."""
        for spec in list(self._site.sinks.values()):
            await self._store.register(spec.id)
            if spec.events:
                await self._journal(spec.id).behind()

    async def run(self) -> None:
        """Follow the file and judge, for ever; a fault of that ends no sink, only `close` does."""
        while True:
            await self._follow()
            await self._judge()
            await asyncio.sleep(LOOK_S)

    async def prune_for_ever(self) -> None:
        """A task of its own: what waits may take long to count, and nobody waits for that."""
        while True:
            keep = {s.id: s.keep for s in self._site.sinks.values() if s.wants_samples}
            await self._store.prune(keep, self._clock.now_ms())
            await asyncio.sleep(PRUNE_EVERY_S)

    async def close(self) -> None:
        """End all sinks, side by side."""
        await asyncio.gather(*(self._end(name) for name in list(self._running)))

    async def _follow(self) -> None:
        sinks = self._site.sinks
        for name, (spec, _, _) in list(self._running.items()):
            if sinks.get(name) != spec:
                await self._end(name)
        self._unopened = {k: v for k, v in self._unopened.items() if k in sinks}
        for name, spec in list(sinks.items()):
            if name not in self._running:
                await self._begin(name, spec)

    async def _begin(self, name: str, spec: SinkSpec) -> None:
        try:
            forwarder = await self._make(spec)
        except ConfigError as fault:
            if self._unopened.get(name) != fault.message:
                log.error("sink_not_opened", sink=name, error=str(fault))
            self._unopened[name] = fault.message
            return
        self._unopened.pop(name, None)
        await self._store.register(name)

        def on_fault(_: str, error: BaseException) -> None:
            forwarder.state.error = f"{type(error).__name__}: {error}"[:300]

        work = supervise(f"sink-{name}", forwarder.run, on_fault=on_fault)
        self._running[name] = spec, forwarder, asyncio.create_task(work, name=f"sink-{name}")

    async def _end(self, name: str) -> None:
        _, forwarder, task = self._running.pop(name)
        task.cancel()
        await asyncio.wait([task], timeout=2)
        await forwarder.close()

    def _late_ms(self, name: str) -> int:
        found = self._running.get(name)
        return 0 if found is None else max(0, self._clock.now_ms() - found[1].state.level_at)

    async def _judge(self) -> None:
        """`sink_behind`: raised late, cleared once everything is there."""
        sinks = self._site.sinks
        for name in [*sinks, *(self._told - sinks.keys())]:
            spec = sinks.get(name)
            late, told = self._late_ms(name), name in self._told
            error = self._error(name)
            found = self._running.get(name)
            level = found is not None and found[1].state.level
            bad = spec is not None and (
                late >= spec.behind or name in self._unopened
                # Opened anew, by a change of the file or a start, it is still as late as it was.
                or (told and (not level or late > spec.period + 10_000))
            )  # fmt: skip
            if bad and not told:
                await self._set_behind(name, True, {"subject": error or f"{late // 1000} s"})
                self._told.add(name)
            elif told and not bad:
                await self._set_behind(name, False, {})
                self._told.discard(name)

    def _error(self, name: str) -> str:
        found = self._running.get(name)
        return found[1].state.error if found is not None else self._unopened.get(name, "")

    async def listed(self) -> list[SinkOut]:
        """All sinks and where they stand."""
        counts = await self._store.counts()
        return [
            await self._as_dto(spec, counts.get(name, Counts()))
            for name, spec in sorted(self._site.sinks.items())
        ]

    async def _as_dto(self, spec: SinkSpec, counts: Counts) -> SinkOut:
        found = self._running.get(spec.id)
        state = found[1].state if found is not None else None
        if state is None or state.failing_since is not None or state.error:
            status = "failing" if state is not None or spec.id in self._unopened else "starting"
        elif not state.here:
            status = "elsewhere"
        else:
            status = "behind" if self._late_ms(spec.id) >= spec.behind else "ok"
        name = spec.name
        return SinkOut(
            id=spec.id, kind=spec.kind, status=status, error=self._error(spec.id),
            name=Text(zh=name.zh, en=name.en) if name else Text(zh=spec.id, en=spec.id),
            failing_since=state.failing_since if state else None,
            last_ok_at=state.last_ok_at if state else None, late_ms=self._late_ms(spec.id),
            events_behind=await self._journal(spec.id).behind() if spec.events else 0,
            samples_behind=await self._store.samples_behind(spec.id) if spec.wants_samples else 0,
            events=counts.events, samples=counts.samples, refused=counts.refused,
            lost=counts.lost,
        )  # fmt: skip

    async def tell(self, out: Exposition) -> None:
        """Into a scrape; asks no database."""
        names = sorted(self._site.sinks)
        out.tell(
            "sink_late_seconds", "gauge", "How long a sink has not had everything",
            [({"sink": name}, self._late_ms(name) / 1000) for name in names],
        )  # fmt: skip
        out.tell(
            "sink_failing", "gauge", "The target does not confirm",
            [({"sink": name}, bool(self._error(name))) for name in names],
        )  # fmt: skip
