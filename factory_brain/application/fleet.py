"""The edges as the brain sees them: heartbeats, tokens for commands, online or not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from factory_brain.domain.lateness import Lateness, Unheard
from shared.clock import Clock
from shared.errors import ContractError
from shared.messages import subjects
from shared.messages.codec import decode
from shared.messages.control import Counts, Health, Token
from shared.messages.subjects import LIVE, REPLAY
from shared.site.model import EdgeSpec
from shared.telemetry import logger
from shared.web.dto import EdgeHealth, Fleet, LaneCounts, Text

log = logger("fleet")
OFFLINE_AFTER_MS = 5_000
IN_FLIGHT = 500
"""Live events that are on their way at any moment: one frame."""


@dataclass(slots=True)
class _Seen:
    health: Health
    at_mono: int
    at: int


class FleetView:
    """Newest heartbeat of every edge."""

    def __init__(self, site: str, edges: list[EdgeSpec], clock: Clock) -> None:
        self._site, self._clock = site, clock
        self._names = {edge.id: edge.name for edge in edges}
        self._seen: dict[str, _Seen] = {}
        self._late = {edge.id: Lateness() for edge in edges}
        self._unheard = {edge.id: Unheard() for edge in edges}
        self._come = {edge.id: asyncio.Event() for edge in edges}
        self._since: int | None = None
        """Since when it is listened for heartbeats."""
        self.annunciator: dict[str, str] = {}
        self.site_version = ""
        """Of the site's folder as it stands here."""
        self._was_online: set[str] = set()

    async def on_health(self, subject: str, data: bytes) -> None:
        """One heartbeat."""
        node, _, _ = subjects.parse(subject)
        try:
            health = decode(data, Health)
        except ContractError as error:
            log.error("health_unreadable", node=node.source, error=str(error))
            return
        if node.site == self._site and node.name in self._names:
            now, live = self._clock.mono_ms(), health.lanes.get(LIVE, Counts())
            self._seen[node.name] = _Seen(health, now, self._clock.now_ms())
            counts = (live.produced, live.buffered, now)
            self._late[node.name].beat(health.boot, *counts)
            self._unheard[node.name].beat(health.boot, health.mono, *counts)
            self._come[node.name].set()

    def listening(self) -> None:
        """From now on heartbeats are heard: what stays silent for five seconds is away."""
        self._since = self._clock.mono_ms()

    async def hear(self, edges: Iterable[str]) -> None:
        """Return when each of these was heard, or was listened for long enough to be away.

        A brain that has just started has heard nobody. That is no silence: a playbook must neither
        give up a command nor take the plant's readings for stale because of it.
        """
        for edge in edges:
            come = self._come.get(edge)
            while come is not None and not come.is_set() and (left := self._listen_ms()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left / 1000):
                        await come.wait()

    def _listen_ms(self) -> int:
        if self._since is None:
            self.listening()
            return OFFLINE_AFTER_MS
        return self._since + OFFLINE_AFTER_MS - self._clock.mono_ms()

    @property
    def edges(self) -> list[str]:
        """All edges of the site."""
        return list(self._names)

    def online(self, edge: str) -> bool:
        """Whether a heartbeat came within the last five seconds."""
        seen = self._seen.get(edge)
        return seen is not None and self._clock.mono_ms() - seen.at_mono < OFFLINE_AFTER_MS

    def unheard_ms(self, edge: str) -> int | None:
        """Since when no heartbeat came; None before the first one."""
        seen = self._seen.get(edge)
        return None if seen is None else self._clock.mono_ms() - seen.at_mono

    def token(self, edge: str) -> tuple[Token, str] | None:
        """(clock token, epoch) of an edge for a command's expiry; None while it is not heard."""
        if not self.online(edge):
            return None
        health = self._seen[edge].health
        return Token(boot=health.boot, mono=health.mono), health.epoch

    @property
    def sounding(self) -> frozenset[str]:
        """Edges that said with their last heartbeat that the horn is theirs."""
        return frozenset(
            edge for edge in self._names
            if self.online(edge) and self._seen[edge].health.annunciating
        )  # fmt: skip

    def caught_up(self, edge: str) -> bool:
        """Whether what an edge recorded is here but for the last moments; False while unheard.

        What it recorded while it was not heard is no last moment: an acknowledgement of down there
        must not sound here. Samples of the history lane may lag: they are nothing that sounds.
        """
        if not self.online(edge) or not self._unheard[edge].here:
            return False
        lanes = self._seen[edge].health.lanes
        behind = {name: counts.buffered for name, counts in lanes.items()}
        return behind.get(REPLAY, 0) == 0 and behind.get(LIVE, 0) <= IN_FLIGHT

    def late_ms(self, edge: str) -> int:
        """For how long an edge's oldest live event was unconfirmed at its last heartbeat."""
        return self._late[edge].ms

    def fragments(self, edge: str) -> str | None:
        """Version of the offline playbook parts that an edge holds; None while it is not heard."""
        return self._seen[edge].health.fragments if self.online(edge) else None

    def filters(self, edge: str) -> list[str] | None:
        """The filters of limits that an edge can run; None while it was never heard."""
        seen = self._seen.get(edge)
        return None if seen is None else seen.health.filters

    def online_counts(self) -> tuple[int, int]:
        """(online, all)."""
        return sum(self.online(edge) for edge in self._names), len(self._names)

    def changed(self) -> bool:
        """Whether any edge went on or off line since the last call."""
        now = {edge for edge in self._names if self.online(edge)}
        changed, self._was_online = now != self._was_online, now
        return changed

    def complaints(self) -> list[Text]:
        """Banner texts about edges that are missing or degraded."""
        texts: list[Text] = []
        for edge, name in self._names.items():
            if not self.online(edge):
                texts.append(Text(zh=f"{name.zh}离线", en=f"{name.en} offline"))
            elif self._seen[edge].health.journal_degraded:
                texts.append(Text(zh=f"{name.zh}日志降级", en=f"{name.en} journal degraded"))
        return texts

    def as_dto(self) -> Fleet:
        """For the fleet page."""
        return Fleet(edges=[self._edge(edge) for edge in self._names])

    def _edge(self, edge: str) -> EdgeHealth:
        name = self._names[edge]
        seen = self._seen.get(edge)
        health = seen.health if seen else None
        annunciator = self.annunciator.get(edge, "edge") if self.online(edge) else "unknown"
        return EdgeHealth(
            edge=edge,
            site=self._site,
            name=Text(zh=name.zh, en=name.en),
            online=self.online(edge),
            last_seen=seen.at if seen else None,
            epoch=health.epoch if health else None,
            lanes={
                lane: LaneCounts(
                    produced=c.produced, delivered=c.delivered, buffered=c.buffered,
                    dropped=c.dropped, quarantined=c.quarantined,
                )
                for lane, c in (health.lanes if health else {}).items()
            },
            oldest_buffered_ms=health.oldest_buffered_ms if health else None,
            clock_offset_ms=health.clock_offset_ms if health else None,
            drivers=health.drivers if health else {},
            settings_version=health.settings_version if health else None,
            site_version=health.site_version if health else "",
            site_desired=health.site_desired if health else "",
            site_here=self.site_version,
            annunciator=annunciator,  # type: ignore[arg-type]
            journal_degraded=health.journal_degraded if health else False,
        )  # fmt: skip
