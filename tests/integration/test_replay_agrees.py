"""What a replay says would have come of the journal is what the real triggers made of it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from factory_brain.adapters.postgres.replay_reads import PgReplayReads
from factory_brain.application.playbooks.authoring.replaying import Replaying
from tests.support.trigger_world import ALARM, TriggerWorld, trigger_world

STEPS = 25
KINDS = {
    "plain": (f"[{{id: t, alarm: {ALARM}}}]", "{key: alarm.asset}"),
    "for": (f"[{{id: t, alarm: {ALARM}, for: 4s}}]", "{key: alarm.asset}"),
    "where": (f"[{{id: t, alarm: {ALARM}, where: 'alarm.asset == \"A1\"'}}]", "{key: alarm.asset}"),
    "once": (
        f"[{{id: t, alarm: {ALARM}, throttle: {{once_within: 9s, by: alarm.asset}}}}]",
        "{key: alarm.asset}",
    ),
    "many": (
        f"[{{id: t, alarm: {ALARM}, throttle: {{accumulate_within: 20s, count: 3}}}}]", "{}",
    ),
    "after": (
        f"[{{id: t, alarm: {ALARM}, throttle: {{once_after: 6s, by: alarm.asset}}}}]",
        "{key: alarm.asset}",
    ),
    "beside": (f"[{{id: t, alarm: {ALARM}}}]", "{key: '\"one\"', mode: parallel, max: 2}"),
    "ignore": (f"[{{id: t, alarm: {ALARM}}}]", "{key: alarm.asset, on_conflict: ignore}"),
    "queued": (f"[{{id: t, alarm: {ALARM}}}]", "{key: alarm.asset, mode: queued, max: 3}"),
    "cleared": (f"[{{id: t, alarm: {ALARM}, transition: cleared}}]", "{key: alarm.occurrence}"),
}  # fmt: skip


@pytest.fixture
async def world(brain_url: str, tmp_path: Path) -> AsyncIterator[TriggerWorld]:
    async with trigger_world(brain_url, tmp_path) as made:
        yield made


async def _live(world: TriggerWorld, dice: random.Random) -> None:
    """Alarms come and go, runs end, second by second."""
    standing: dict[str, tuple[str, int]] = {}
    for number in range(STEPS):
        world.clock.advance(1_000)
        choice = dice.random()
        if choice < 0.5:
            name, asset = f"o-{number}", dice.choice(("A1", "A2"))
            at = world.clock.now_ms()
            standing[name] = (asset, at)
            await world.send(world.moved(name, asset=asset, raised_at=at))
        elif choice < 0.75 and standing:
            name = dice.choice(sorted(standing))
            asset, at = standing.pop(name)
            gone = world.moved(name, "returned", asset=asset, version=2, raised_at=at)
            await world.send(gone)
        elif runs := await world.runs("running"):
            await world.end(dice.choice(runs))
        await world.settle()


async def test_a_replay_of_the_same_text_says_what_really_happened(world: TriggerWorld) -> None:
    for kind in KINDS:
        await _agrees(world, kind)
        await world.clear()


async def _agrees(world: TriggerWorld, kind: str) -> None:
    dice = random.Random(f"replay {kind}")
    await world.book(*KINDS[kind])
    began = world.clock.now_ms()
    await _live(world, dice)
    for run in await world.runs("running"):
        world.clock.advance(1)
        await world.end(run)
    rows = await world.pool.fetch("SELECT id, outcome FROM trigger_fired")
    real = {row["id"]: row["outcome"] for row in rows}
    reads = PgReplayReads(world.pool)
    book = world.releases.books[0]
    found = await Replaying(world.site, world.releases, reads).ask(
        book, began, world.clock.now_ms() + 1
    )
    would = {line.would.id: line.would.outcome for line in found.lines if line.would}
    refused = {name for name, outcome in would.items() if outcome == "where"}
    assert kind != "where" or refused
    assert {name: o for name, o in would.items() if name not in refused} == real, kind
    assert len(real) >= 2, kind
