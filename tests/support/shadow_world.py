"""A brain's shadow counting on a real PostgreSQL: samples, nominated points, faults, labels.

Used by the tests of shadow counting; the way up is the real outbox, read back by the tests.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.partitions import Partitions
from factory_brain.adapters.postgres.rollups import Retention, Rollups
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.adapters.postgres.shadow_closings import ShadowClosings
from factory_brain.adapters.postgres.shadow_days import ShadowDays
from factory_brain.adapters.postgres.shadow_faults import ShadowFaults
from factory_brain.adapters.postgres.shadow_points import ShadowPoints
from factory_brain.application.outcomes import Outcomes
from factory_brain.application.ports import Transaction
from factory_brain.application.shadow import work
from factory_brain.application.shadow.closings import Closings
from factory_brain.application.shadow.counting import Plan, ShadowJob
from factory_brain.application.shadow.faults import FaultDesk
from factory_brain.application.shadow.full_rate import FullRate
from factory_brain.application.shadow.judging import Judging, Reach
from factory_brain.application.shadow.questions import Questions
from factory_brain.application.shadow.tasks import DayCount, FaultCount, Question
from factory_brain.domain.samples import Columns
from factory_brain.domain.shadow import DAY_MS, Signal
from shared.bus.memory_bus import MemoryBus, MemoryServer
from shared.clock import Clock
from shared.ids import uuid7
from shared.messages.bodies import Body
from shared.messages.codec import decode, encode
from shared.messages.envelope import Event
from shared.messages.nominations import Nomination
from shared.messages.subjects import LIVE, Node
from shared.postgres.audit import audit
from shared.postgres.outbox import PgOutbox
from tests.support.incident_world import EMPTY, NOW, World

HI, ZONE2 = "FUR-01.TT-101.HI", "FUR-01.TT-102.HI"
TODAY = NOW // DAY_MS
CLEAN = EMPTY + (
    ", fact, sample_raw, sample_minute, sample_hour, rollup_dirty, shadow_order, shadow_point, "
    "shadow_day, shadow_judged, plant_fault, outcome_told, alarm_setting, snippet"
)
B = TypeVar("B")


class Here:
    """Counts in this process: what runs in the other one is the same function."""

    def __init__(self) -> None:
        self.before: Callable[[], Awaitable[None]] | None = None
        self.asked = 0

    async def count_day(self, signal: Signal, questions: list[Question]) -> list[DayCount]:
        """See `work`."""
        self.asked += 1
        if self.before is not None:
            await self.before()
        return work.count_day(signal, questions)

    async def judge(
        self, signal: Signal, start: int, end: int, questions: list[Question]
    ) -> list[FaultCount]:
        """See `work`."""
        return work.judge(signal, start, end, questions)


class WayUp:
    """The brain's outbox, as `Uplink` fills it."""

    def __init__(self, outbox: PgOutbox, clock: Clock) -> None:
        self.outbox, self.clock = outbox, clock
        self.node = Node("f1", "brain")
        self.breaks = 0
        """How many more messages fail at the very end of their transaction."""

    async def fence(self, tx: Transaction) -> None:
        """One brain alone needs none."""

    async def say(self, tx: Transaction, kind: str, body: Body) -> None:
        """Send a new event of this factory with the transaction."""
        now = self.clock.now_ms()
        event = Event(id=uuid7(self.clock), type=kind, time=now, body=body)
        await self.outbox.append(tx, LIVE, now, encode(event))
        if self.breaks:
            self.breaks -= 1
            raise ConnectionError("the power went")


class Shadow:
    """The brain's parts of shadow counting around a `World`."""

    def __init__(self, world: World, outbox: PgOutbox | None = None) -> None:
        self.world, pool, clock = world, world.pool, world.clock
        self.site = world.site
        self.up = WayUp(outbox or PgOutbox(pool, "ep"), clock)
        self.samples = SampleStore(pool, clock)
        self.points, self.days = ShadowPoints(pool), ShadowDays(pool)
        self.faults = ShadowFaults(pool)
        self.here = Here()
        self.desk = FaultDesk(self.site, clock, self.faults, self.up, audit)
        self.outcomes = Outcomes(
            self.site.alarms, clock, world.alarms, self.samples, self.up, audit,  # type: ignore[arg-type]
        )  # fmt: skip
        self.outcomes.on_label.append(self.desk.on_label)
        over = ShadowClosings(pool, world.alarms)
        self.outcomes.run_of = over.run_of
        feed = Feed(pool, "closings", begin="start")
        self.closings = Closings(clock, feed, over, self.up, self.outcomes.unjudged)

    def job(self, *, days: int = 7, running_day: bool = False) -> ShadowJob:
        """The job, as it is after a start."""
        clock, site = self.world.clock, self.site
        questions = Questions(site.alarms, self.world.alarms)
        rate = FullRate("f1", site.tags, site.sources, cast(Any, MemoryBus(MemoryServer())), clock)
        plan = Plan("f1", 3600.0, days, 3, running_day)
        made = ShadowJob(
            plan, clock, self.points, self.days, questions, self.here, self.up, rate
        )  # fmt: skip
        reach = Reach("f1", days, 3)
        judging = Judging(
            reach, clock, site.assets, self.faults, self.days, questions, self.here, self.up
        )  # fmt: skip
        made.after.append(judging.round)
        return made

    async def nominate(self, *alarms: str, edge: str = "e1", **more: Any) -> None:
        """As accepted nominations do."""
        items = [Nomination(alarm=alarm, reason="worst", **more) for alarm in alarms]
        async with self.points.transaction() as tx:
            await self.points.replace(tx, edge, "group", items, self.world.clock.now_ms())

    async def store(
        self, tag: str, rows: list[tuple[int, float]], quality: int = 0
    ) -> list[tuple[int, float]]:
        """Store samples as ingest does, and summarise them."""
        columns = Columns.of((tag, at, value, quality) for at, value in rows)
        async with self.world.pool.acquire() as connection, connection.transaction():
            await self.samples.insert(connection, [columns])  # type: ignore[arg-type]
        await Rollups(self.world.pool, Partitions(self.world.pool), Retention()).samples()
        return rows

    async def said(self, kind: type[B]) -> list[B]:
        """All bodies of a kind that were sent up, in order."""
        rows = await self.world.pool.fetch("SELECT event FROM outbox ORDER BY seq")
        bodies = [decode(row["event"], Event).body for row in rows]
        return [body for body in bodies if isinstance(body, kind)]


def wandering(
    day: int, limit: float, seed: int = 1, step_ms: int = 60_000
) -> list[tuple[int, float]]:
    """A day of a signal that wanders about a limit."""
    dice, value, rows = random.Random(seed), limit, []
    for at in range(day * DAY_MS, (day + 1) * DAY_MS, step_ms):
        value += dice.gauss(0, 4) - 0.05 * (value - limit)
        rows.append((at, value))
    return rows
