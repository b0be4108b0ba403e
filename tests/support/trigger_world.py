"""Triggers on a real database with a clock of the test's: events come through the real ingest.

Runs are made by the product's triggers and ended by the test's hand, where no engine is wanted.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

import factory_brain
from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.adapters.postgres.trigger_store import PgTriggerStore
from factory_brain.application.ingest import Ingest
from factory_brain.application.playbooks.releases import Releases
from factory_brain.application.playbooks.triggers import Triggers
from shared.alarm.states import AlarmState
from shared.clock import ManualClock
from shared.messages.bodies import AlarmTransition
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from shared.paths import demo_sites
from shared.playbook.loader import Loaded, digest_of
from shared.playbook.model import Playbook
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.postgres.receiver import FrameReceiver
from shared.site.loader import load_site
from shared.site.yaml_file import read_yaml

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"
ALARM = "FUR-01.TT-101.HIHI"
ACTIVE, CLEAR = {"raw": True, "active": True, "acked": False}, {"active": False, "acked": False}
BOOK = """
schema: playbook/v1
playbook: {name}
version: 1
name: {name}
triggers: {triggers}
concurrency: {concurrency}
{more}
steps:
  - {{id: said, log: hello}}
"""


def loaded(path: Path) -> Loaded:
    """A document as it is, without the checks of a release."""
    document = read_yaml(path)
    made = Playbook.model_validate(document)
    return Loaded(made, document, path.name, digest_of(made))


class Versions:
    """Keeps released documents in the real table."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def save_version(
        self, digest: str, playbook: str, version: int, doc: Any, at: int
    ) -> None:
        """Keep a released document."""
        await self._pool.execute(
            "INSERT INTO playbook_version (digest, playbook, version, semantics, document, at) "
            "VALUES ($1, $2, $3, 1, $4, $5) ON CONFLICT DO NOTHING",
            digest, playbook, version, doc, at,
        )  # fmt: skip


class TriggerWorld:
    """A brain's triggers, with as many brains as the test wants."""

    def __init__(self, pool: asyncpg.Pool, folder: Path) -> None:
        self.pool, self.folder, self.clock = pool, folder, ManualClock()
        self.alarms = AlarmStore(pool)
        self.site = load_site(demo_sites() / "f1")
        self.store = PgTriggerStore(pool)
        self.releases = Releases(self.site, Versions(pool), self.clock)
        self._seq = 0

        async def forward(*_: Any) -> None:
            return None

        self.ingest = Ingest(self.clock, self.alarms, SampleStore(pool), forward)
        self.ingest.receiver = FrameReceiver(pool, self.clock, self.ingest.apply)
        self.triggers = self.brain()

    def brain(self) -> Triggers:
        """Another brain, or this one after a restart."""
        feed = Feed(self.pool, "playbooks", begin="start")
        return Triggers(self.site, self.clock, self.store, self.releases, self.alarms, feed)

    async def book(self, triggers: str, concurrency: str = "{}", *, name: str = "b",
                   more: str = "") -> None:  # fmt: skip
        """Release a playbook of this."""
        path = self.folder / f"{name}.yaml"
        path.write_text(
            BOOK.format(name=name, triggers=triggers, concurrency=concurrency, more=more)
        )
        await self.releases.put(loaded(path))

    async def send(self, *bodies: Any, at: int | None = None) -> None:
        """Commit one frame of these, as an edge sent them."""
        now = self.clock.now_ms() if at is None else at
        first, events = self._seq + 1, []
        for body in bodies:
            self._seq += 1
            made = Event(id=f"ev-{self._seq}", type="alarm", time=now, body=body)
            events.append(msgspec.Raw(encode(made)))
        frame = Frame(source="f1.e1", epoch="ep", lane="live", first=first, events=events)
        await self.ingest.receive(frame)

    def moved(
        self, occurrence: str, kind: str = "raised", *, alarm: str = ALARM, at: int | None = None,
        version: int = 1, asset: str = "FUR-01", raised_at: int | None = None, **state: Any,
    ) -> AlarmTransition:  # fmt: skip
        """A transition of an alarm."""
        now = self.clock.now_ms() if at is None else at
        base = CLEAR if kind == "returned" else ACTIVE
        return AlarmTransition(
            alarm=alarm, occurrence=occurrence, version=version, annunciated_version=1, kind=kind,
            annunciate=True, settings_version=1, priority=1, asset=asset, tag="TT-101",
            side="HIHI", value=1291.5, limit=1280.0, unit="°C", source_time=now, receive_time=now,
            raised_at=now if raised_at is None else raised_at,
            returned_at=now if kind == "returned" else 0,
            state=dataclasses.replace(AlarmState(), **(base | state)).to_dict(),
        )  # fmt: skip

    async def settle(self, triggers: Triggers | None = None) -> None:
        """Rounds until nothing is left to do now."""
        for _ in range(50):
            if not await (triggers or self.triggers).round():
                return
        raise AssertionError("the triggers find no rest")

    async def runs(self, *statuses: str) -> list[str]:
        """Ids of runs, in the order of their starts."""
        rows = await self.pool.fetch(
            "SELECT r.id FROM run r JOIN trigger_fired f ON f.id = r.id "
            "WHERE cardinality($1::text[]) = 0 OR r.status = ANY($1) ORDER BY f.n",
            list(statuses),
        )
        return [row["id"] for row in rows]

    async def end(self, run: str, status: str = "success") -> None:
        """What the engine does at a run's end."""
        await self.pool.execute(
            "UPDATE run SET status = $2, ended_at = $3 WHERE id = $1",
            run, status, self.clock.now_ms(),
        )  # fmt: skip

    async def clear(self) -> None:
        """As if nothing had happened, with a new start of the edge."""
        await self.pool.execute(
            "TRUNCATE run, trigger_fired, trigger_held, trigger_window, trigger_seen, "
            "trigger_incident, occurrence, event, emitted, feed_position, feed_consumer"
        )
        self.triggers = self.brain()
        await self.triggers.round()  # stands at the journal's end from here on
        self.clock.advance(1_000)

    async def outcomes(self) -> dict[str, int]:
        """outcome -> how many firings came to it."""
        rows = await self.pool.fetch("SELECT outcome, count(*) AS n FROM trigger_fired GROUP BY 1")
        return {row["outcome"]: row["n"] for row in rows}


@contextlib.asynccontextmanager
async def trigger_world(url: str, folder: Path) -> AsyncIterator[TriggerWorld]:
    """A migrated database and one brain's triggers."""
    await migrate(url, MIGRATIONS)
    pool = await connect_pool(url, size=6)
    try:
        yield TriggerWorld(pool, folder)
    finally:
        await pool.close()
