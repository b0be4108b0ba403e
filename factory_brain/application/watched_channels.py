"""Channels to people, watched: results counted by kind, and a span for each message of an alarm.

Put around the channels by the bootstrap; changes nothing of what they do.
"""

from __future__ import annotations

from collections import Counter

from factory_brain.application.ingest import Ingest
from factory_brain.application.notify.ports import Channels, Letter, NotTaken
from shared.clock import Clock
from shared.metrics import Exposition
from shared.site.notify import ChannelSpec


class WatchedChannels:
    """Counts and traces each attempt."""

    def __init__(self, channels: Channels, ingest: Ingest, clock: Clock) -> None:
        self._channels, self._ingest, self._clock = channels, ingest, clock
        self.results: Counter[tuple[str, str]] = Counter()
        """(kind of channel, sent or failed) since the start."""

    async def send(self, channel: ChannelSpec, letter: Letter) -> NotTaken | None:
        """Send; None when it was taken, else why not."""
        began = self._clock.now_ms()
        error = await self._channels.send(channel, letter)
        result = "sent" if error is None else "failed"
        self.results[channel.kind, result] += 1
        traces = self._ingest.traces
        if traces.on and (context := self._ingest.recent.of(str(letter.facts.get("occurrence")))):
            now = self._clock.now_ms()
            traces.span("brain.notify", context, began, now, channel=channel.kind, result=result)
        return error

    async def tell(self, out: Exposition) -> None:
        """The counter for a scrape."""
        out.tell(
            "notifications_total", "counter", "Attempts since the start, by channel and result",
            [({"channel": kind, "result": r}, n) for (kind, r), n in sorted(self.results.items())],
        )  # fmt: skip
