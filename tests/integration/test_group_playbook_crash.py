"""The group's drive is killed before and after every commit: the roll-out goes on, or goes back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from group_cloud.adapters.postgres.playbook_store import PlaybookStore
from group_cloud.adapters.postgres.record_store import RecordStore
from group_cloud.application.playbooks.desk import BookDesk
from group_cloud.application.playbooks.drive import BookDrive, Store
from group_cloud.domain.scope import ALL, Scope
from shared.clock import SystemClock
from shared.errors import Rejected
from shared.messages.bodies import PlaybookPushReport
from shared.messages.codec import decode
from shared.messages.playbook_push import PushBag, read
from shared.postgres.audit import audit
from shared.postgres.pool import connect_pool
from shared.web import dto_group_playbooks as dto
from tests.support.playbook_authors import book
from tests.support.servers import PostgresForTests

KEY = Ed25519PrivateKey.generate()
SITES = ["f1", "f2", "f3"]


class Killed(Exception):
    """The process is gone."""


class Buckets:
    """What lies in the factories' buckets."""

    def __init__(self) -> None:
        self.bags: dict[str, PushBag] = {}

    async def ensure_bucket(self, bucket: str) -> None:
        """It is there."""

    async def bucket_put(self, bucket: str, key: str, value: bytes) -> None:
        bag = decode(value, PushBag)
        for signed in bag.pushes:
            self.bags[read(signed.payload).site] = bag

    async def publish(self, subject: str, data: bytes) -> None:
        """Nobody listens here."""


@pytest.fixture(scope="module")
def url(postgres: PostgresForTests, cloud_template: str) -> Iterator[str]:
    name = f"t_{secrets.token_hex(4)}"
    yield asyncio.run(postgres.copy(cloud_template, name))
    asyncio.run(asyncio.wait_for(postgres.drop(name, owner=False), 20))


@pytest.fixture
async def pool(url: str) -> AsyncIterator[asyncpg.Pool]:
    made = await connect_pool(url, size=3)
    await made.execute(
        "TRUNCATE playbook_variant, playbook_rollout, playbook_push, factory CASCADE"
    )
    for site in SITES:
        await made.execute(
            "INSERT INTO factory (site, names, active, unacked, edges_online, edges_total, events) "
            "VALUES ($1, '{}', 0, 0, 0, 0, 0)",
            site,
        )
    yield made
    await made.close()


