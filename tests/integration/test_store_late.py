"""What comes late corrects history, and what still stands sounds, however late it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import factory_brain
from factory_brain.adapters.postgres.alarm_history import AlarmHistory
from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.application.ingest import Ingest
from factory_brain.domain.rows import Occurrence, sounds
from shared.alarm.states import AlarmState
from shared.clock import ManualClock
from shared.messages.bodies import AlarmTransition
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.postgres.receiver import FrameReceiver

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"
NOW, DAY_MS, HOUR_MS = 1_790_000_000_000, 86_400_000, 3_600_000


class World:
    """A brain's store; remembers what it was told."""

    def __init__(self, pool: Any) -> None:
        async def forward(*_: Any) -> None:
            return None

        async def told(occurrence: Occurrence, _: bool) -> None:
            self.told.append(occurrence)

        self.told: list[Occurrence] = []
        self.alarms, clock = AlarmStore(pool), ManualClock(NOW)
        self.history = AlarmHistory(pool)
        self.ingest = Ingest(clock, self.alarms, SampleStore(pool, clock), forward)
        self.ingest.receiver = FrameReceiver(pool, clock, self.ingest.apply)
        self.ingest.on_occurrence.append(told)
        self.seq = {"live": 0, "replay": 0}

    async def send(self, lane: str, version: int, kind: str, at: int, raised_at: int) -> None:
        active = kind != "returned"
        body = AlarmTransition(
            alarm="A", occurrence="o1", version=version, annunciated_version=1, kind=kind,
            annunciate=kind == "raised", settings_version=1, priority=2, asset="X", tag="T",
            state=AlarmState(raw=active, active=active, acked=False).to_dict(), source_time=at,
            receive_time=at, raised_at=raised_at,
        )  # fmt: skip
        self.seq[lane] += 1
        event = Event(id=f"{lane}-{self.seq[lane]}", type="alarm", time=at, body=body)
        await self.ingest.receive(
            Frame(
                source="f1.e1", epoch="e", lane=lane, first=self.seq[lane],
                events=[msgspec.Raw(encode(event))],
            )
        )  # fmt: skip


@pytest.fixture
async def world(brain_url: str) -> AsyncIterator[World]:
    await migrate(brain_url, MIGRATIONS)
    pool = await connect_pool(brain_url)
    yield World(pool)
    await pool.close()


async def test_a_raise_that_still_stands_sounds_however_late(world: World) -> None:
    await world.send("replay", 1, "raised", NOW - 2 * DAY_MS, NOW - 2 * DAY_MS)
    (merged,) = world.told
    assert merged.late
    assert sounds(merged)
    (listed,) = await world.alarms.open_occurrences()
    assert listed.raised_at == NOW - 2 * DAY_MS
    (day,) = await world.history.days(["A"], NOW - 9 * DAY_MS, NOW)
    assert (day.day, day.raised) == ((NOW - 2 * DAY_MS) // DAY_MS, 1)  # on the day it happened


async def test_a_late_raise_corrects_history_and_wakes_nobody(world: World) -> None:
    raised, returned = NOW - 3 * HOUR_MS, NOW - HOUR_MS
    await world.send("live", 2, "returned", returned, raised)  # its raise is still on its way
    await world.send("replay", 1, "raised", raised, raised)
    found = await world.alarms.get("o1")
    assert found is not None
    assert (found.raised_at, found.returned_at) == (raised, returned)
    assert not sounds(found)
    assert not any(sounds(each) for each in world.told)
    (row,) = await world.history.occurrences(["A"], NOW - DAY_MS, NOW)
    assert (row["raised_at"], row["returned_at"]) == (raised, returned)
