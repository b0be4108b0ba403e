"""The group, two factories and three edges in one process: real stores, relay and edge handlers.

Only the wire is a dictionary. Every commit and every put is a numbered point at which a process may
die; what it had in memory is then lost, what it had committed is not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_node.application.directive_handler import DirectiveHandler
from edge_node.application.records import Emit, PutMeta
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.settings_gate import Keys as EdgeKeys
from factory_brain.application.directive_relay import (
    UNDECIDED,
    DirectiveRelay,
    Keys,
    Plant,
    RelayEntry,
)
from group_cloud.adapters.postgres.plan_store import PlanStore
from group_cloud.adapters.postgres.record_store import RecordStore
from group_cloud.adapters.postgres.rollout_health import RolloutHealth
from group_cloud.adapters.postgres.rollout_store import ProposalStore, RolloutStore
from group_cloud.application.ports import ProposalRow
from group_cloud.application.reports import Reports
from group_cloud.application.rollout.desk import Begin, RolloutDesk
from group_cloud.application.rollout.drive import Drive, PlanStores
from group_cloud.application.rollouts import Dispatch, Stores
from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout_plan import Plan
from group_cloud.domain.rollout_policy import Policy
from group_cloud.domain.scope import Scope
from shared.alarm.point import Setting
from shared.clock import ManualClock
from shared.errors import Rejected
from shared.messages.bodies import DirectiveReport
from shared.messages.codec import decode
from shared.messages.directives import DRY_RUN, SETTINGS, SignedDirective, read
from shared.messages.subjects import Node
from shared.paths import demo_sites
from shared.postgres.audit import audit
from shared.site.loader import load_site

NOW = 1_700_000_000_000
SITES = {site: load_site(demo_sites() / site) for site in ("f1", "f2")}
EDGES = [("f1", "e1"), ("f1", "e2"), ("f2", "e3")]
GROUP = Ed25519PrivateKey.generate()
FACTORY = {site: Ed25519PrivateKey.generate() for site in SITES}
NEW = {
    ("f1", "e1", "FUR-01.TT-101.HI"): 1236.0,
    ("f1", "e1", "FUR-01.TT-102.HI"): 1246.0,
    ("f1", "e2", "CMP-01.TT-201.HI"): 106.0,
    ("f2", "e3", "LIN-01.TT-301.HI"): 86.0,
}
"""The change set: e2 is the canary line, e1 the rest of the canary factory, e3 all others."""
FAST = Policy(
    dwell_s={"shadow": 2, "canary_line": 3, "canary_factory": 3, "all": 3}, answer_s=30,
    min_coverage=0, watch_edges=False, expires_s=600, retry_s=2,
)  # fmt: skip
TABLES = (
    "rollout, rollout_plan, proposal, directive_counter, group_event, factory, shadow_count, "
    "shadow_verdict, fault"
)


class KilledError(Exception):
    """The process died here."""


class Fate:
    """Counts the points at which something may die, and lets it die at one of them."""

    def __init__(self) -> None:
        self.points: list[str] = []
        self.die_at = -1

    def pass_by(self, name: str) -> None:
        self.points.append(name)
        if len(self.points) - 1 == self.die_at:
            raise KilledError(name)


class Wire:
    """Buckets and notices of all tiers."""

    def __init__(self, fate: Fate) -> None:
        self.values: dict[tuple[str, str], bytes] = {}
        self.fate = fate

    async def bucket_get(self, bucket: str, key: str, domain: str) -> bytes | None:
        return self.values.get((bucket, key))

    async def bucket_put(self, bucket: str, key: str, value: bytes) -> None:
        self.fate.pass_by(f"before put {bucket}/{key}")
        self.values[bucket, key] = value
        self.fate.pass_by(f"after put {bucket}/{key}")

    async def ensure_bucket(self, bucket: str) -> None:
        return None

    async def publish(self, subject: str, data: bytes) -> None:
        return None

    async def subscribe(self, subject: str, handler: object) -> None:
        return None


class MortalRecords(RecordStore):
    """Transactions that may die before and after their commit."""

    def __init__(self, pool: asyncpg.Pool, fate: Fate) -> None:
        super().__init__(pool)
        self._fate = fate

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        async with super().transaction() as connection:
            yield connection
            self._fate.pass_by("before commit")
        self._fate.pass_by("after commit")


class Ledger:
    """A relay's store: what it has recorded outlives it."""

    def __init__(self, tell: Callable[[DirectiveReport], None], fate: Fate) -> None:
        self.entries: dict[tuple[str, int], RelayEntry] = {}
        self._tell, self._fate = tell, fate

    async def get(self, edge: str, counter: int) -> RelayEntry | None:
        return self.entries.get((edge, counter))

    async def newest(self, edge: str) -> RelayEntry | None:
        mine = [e for e in self.entries.values() if e.edge == edge]
        return max(mine, key=lambda e: e.counter, default=None)

    async def undecided(self) -> list[RelayEntry]:
        return [e for e in self.entries.values() if e.status in UNDECIDED]

    async def passed(self, edge: str) -> list[RelayEntry]:
        return [e for e in self.entries.values() if (e.edge, e.status) == (edge, "relayed")]

    async def newest_passed(self, edge: str) -> RelayEntry | None:
        return max(await self.passed(edge), key=lambda e: e.counter, default=None)

    async def superseded(self) -> frozenset[str]:
        return frozenset()

    async def record(self, entry: RelayEntry | None, report: DirectiveReport | None) -> bool:
        self._fate.pass_by("relay before commit")
        if entry is not None:
            known = self.entries.get((entry.edge, entry.counter))
            if known is not None and known.status not in UNDECIDED:
                return False
            self.entries[entry.edge, entry.counter] = entry
        if report is not None:
            self._tell(report)
        self._fate.pass_by("relay after commit")
        return True