class Group:
    """The desk and a drive that dies at its n-th commit point."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool, self.bus, self.clock = pool, Buckets(), SystemClock()
        self.store = Store(RecordStore(pool), PlaybookStore(pool), audit)
        self.drive = self.started()

        async def sites(scope: Scope) -> list[str] | None:
            return None

        self.desk = BookDesk(self.store, self.drive, self.clock, KEY.sign, "key", sites)
        self.answered: set[str] = set()

    def started(self, dies_at: int = 0) -> BookDrive:
        bus: Any = self.bus
        made, left = BookDrive(self.store, bus, self.clock, KEY.sign), [dies_at]

        def at(_: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        made.at_commit = at
        return made

    async def begin(self, playbook: str) -> str:
        text = book(2).replace("playbook: noted", f"playbook: {playbook}")
        kept = await self.desk.add_variant(dto.VariantIn(text=text), "wu")
        assert not isinstance(kept, Rejected), kept
        made = await self.desk.begin(
            dto.PlaybookRolloutIn(
                playbook=playbook, version=2, sites=SITES, dwell_s=0, min_runs=0, reason="x"
            ),
            "wu", ALL,
        )  # fmt: skip
        assert not isinstance(made, Rejected), made
        await self.act(made.id, "approve")
        return made.id

    async def act(self, plan: str, action: Any) -> None:
        done = await self.desk.act(
            plan, dto.PlaybookRolloutAct(action=action, reason="x"), "lin", ALL
        )
        assert not isinstance(done, Rejected), done

    async def factories_answer(self) -> None:
        """Every factory takes what lies in its bag."""
        for site, bag in sorted(self.bus.bags.items()):
            for signed in bag.pushes:
                push = read(signed.payload)
                if push.id in self.answered:
                    continue
                self.answered.add(push.id)
                told = [(push.id, push.counter, "applied")]
                if push.kind == "rollback":
                    rows = await self.pool.fetch(
                        "SELECT counter FROM playbook_push WHERE id = $1", push.restores
                    )
                    told.insert(0, (push.restores, rows[0]["counter"], "rolled_back"))
                for name, counter, status in told:
                    report = PlaybookPushReport(
                        site=site, push=name, counter=counter, playbook=push.playbook,
                        status=status, version=2,
                    )  # fmt: skip
                    async with self.store.records.transaction() as tx:
                        await self.drive.take(tx, site, report, self.clock.now_ms())

    async def until_ended(self, plan: str, dies_at: int) -> tuple[str, int]:
        """The state it ends in, killed again and again at its n-th commit point."""
        deaths = 0
        for _ in range(60):
            drive = self.started(dies_at)
            try:
                await drive.drive_all()
                await drive.send()
            except Killed:
                deaths += 1
                dies_at += 1  # so that each life gets a little further
                continue
            await self.factories_answer()
            row = await self.pool.fetchrow(
                "SELECT state, ended FROM playbook_rollout WHERE id = $1", plan
            )
            assert row is not None
            if row["ended"]:
                return row["state"], deaths
        raise AssertionError("it never ends")


async def test_killed_at_every_commit_the_roll_out_ends_whole(pool: asyncpg.Pool) -> None:
    group, deaths = Group(pool), 0
    for dies_at in range(1, 6):
        plan = await group.begin(f"killed-{dies_at}")
        state, died = await group.until_ended(plan, dies_at)
        deaths += died
        assert state == "done"
        rows = await pool.fetch(
            "SELECT site, status FROM playbook_push WHERE rollout = $1 ORDER BY site", plan
        )
        assert [tuple(row) for row in rows] == [(site, "applied") for site in SITES]
        await group.act(plan, "roll_back")
        state, died = await group.until_ended(plan, dies_at)
        deaths += died
        assert state == "rolled_back"
        rows = await pool.fetch(
            "SELECT kind, status FROM playbook_push WHERE rollout = $1 ORDER BY kind, status", plan
        )
        assert [tuple(row) for row in rows] == (
            [("release", "rolled_back")] * 3 + [("rollback", "applied")] * 3
        )
    assert deaths >= 5
    numbers = await pool.fetch("SELECT site, count(*), max(counter) AS top FROM playbook_push "
                               "GROUP BY site")  # fmt: skip
    assert all(row["count"] == row["top"] for row in numbers)  # no number twice, none left out


async def test_reports_of_others_move_nothing(pool: asyncpg.Pool) -> None:
    group = Group(pool)
    plan = await group.begin("guarded")
    await group.drive.drive_all()
    await group.drive.send()
    row = await pool.fetchrow("SELECT id, counter FROM playbook_push WHERE rollout = $1", plan)
    assert row is not None
    for site, claims, counter in (("f2", "f1", 1), ("f2", "f2", 1), ("f1", "f1", 77)):
        report = PlaybookPushReport(
            site=claims, push=row["id"], counter=counter, playbook="guarded", status="applied"
        )
        async with group.store.records.transaction() as tx:
            await group.drive.take(tx, site, report, 1)
    status = await pool.fetchval("SELECT status FROM playbook_push WHERE id = $1", row["id"])
    assert status == "sent"


async def test_nobody_begins_what_does_not_hold(pool: asyncpg.Pool) -> None:
    group = Group(pool)
    await group.begin("busy")

    async def refused(**changes: Any) -> str:
        wanted = {"playbook": "busy", "version": 2, "sites": ["f1"], "reason": "x", **changes}
        found = await group.desk.begin(dto.PlaybookRolloutIn(**wanted), "wu", ALL)
        assert isinstance(found, Rejected)
        return found.code

    assert await refused() == "playbook_in_rollout"
    assert await refused(version=3) == "unknown_variant"
    assert await refused(sites=["f9"]) == "unknown_site"
    assert await refused(inputs={"limit_c": 1150}) == "version_or_inputs"
    assert await refused(version=None, inputs={"limit_c": 1}) == "input_outside_bounds"
    bad = await group.desk.add_variant(dto.VariantIn(text="x: 1"), "wu")
    assert isinstance(bad, Rejected)
    assert bad.code == "playbook_has_errors"


async def test_an_alias_of_the_proposer_does_not_approve(pool: asyncpg.Pool) -> None:
    group = Group(pool)
    text = book(2).replace("playbook: noted", "playbook: alias")
    await group.desk.add_variant(dto.VariantIn(text=text), "wu")
    made = await group.desk.begin(
        dto.PlaybookRolloutIn(playbook="alias", version=2, sites=["f1"], reason="x"), "wu", ALL
    )
    assert not isinstance(made, Rejected), made
    for alias in ("wu", "Wu@works.example", "wu-admin"):
        done = await group.desk.act(
            made.id, dto.PlaybookRolloutAct(action="approve", reason="x"), alias, ALL
        )
        assert isinstance(done, Rejected), alias
        assert done.code == "own_playbook_rollout"


async def test_only_the_group_itself_keeps_versions_for_everybody(pool: asyncpg.Pool) -> None:
    group = Group(pool)
    text = book(2).replace("playbook: noted", "playbook: foreign")
    done = await group.desk.add_variant(dto.VariantIn(text=text), "x", Scope(frozenset({"a"})))
    assert isinstance(done, Rejected)
    assert done.code == "not_allowed"
    assert await group.store.rows.variant("foreign") is None


async def test_a_push_that_is_not_yet_marked_sent_lies_in_no_bag(pool: asyncpg.Pool) -> None:
    """Its answer would mean nothing, and it could be withdrawn after it was read."""
    group = Group(pool)
    await group.begin("marked")
    await group.drive.drive_all()
    await group.drive._put("f1")  # as while another site's push was being sent
    assert [bag.pushes for bag in group.bus.bags.values()] == []
    await group.drive.send()
    assert len(group.bus.bags["f1"].pushes) == 1
