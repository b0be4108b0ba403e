"""A brain's store with its correlators and its incident desk, on a real PostgreSQL.

Used by the incidents' tests; events come through the real receiver.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec

from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.incident_reads import PgIncidentReads
from factory_brain.adapters.postgres.incident_store import PgIncidentStore
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.application.incidents.correlator import Correlator
from factory_brain.application.incidents.desk import By, IncidentDesk
from factory_brain.application.incidents.ports import Listed, Member
from factory_brain.application.incidents.rules import SiteRules
from factory_brain.application.ingest import Ingest
from shared.alarm.states import AlarmState
from shared.clock import ManualClock
from shared.messages.bodies import AlarmTransition
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from shared.paths import demo_sites
from shared.postgres.receiver import FrameReceiver
from shared.site.loader import load_site

NOW = 1_700_000_000_000
HIHI, ZONE2, DOOR = "FUR-01.TT-101.HIHI", "FUR-01.TT-102.HI", "FUR-01.DOOR"
ANNA = By("anna")


class World:
    """A brain's store, its correlators and its desk."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool, self.clock = pool, ManualClock(NOW)
        self.site = load_site(demo_sites() / "f1")
        self.alarms = AlarmStore(pool)

        async def forward(*_: Any) -> None:
            return None

        self.ingest = Ingest(self.clock, self.alarms, SampleStore(pool), forward)
        self.ingest.receiver = FrameReceiver(pool, self.clock, self.ingest.apply)
        self.store, self.reads = PgIncidentStore(pool, self.clock), PgIncidentReads(pool)
        self.rules = SiteRules(self.site)
        self.audited: list[tuple[Any, ...]] = []

        async def audit(
            tx: Any, /, at: int, actor: str, action: str, target: str, data: Any
        ) -> None:
            self.audited.append((at, actor, action, target, data))

        self.desk = IncidentDesk(self.site, self.rules, self.clock, self.store, audit)
        self.correlator = self.brain()
        self.seq: dict[str, int] = {}

    def brain(self) -> Correlator:
        """Another brain, or this one after a restart."""
        feed = Feed(self.pool, "incidents", begin="start")
        return Correlator(self.rules, self.clock, self.store, feed)

    async def send(self, *bodies: AlarmTransition, edge: str = "e1") -> None:
        first = self.seq.get(edge, 0) + 1
        self.seq[edge] = first + len(bodies) - 1
        events = [
            msgspec.Raw(encode(Event(id=f"{edge}-{first + i}", type=f"alarm.{b.kind}",
                                     time=b.source_time, body=b)))
            for i, b in enumerate(bodies)
        ]  # fmt: skip
        frame = Frame(source=f"f1.{edge}", epoch="ep", lane="live", first=first, events=events)
        await self.ingest.receive(frame)

    async def settle(self) -> None:
        while await self.correlator.round():
            pass

    async def members(self) -> dict[str, Member]:
        rows = await self.pool.fetch("SELECT DISTINCT incident FROM incident_member")
        found = await self.reads.members([row["incident"] for row in rows], 10_000)
        return {each.seen.occurrence: each for each in found}

    async def one(self, name: str) -> Listed:
        found = await self.reads.get(name)
        assert found is not None
        return found


def change(
    occurrence: str, at: int, alarm: str = HIHI, *, active: bool = True, acked: bool = False,
    version: int = 1, raised: int | None = None, asset: str = "FUR-01", priority: int = 2,
    **more: Any,
) -> AlarmTransition:  # fmt: skip
    kind = "raised" if version == 1 else "acknowledged" if active else "returned"
    return AlarmTransition(
        alarm=alarm, occurrence=occurrence, version=version, annunciated_version=1, kind=kind,
        annunciate=kind == "raised", settings_version=1, priority=priority, asset=asset,
        tag="TT-101", state=AlarmState(raw=active, active=active, acked=acked).to_dict(),
        source_time=NOW + at, receive_time=NOW + at,
        raised_at=NOW + (at if raised is None else raised), **more,
    )  # fmt: skip


def ended(occurrence: str, at: int, raised: int, alarm: str = HIHI) -> AlarmTransition:
    return change(occurrence, at, alarm, active=False, acked=True, version=9, raised=raised)


EMPTY = (
    "TRUNCATE occurrence, event, incident, incident_member, incident_entry, incident_join, "
    "watermark, feed_position, feed_consumer, source_epoch, told_upward, outbox, outbox_lane"
)