class Disk:
    """An edge's journal: rows of one change are written together or not at all."""

    def __init__(self, tell: Callable[[DirectiveReport], None], fate: Fate) -> None:
        self.meta: dict[str, bytes] = {}
        self._tell, self._fate = tell, fate

    def write(self, rows: Any, *, urgent: bool = False) -> asyncio.Future[None]:
        self.keep(rows)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def keep(self, rows: Any) -> None:
        self._fate.pass_by("edge before commit")
        for row in rows:
            if isinstance(row, PutMeta):
                self.meta[row.key] = row.value
            elif isinstance(row, Emit) and isinstance(row.event.body, DirectiveReport):
                self._tell(row.event.body)
        self._fate.pass_by("edge after commit")

    async def durable(self, done: asyncio.Future[None], timeout_s: float) -> bool:
        return True


class Edge:
    """One edge: its real directive handler over a disk that outlives it."""

    def __init__(self, world: World, site: str, edge: str) -> None:
        self.world, self.node, self.online = world, Node(site, edge), True
        self.reports: list[DirectiveReport] = []
        self.applied: list[dict[str, float]] = []
        """Limits in force after each directive that was taken up."""
        self.disk = Disk(self._tell, world.fate)
        self.start()

    def _tell(self, report: DirectiveReport) -> None:
        said = {**{f: getattr(report, f) for f in report.__struct_fields__}, "edge": self.node.name}
        self.reports.append(report)
        if report.status == "applied":
            self.applied.append(self.limits())
        self.world.up.append((self.node.site, DirectiveReport(**said)))

    def start(self) -> None:
        definitions = [a for a in SITES[self.node.site].alarms.values() if a.edge == self.node.name]
        self.book = AlarmBook(definitions, str)
        keys = EdgeKeys(GROUP.public_key(), FACTORY[self.node.site].public_key())
        self.handler = DirectiveHandler(
            self.node, keys, self.book, self.disk, self.world.clock  # type: ignore[arg-type]
        )  # fmt: skip
        self.handler.recover(self.disk.meta)
        if rows := self.handler.interrupted():
            self.disk.keep(rows)

    def limits(self) -> dict[str, float]:
        """Alarm -> the limit that runs, of the alarms of the change set."""
        return {
            alarm: self.book.units[alarm].definition.setting.limit
            for site, edge, alarm in NEW if (site, edge) == (self.node.site, self.node.name)
        }  # fmt: skip

    async def look(self) -> None:
        values, bucket = self.world.wire.values, self.node.directive_bucket
        if (data := values.get((bucket, SETTINGS))) is not None:
            await self.handler.take(data)
        if (data := values.get((bucket, DRY_RUN))) is not None:
            await self.handler.rehearse(data)


async def all_sites(_: Scope) -> list[str] | None:
    return None


