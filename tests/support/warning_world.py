"""A factory's parts of early warning on a real PostgreSQL, and a made-up plant with a history.

Used by the tests of early warning. The plant is invented: six tags that go together, and faults in
which two of them drift away; nothing measured on it says anything of a real plant.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from factory_brain.adapters.postgres.partitions import Partitions
from factory_brain.adapters.postgres.rollups import Retention, Rollups
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.adapters.postgres.shadow_faults import ShadowFaults
from factory_brain.adapters.postgres.warning_reads import WarningReads
from factory_brain.adapters.postgres.warning_samples import WarningSamples
from factory_brain.adapters.postgres.warning_store import WarningStore
from factory_brain.application.fleet import FleetView
from factory_brain.application.live_view import LiveView
from factory_brain.application.shadow.faults import By, FaultDesk, Telling
from factory_brain.application.warning.alarms import WarningAlarms
from factory_brain.application.warning.judging import Judging
from factory_brain.application.warning.models import Trust, WarningModels
from factory_brain.application.warning.norms import Norms
from factory_brain.application.warning.view import WarningView
from factory_brain.application.warning.windows import Ground, WindowSender
from factory_brain.domain.samples import Columns
from factory_brain.domain.shadow import DAY_MS, HOUR_MS
from factory_brain.domain.warning import plants_of
from shared.alarm.warning_model import Relation, WarningModel, many_features
from shared.bus.port import Bus
from shared.clock import ManualClock
from shared.messages.bodies import Body
from shared.messages.warning import SignedWarning, WarningPush, canonical
from shared.paths import demo_sites
from shared.postgres.audit import audit
from shared.site.loader import load_site
from shared.web.sse import Broadcaster

SITE = load_site(demo_sites() / "f1")
PLANT = next(p for p in plants_of(SITE.tags, SITE.assets) if p.line == "REHEAT")
ASSET = SITE.tags[PLANT.tags[0]].asset
CAUSE = SITE.incidents.causes[0].id
STEP_MS = 120_000
COMMISSIONED, JUDGED = 4, 12
FAULT_H, AT_H = 5, 15
"""Each judged day has a fault of so many hours, which begins at this hour."""
MEAN, SIGMA = 100.0, 2.0


class LeaderLostError(Exception):
    """Another brain leads by now."""


@dataclass
class WayUp:
    """What the factory says to the group."""

    said: list[Body] = field(default_factory=list)
    deposed: bool = False

    async def fence(self, tx: Any) -> None:
        if self.deposed:
            raise LeaderLostError

    async def say(self, tx: Any, kind: str, body: Body) -> None:
        self.said.append(body)

    def taken(self) -> list[Body]:
        told, self.said = self.said, []
        return told


class Warns:
    """One brain's parts of early warning; another one on the same pool is its successor."""

    def __init__(
        self, pool: asyncpg.Pool, clock: ManualClock, release: Ed25519PublicKey, bus: Bus
    ) -> None:
        self.pool, self.clock, self.up = pool, clock, WayUp()
        self.rows = WarningStore(pool)
        self.reads = reads = WarningReads(pool)
        samples = WarningSamples(pool)
        self.live = LiveView(
            SITE.alarms, clock, Broadcaster(clock.now_ms), FleetView("f1", SITE.info.edges, clock)
        )
        ground = Ground(
            "f1", lambda: [PLANT], lambda: SITE.assets, clock, self.rows, reads, samples, self.up
        )
        norms = Norms(clock, self.rows, reads, samples, lambda: SITE.assets)
        self.alarms = WarningAlarms(clock, self.rows, audit, self.live)
        trust = Trust("f1", release, lambda: [PLANT])
        self.models = WarningModels(trust, bus, clock, self.rows, self.up, audit)
        self.sender, self.judging = WindowSender(ground, norms), Judging(ground, norms, self.alarms)
        self.view = WarningView(ground)
        self.faults = FaultDesk(SITE, clock, ShadowFaults(pool), self.up, audit)

    async def record(self, start: int, end: int) -> str:
        """A person records a fault that no alarm told."""
        told = Telling(ASSET, start, end, CAUSE, "seen on the line")
        found = await self.faults.record(told, By("wang"))
        assert not hasattr(found, "code"), found
        return found.id  # type: ignore[union-attr]

    async def early(self) -> list[Any]:
        """The list's rows of early warning."""
        return [row for row in self.live.snapshot().rows if row.alarm_class == "early_warning"]


class Invented:
    """A made-up plant: a common movement, own noise, and two tags that drift away in faults."""

    def __init__(self, last_day: int, seed: int = 4) -> None:
        self.first = last_day - COMMISSIONED - JUDGED
        self.last = last_day
        self.dice = random.Random(seed)
        self.faults = [
            (day * DAY_MS + AT_H * HOUR_MS, day * DAY_MS + (AT_H + FAULT_H) * HOUR_MS)
            for day in range(self.first + COMMISSIONED, last_day)
        ]

    async def store(self, pool: asyncpg.Pool, clock: ManualClock, until: int, drift: int) -> None:
        """The history up to `until`; from `drift` on it begins to go wrong, unrecorded."""
        store, rollups = SampleStore(pool, clock), Rollups(pool, Partitions(pool), Retention())
        common = 0.0
        for start in range(self.first * DAY_MS, until, DAY_MS):
            rows: list[tuple[str, int, float, int]] = []
            for at in range(start, min(start + DAY_MS, until), STEP_MS):
                common += self.dice.gauss(0, 0.15) - 0.02 * common
                away = self._away(at, drift)
                for place, tag in enumerate(PLANT.tags):
                    value = common + 0.4 * self.dice.gauss(0, 1) + (away if place < 2 else 0.0)
                    rows.append((tag, at, MEAN + SIGMA * value, 0))
            async with pool.acquire() as connection, connection.transaction():
                await store.insert(connection, [Columns.of(rows)])  # type: ignore[arg-type]
            await rollups.samples()

    def _away(self, at: int, drift: int) -> float:
        """In sigmas: a ramp of one an hour."""
        for start, end in self.faults:
            if start <= at < end:
                return 1.0 + (at - start) / HOUR_MS
        return (at - drift) / HOUR_MS if at >= drift else 0.0


def push(brain: Warns, **changes: Any) -> WarningPush:
    """A push that a factory takes, but for what is changed."""
    now = brain.clock.now_ms()
    usual: dict[str, Any] = {
        "id": f"push-{changes.get('counter', 1)}", "site": "f1", "counter": 1, "kind": "model",
        "plant": PLANT.key, "tags": list(PLANT.tags), "model": model(), "issued_at": now,
        "expires_at": now + DAY_MS, "approved_by": "zhao", "reason": "better",
    }  # fmt: skip
    return WarningPush(**{**usual, **changes})


def model(**changes: Any) -> dict[str, Any]:
    """A model that a factory takes, but for what is changed."""
    wide = many_features(len(PLANT.tags))
    many = len(PLANT.tags)
    relation = Relation(np.zeros(many), np.ones(many), np.eye(many))
    made = WarningModel(
        PLANT.tags, (relation, relation), np.zeros(wide), np.ones(wide), np.full(wide, 0.1), 0.0,
        1.0, 1.0, 0.0,
    )  # fmt: skip
    return {**made.to_dict(), **changes}


def signed(push: WarningPush, key: Ed25519PrivateKey) -> SignedWarning:
    """As it lies in the bag."""
    payload = canonical(push)
    return SignedWarning(payload=payload, signature=key.sign(payload))
