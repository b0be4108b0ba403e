"""What was sent to people is counted and belongs to the alarm's trace."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from factory_brain.application.notify.ports import Letter, NotTaken
from factory_brain.application.watched_channels import WatchedChannels
from shared.clock import ManualClock
from shared.metrics import Exposition
from shared.tracing import Recent, open_traces
from tests.support.otlp import collector

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Mail:
    """A channel that takes every second letter."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.count = clock, 0

    async def send(self, channel: object, letter: Letter) -> NotTaken | None:
        self.clock.advance(250)
        self.count += 1
        return None if self.count % 2 else NotTaken("refused")


async def test_attempts_are_counted_and_traced() -> None:
    clock = ManualClock()
    with collector() as found:
        recent = Recent()
        recent.note("o1", PARENT)
        traces = open_traces(found.url, "andon-test")
        ingest = SimpleNamespace(traces=traces, recent=recent)
        watched = WatchedChannels(Mail(clock), cast(Any, ingest), clock)
        channel = cast(Any, SimpleNamespace(kind="email"))
        for occurrence in ("o1", "o2"):
            await watched.send(channel, Letter("m", "t", "x", {"occurrence": occurrence}))
        await traces.close()
    (span,) = found.named("brain.notify")
    assert span.parent_span_id.hex() == PARENT.split("-")[2]
    assert span.end_time_unix_nano - span.start_time_unix_nano == 250_000_000
    out = Exposition("andon_brain")
    await watched.tell(out)
    assert 'andon_brain_notifications_total{channel="email",result="sent"} 1\n' in out.text()
    assert 'andon_brain_notifications_total{channel="email",result="failed"} 1\n' in out.text()
