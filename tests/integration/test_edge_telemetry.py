"""Samples beside the alarms on a real edge: snippets across a restart, full rate on request."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from shared.messages.bodies import AlarmTransition, SampleBatch, Snippet
from shared.messages.control import SampleAnswer, SampleRequest
from tests.support.edge_world import HIHI, NODE, SITE, Brain, Engine, World, ask, raised, until

pytest_plugins = ("tests.support.edge_fixtures",)
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def engine(servers: World, tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine whose snippets end two seconds after the raise."""
    folder = tmp_path / "e"
    folder.mkdir()
    made = Engine(folder, servers.url("f9-e9"))
    site = {**SITE["site.yaml"], "snippet": {"before": "30s", "after": "2s"}}
    (made.site / "site.yaml").write_text(yaml.safe_dump(site, allow_unicode=True))
    made.start()
    await made.ready()
    yield made
    made.kill()


def rows(batch: SampleBatch, tag: str) -> list[tuple[int, float]]:
    """(time, value) of one tag."""
    count = len(batch.qualities)
    tags = struct.unpack(f"<{count}i", batch.tags)
    times = struct.unpack(f"<{count}q", batch.times)
    values = struct.unpack(f"<{count}d", batch.values)
    return [
        (at, value) for index, at, value in zip(tags, times, values, strict=True)
        if batch.names[index] == tag
    ]  # fmt: skip


def snippets(above: Brain) -> list[Snippet]:
    return above.bodies(Snippet)


async def test_a_raise_takes_its_samples_along_at_full_rate_also_across_a_restart(
    above: Brain, engine: Engine
) -> None:
    await until(lambda: above.health, 15)
    quiet = [80 + i / 100 for i in range(20)]  # all within the deadband: none of it is reported
    for value in quiet:
        await engine.tell("s1", samples=[["TT-1", value]])
    await engine.tell("s1", samples=[["TT-1", 130]])
    alarm: AlarmTransition = await raised(above, HIHI)
    await engine.tell("s1", samples=[["TT-1", 131.25]])
    # A clean stop between the raise and the end of its time: the next run makes up for it.
    assert engine.stop() == 0
    assert not snippets(above)
    await asyncio.sleep(0.5)
    engine.start()
    await engine.ready()
    found = {s.alarm: s for s in await until(lambda: len(snippets(above)) >= 2 and snippets(above))}
    snippet = found[HIHI]
    assert (snippet.occurrence, snippet.raised_at) == (alarm.occurrence, alarm.raised_at)
    assert (snippet.since, snippet.until) == (alarm.raised_at - 30_000, alarm.raised_at + 2_000)
    assert snippet.truncated  # not all of its 30 s were seen by this run
    assert snippet.samples.names[0] == "TT-1"
    assert "SP-1" in snippet.samples.names  # the same asset's
    curve = rows(snippet.samples, "TT-1")
    assert [at for at, _ in curve] == sorted(at for at, _ in curve)
    assert {*quiet, 130.0, 131.25} <= {value for _, value in curve}
    assert all(snippet.since <= at <= snippet.until for at, _ in curve)
    reported = {v for batch in above.samples() for _, v in rows(batch, "TT-1")}
    assert not set(quiet[1:]) & reported
    await asyncio.sleep(1.5)
    occurrences = [s.occurrence for s in snippets(above)]
    assert len(occurrences) == len(set(occurrences))
    assert above.gapless()


async def test_the_factory_gets_a_tag_s_every_sample_for_a_time(
    above: Brain, engine: Engine
) -> None:
    await until(lambda: above.health, 15)

    async def wish(tag: str, ttl_ms: int) -> SampleAnswer:
        request = SampleRequest(id="r1", tag=tag, ttl_ms=ttl_ms)
        return await ask(above, NODE.sampling, request, SampleAnswer)

    assert (await wish("NO-1", 60_000)).code == "unknown_tag"
    answer = await wish("TT-1", 60_000)
    assert (answer.accepted, answer.ttl_ms) == (True, 60_000)
    for value in (80.01, 80.02, 80.03):  # within the deadband of 0.5
        await engine.tell("s1", samples=[["TT-1", value]])

    def seen(*wanted: float) -> bool:
        found = {v for batch in above.samples() for _, v in rows(batch, "TT-1")}
        return set(wanted) <= found

    await until(lambda: seen(80.01, 80.02, 80.03))
    assert (await wish("TT-1", 0)).accepted
    await engine.tell("s1", samples=[["TT-1", 80.04]])
    await engine.tell("s1", samples=[["TT-1", 80.05]])
    await engine.tell("s1", samples=[["TT-1", 95.0]])
    await until(lambda: seen(95.0))
    assert not seen(80.05)
