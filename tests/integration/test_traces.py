"""Traces from a sample to the screen, on a running edge and a running brain, to a real receiver."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import msgspec
import pytest

from factory_brain.bootstrap import Brain
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from tests.support import edge_world
from tests.support.brain_world import ALARM, EDGE, FakeEdge, log_in, transition, until
from tests.support.edge_world import HI
from tests.support.otlp import Collected, collector

pytest_plugins = ("tests.support.brain_fixtures", "tests.support.edge_fixtures")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collected]:
    with collector() as found:
        monkeypatch.setenv("ANDON_OTLP_ENDPOINT", found.url)
        yield found


async def test_an_edge_traces_what_it_evaluates_and_its_events_carry_the_context(
    collected: Collected, above: edge_world.Brain, engine: edge_world.Engine
) -> None:
    await engine.tell("s1", samples=[["TT-1", 110]])
    await edge_world.raised(above, HI)

    async def both() -> bool:
        return bool(collected.named("edge.evaluate") and collected.named("edge.outbox"))

    await until(both, 20)
    evaluated, outbox = collected.named("edge.evaluate")[0], collected.named("edge.outbox")[0]
    assert (outbox.trace_id, outbox.parent_span_id) == (evaluated.trace_id, evaluated.span_id)
    assert {a.key: a.value.string_value for a in evaluated.attributes}["andon.alarm"] == HI
    context = f"00-{evaluated.trace_id.hex()}-{evaluated.span_id.hex()}"
    traces = [each.trace for each in above.events.values() if getattr(each, "trace", "")]
    assert any(trace.startswith(context) for trace in traces)


async def test_the_brain_continues_the_trace_to_the_frame_on_the_screen(
    collected: Collected, brain: Brain, edge: FakeEdge, web: httpx.AsyncClient
) -> None:
    await log_in(web)

    async def watch() -> None:
        async with web.stream("GET", "/api/stream") as stream:
            async for line in stream.aiter_lines():
                if line == "event: delta":
                    return

    watching = asyncio.create_task(watch())

    async def watched() -> bool:
        return brain.broadcaster.viewers > 0

    await until(watched)
    body = transition(1, active=True, acked=False, kind="raised")
    event = Event(id="ev-1", type="alarm.raised", time=body.source_time, body=body, trace=PARENT)
    frame = Frame(
        source=EDGE.source, epoch="ep", lane="live", first=1, events=[msgspec.Raw(encode(event))]
    )
    await edge.bus.publish_durable(EDGE.lane("live"), encode(frame), frame.message_id)

    async def shown() -> bool:
        return bool(collected.named("brain.sse"))

    await until(shown, 20)
    await asyncio.wait_for(watching, 10)
    ingest, projection, sse = (
        collected.named(name)[0] for name in ("brain.ingest", "brain.projection", "brain.sse")
    )
    assert {span.trace_id.hex() for span in (ingest, projection, sse)} == {PARENT.split("-")[1]}
    assert ingest.parent_span_id.hex() == PARENT.split("-")[2]
    assert projection.parent_span_id == ingest.span_id
    assert sse.parent_span_id == projection.span_id
    assert ingest.start_time_unix_nano <= projection.start_time_unix_nano
    assert projection.start_time_unix_nano <= sse.start_time_unix_nano
    assert brain.ingest.recent.of("occ-1").split("-")[1] == PARENT.split("-")[1]
    about = {a.key: a.value.string_value for a in ingest.attributes}
    assert about == {"andon.alarm": ALARM}