class World:
    """Everything; `turn` lets each part do what it can, once."""

    def __init__(self, pool: asyncpg.Pool, policy: Policy = FAST) -> None:
        self.pool, self.fate, self.clock = pool, Fate(), ManualClock(NOW)
        self.wire = Wire(self.fate)
        self.up: deque[tuple[str, DirectiveReport]] = deque()
        """What is on its way to the group, in outboxes that outlive their processes."""
        self.policies = {"fast": policy}
        self.edges = {edge: Edge(self, *edge) for edge in EDGES}
        self.ledgers = {
            site: Ledger(lambda report, site=site: self.up.append((site, report)), self.fate)
            for site in SITES
        }
        self.plan_id = ""
        self.deaths = 0
        self.start_cloud()
        self.start_relays()

    def start_cloud(self) -> None:
        records, rollouts = MortalRecords(self.pool, self.fate), RolloutStore(self.pool)
        stores = Stores(records, ProposalStore(self.pool), rollouts, audit)
        self.plans = PlanStore(self.pool)
        self.records = records
        self.dispatch = Dispatch(stores, self.wire, self.clock, GROUP.sign)  # type: ignore[arg-type]
        rolling = PlanStores(records, self.plans, rollouts, RolloutHealth(), audit)
        self.drive = Drive(rolling, self.dispatch, self.clock)
        self.desk = RolloutDesk(rolling, self.drive, self.clock, self.policies, "fast", all_sites)
        self.reports = Reports(self.clock, rollouts, audit)

    def start_relays(self) -> None:
        self.relays: dict[str, DirectiveRelay] = {}
        for site, loaded in SITES.items():
            edges = frozenset(edge.id for edge in loaded.info.edges)
            plant = Plant(site, edges, loaded.alarms, auto_approve=True)
            keys = Keys(GROUP.public_key(), FACTORY[site])
            self.relays[site] = DirectiveRelay(
                plant, self.wire, self.clock, keys, self.ledgers[site]  # type: ignore[arg-type]
            )  # fmt: skip

    async def begin(self, per_day: float | None = None) -> Plan:
        rows = [self.proposal(*place, limit, per_day) for place, limit in NEW.items()]
        async with self.records.transaction() as tx:
            plan = await self.desk.begin(tx, Begin(rows, "", "because", "li"))
        assert not isinstance(plan, Rejected), plan
        self.plan_id = plan.id
        return plan

    @staticmethod
    def proposal(
        site: str, edge: str, alarm: str, limit: float, per_day: float | None = None
    ) -> ProposalRow:
        old = SITES[site].alarms[alarm].setting
        new = Setting(limit, old.deadband, old.on_delay_ms, old.off_delay_ms)
        body = {"forecast": {"per_day": per_day}} if per_day is not None else {}
        return ProposalRow(
            f"p-{alarm}", Point(site, edge, alarm), "approved", NOW, old, new, "f", 3, body
        )

    async def turn(self, seconds: float = 1.0) -> None:
        """One second in the life of all tiers."""
        self.clock.advance(round(seconds * 1000))
        now = self.clock.now_ms()
        await self.pool.executemany(
            "INSERT INTO factory (site, names, active, unacked, edges_online, edges_total, events, "
            "last_seen) VALUES ($1, '{}', 0, 0, 1, 1, 0, $2) "
            "ON CONFLICT (site) DO UPDATE SET last_seen = $2",
            [(site, now) for site in SITES],
        )
        await self.mortal(self.drive.drive_all, self.start_cloud)
        await self.mortal(self.dispatch_all, self.start_cloud)
        for site in SITES:
            await self.mortal(lambda site=site: self.relays[site].relay_all(), self.start_relays)
        for edge in self.edges.values():
            if edge.online:
                await self.mortal(edge.look, edge.start)
        await self.mortal(self.receive, self.start_cloud)

    async def dispatch_all(self) -> None:
        await self.dispatch.send_unheard()

    async def mortal(self, work: Callable[[], Any], again: Callable[[], None]) -> None:
        """Do something; if it dies, start it anew with nothing but what was stored."""
        try:
            await work()
        except KilledError:
            self.deaths += 1
            again()

    async def receive(self) -> None:
        """The group takes reports; one is forgotten only once its transaction stands."""
        while self.up:
            site, report = self.up[0]
            async with self.records.transaction() as tx:
                await self.reports.take(tx, site, report)
            self.up.popleft()

    async def plan(self) -> Plan:
        plan = await self.plans.one(self.plan_id)
        assert plan is not None
        return plan

    async def until(self, *states: str, turns: int = 60) -> Plan:
        for _ in range(turns):
            plan = await self.plan()
            if plan.state in states:
                return plan
            await self.turn()
        plan = await self.plan()
        raise AssertionError(f"still {plan.state} ({plan.hold} {dict(plan.hold_params)})")

    def running(self) -> dict[str, float]:
        """Alarm -> the limit that runs."""
        return {a: v for edge in self.edges.values() for a, v in edge.limits().items()}

    def stored(self) -> dict[str, float]:
        """The same as each edge would have it after a start."""
        for edge in self.edges.values():
            edge.start()
        return self.running()

    async def raise_alarm(self, site: str, alarm: str, times: int) -> None:
        """The factory's journal tells of alarms, now."""
        now = self.clock.now_ms()
        await RecordStore(self.pool).partitions.make_ahead(now)
        rows = [
            (f"{site}.brain", "0" * 16, "live", now % 10**9 * 1000 + n, site, f"x{now}-{n}",
             "alarm.raised", now, now, alarm, f"o{now}-{n}", {"kind": "raised", "alarm": alarm})
            for n in range(times)
        ]  # fmt: skip
        async with RecordStore(self.pool).transaction() as tx:
            await RecordStore(self.pool).insert_events(tx, rows)

    def seen_by(self, site: str, edge: str) -> SignedDirective:
        """The directive that lies ready for an edge."""
        data = self.wire.values[Node(site, edge).directive_bucket, SETTINGS]
        return decode(data, SignedDirective)

    def kind_for(self, site: str, edge: str) -> str:
        return read(self.seen_by(site, edge).payload).kind


OLD = {alarm: SITES[site].alarms[alarm].setting.limit for site, _, alarm in NEW}
WANTED = {alarm: limit for (_, _, alarm), limit in NEW.items()}
