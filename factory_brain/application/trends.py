"""Full-rate samples: what a raise took along, and asking an edge for a tag's every sample.

Called by the console's routes; reads the historian, speaks to the edge. Decides nothing.
"""

from __future__ import annotations

from typing import Protocol

from factory_brain.domain.samples import unpack
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import ContractError, Rejected, TransportError
from shared.ids import uuid7
from shared.messages.bodies import Snippet
from shared.messages.codec import decode, encode
from shared.messages.control import SampleAnswer, SampleRequest
from shared.messages.subjects import Node
from shared.site.model import SourceSpec, TagSpec
from shared.web.dto import Samples, SnippetOut

ANSWER_S = 3.0
MINUTE_MS = 60_000


class Snippets(Protocol):
    """Where snippets are kept."""

    async def snippet(self, occurrence: str) -> Snippet | None:
        """What an occurrence took along."""
        ...


class Trends:
    """Answers the console's questions about full-rate samples."""

    def __init__(
        self, site: str, tags: dict[str, TagSpec], sources: dict[str, SourceSpec],
        snippets: Snippets, bus: Bus, clock: Clock,
    ) -> None:  # fmt: skip
        self._site, self._tags, self._sources = site, tags, sources
        self._snippets, self._bus, self._clock = snippets, bus, clock

    async def snippet(self, occurrence: str) -> SnippetOut | None:
        """The samples around a raise, by tag."""
        found = await self._snippets.snippet(occurrence)
        if found is None:
            return None
        series: dict[str, Samples] = {}
        for tag, at, value, quality in unpack(found.samples):
            if tag not in series:
                spec = self._tags.get(tag)
                series[tag] = Samples(tag=tag, unit=spec.unit if spec else "", t=[], v=[], q=[])
            one = series[tag]
            one.t.append(at)
            one.v.append(value)
            one.q.append(quality)
        return SnippetOut(
            alarm=found.alarm, occurrence=occurrence, raised_at=found.raised_at,
            since=found.since, until=found.until, truncated=found.truncated,
            series=[series[name] for name in found.samples.names if name in series],
        )  # fmt: skip

    def asset(self, tag: str) -> str | None:
        """Where a tag is; None for one that is not there."""
        spec = self._tags.get(tag)
        return spec.asset if spec is not None else None

    async def sample(self, tag: str, minutes: int) -> Rejected | None:
        """Ask the tag's edge for its every sample; the refusal, if there is one."""
        spec = self._tags.get(tag)
        if spec is None:
            return Rejected("unknown_tag", {"tag": tag})
        node = Node(self._site, self._sources[spec.source].edge)
        request = SampleRequest(id=uuid7(self._clock), tag=tag, ttl_ms=minutes * MINUTE_MS)
        try:
            data = await self._bus.request_down(node, node.sampling, encode(request), ANSWER_S)
            answer = decode(data, SampleAnswer)
        except (TransportError, ContractError):
            return Rejected("edge_offline", {"edge": node.name})
        return None if answer.accepted else Rejected(answer.code, {"tag": tag})
