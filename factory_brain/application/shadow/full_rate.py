"""Asks the edges for every sample of the tags whose alarm points are counted.

Run by the brain that leads; asked again before the edge's time is over, so an edge that restarts
or a factory that goes silent ends it by itself. Leaves room for what people ask for.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import ContractError, TransportError
from shared.ids import uuid7
from shared.messages.codec import decode, encode
from shared.messages.control import SampleAnswer, SampleRequest
from shared.messages.subjects import Node
from shared.site.model import SourceSpec, TagSpec
from shared.telemetry import logger

log = logger("shadow")
TTL_MS = 60 * 60_000
RENEW_MS = 20 * 60_000
AGAIN_MS = 60_000
"""After a refusal or a silence."""
ANSWER_S = 3.0
MOST_TAGS = 150
"""Of the 200 that an edge takes: people ask for some too."""


class FullRate:
    """Keeps the wishes alive."""

    def __init__(
        self, site: str, tags: dict[str, TagSpec], sources: dict[str, SourceSpec], bus: Bus,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._site, self._tags, self._sources = site, tags, sources
        self._bus, self._clock = bus, clock
        self._due: dict[str, int] = {}
        """tag -> steady time at which it is to be asked for again."""
        self.refused: dict[str, str] = {}
        """tag -> why its edge does not send every sample."""

    async def ask(self, wanted: Iterable[str]) -> None:
        """Ask for these tags where it is time; end what is wanted no more."""
        now, by_edge = self._clock.mono_ms(), self._by_edge(wanted)
        keep = {tag for tags in by_edge.values() for tag in tags}
        for tag in [tag for tag in self._due if tag not in keep]:
            del self._due[tag]
            self.refused.pop(tag, None)
            edge = self._edge(tag)
            if edge is not None:
                await self._request(edge, tag, 0)
        for edge, tags in sorted(by_edge.items()):
            for tag in tags:
                if self._due.get(tag, now) <= now and not await self._one(edge, tag, now):
                    break  # the edge does not answer: its other tags need not be tried

    def _by_edge(self, wanted: Iterable[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for tag in dict.fromkeys(wanted):
            edge = self._edge(tag)
            if edge is not None and len(found.setdefault(edge, [])) < MOST_TAGS:
                found[edge].append(tag)
        return found

    def _edge(self, tag: str) -> str | None:
        spec = self._tags.get(tag)
        source = self._sources.get(spec.source) if spec is not None else None
        return source.edge if source is not None else None

    async def _one(self, edge: str, tag: str, now: int) -> bool:
        answer = await self._request(edge, tag, TTL_MS)
        if answer is not None and answer.accepted:
            self.refused.pop(tag, None)
            self._due[tag] = now + RENEW_MS
            return True
        code = answer.code if answer is not None else "edge_offline"
        if self.refused.get(tag) != code:
            log.warning("full_rate_refused", edge=edge, tag=tag, code=code)
        self.refused[tag] = code
        self._due[tag] = now + AGAIN_MS
        return answer is not None

    async def _request(self, edge: str, tag: str, ttl_ms: int) -> SampleAnswer | None:
        node = Node(self._site, edge)
        request = SampleRequest(id=uuid7(self._clock), tag=tag, ttl_ms=ttl_ms)
        try:
            data = await self._bus.request_down(node, node.sampling, encode(request), ANSWER_S)
            return decode(data, SampleAnswer)
        except (TransportError, ContractError):
            return None
