"""From the group's nominations to counts in its tables, over real NATS and two real databases."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import msgspec

from factory_brain.application.shadow.nominating import Nominating, Plant
from factory_brain.domain.shadow import DAY_MS
from group_cloud.adapters.postgres.shadow_store import ShadowStore
from group_cloud.domain.evidence import Point
from shared.alarm.excursions import count
from shared.alarm.grid import Grid
from shared.clock import SystemClock
from shared.ids import new_epoch
from shared.messages.bodies import AlarmPoints, FaultRecord, ShadowCounts, ShadowVerdicts
from shared.messages.codec import decode, encode
from shared.messages.nominations import KEY, SignedNominations, canonical, read
from shared.messages.subjects import CLOUD_DOMAIN, LIVE
from shared.outbox.drainer import Drainer
from shared.outbox.registration import register
from shared.postgres.audit import audit
from shared.postgres.outbox import PgOutbox
from shared.postgres.pool import connect_pool
from tests.support.cloud_world import NODE, SITE, Factory, Group, until
from tests.support.incident_world import World
from tests.support.migrated import migrated_url
from tests.support.shadow_world import CLEAN, HI, TODAY, ZONE2, Shadow, wandering
from tests.support.total_world import transition

__all__ = ["migrated_url"]
pytest_plugins = ("tests.support.cloud_fixtures",)
GRID = Grid("HI", (1.0, 2.0))


def points() -> AlarmPoints:
    told = {a: [d.edge, d.asset, "", "", d.tag_class, d.priority] for a, d in SITE.alarms.items()}
    return AlarmPoints(site="f1", version="v1", part=0, parts=1, points=told)


def counts(revision: int, first: int, **more: Any) -> ShadowCounts:
    plain = {
        "site": "f1", "edge": "e1", "alarm": "X.HI", "tag_class": "", "side": "HI", "unit": "",
        "day": TODAY, "since": TODAY * DAY_MS, "until": (TODAY + 1) * DAY_MS,
        "grid": GRID.to_dict(), "activations": struct.pack("<2i", first, 0),
        "standing": struct.pack("<2f", 0, 0), "revision": revision,
        "named": {"live": [float(first), 0.0]}, "coverage": 1.0,
        "engineer_only": [[TODAY * DAY_MS + 50, TODAY * DAY_MS + 90]], **more,
    }  # fmt: skip
    return ShadowCounts(**plain)


def fault(revision: int, **more: Any) -> FaultRecord:
    plain = {
        "site": "f1", "id": "x", "revision": revision, "asset": "FUR-01", "line": "REHEAT",
        "start": TODAY * DAY_MS + 10, "end": TODAY * DAY_MS + 70, "cause": "burner",
        "actor": "anna", "recorded_at": TODAY * DAY_MS + 99, **more,
    }  # fmt: skip
    return FaultRecord(**plain)


async def test_nominated_counted_and_kept(
    group: Group, factory: Factory, migrated_url: str
) -> None:
    assert group.cloud is not None
    pool = await connect_pool(migrated_url)
    await pool.execute(CLEAN)
    now = SystemClock().now_ms()
    floods = [
        transition(f"o{n}", 1, "raised", raised_at=now - n * 1000, alarm=HI)[1] for n in range(5)
    ]
    await factory.say(points(), *floods)
    await until(factory.all_committed)
    await group.cloud.nominator.nominate("f1")

    outbox, epoch = PgOutbox(pool, "b" + new_epoch()), "b" + new_epoch()
    outbox = PgOutbox(pool, epoch)
    shadow = Shadow(World(pool), outbox)
    plant = Plant("f1", ("e1", "e2"), SITE.alarms, 200)
    nominating = Nominating(
        plant, factory.bus, shadow.world.clock, group.public, shadow.points, audit
    )
    await nominating.take()
    [point] = await shadow.points.points()
    assert (point.alarm, point.edge, point.source, point.reason) == (HI, "e1", "group", "worst")

    limit = SITE.alarms[HI].setting.limit
    rows = [
        *await shadow.store("TT-101", wandering(TODAY - 2, limit, 1)),
        *await shadow.store("TT-101", wandering(TODAY - 1, limit, 2)),
    ]
    assert await shadow.job().round() == 2
    await register(factory.bus, NODE, outbox, SystemClock(), epoch=epoch, boot="bt")
    draining = asyncio.create_task(Drainer(NODE, outbox, factory.bus, (LIVE,)).run())
    try:
        store = ShadowStore(group.db)

        async def arrived() -> Any:
            return len(await store.counts(Point("f1", "e1", HI), 0)) == 2

        await until(arrived, 20)
    finally:
        draining.cancel()
    for day in await store.counts(Point("f1", "e1", HI), 0):
        straight = count(
            [at for at, _ in rows], [v for _, v in rows], day.grid, since=day.since, until=day.until
        )
        assert day.activations == straight.activations.astype("<i4").tobytes()
        assert sum(straight.activations) > 0
    journal = await group.db.fetchval(
        "SELECT count(*) FROM group_event WHERE type = 'shadow_counts'"
    )
    assert journal == 0, "a state, not history"
    await pool.close()


async def test_attacks_on_nominations(group: Group, factory: Factory, migrated_url: str) -> None:
    assert group.cloud is not None
    pool = await connect_pool(migrated_url)
    await pool.execute(CLEAN)
    shadow, cloud = Shadow(World(pool)), group.cloud
    plant = Plant("f1", ("e1", "e2"), SITE.alarms, 200)
    nominating = Nominating(
        plant, factory.bus, shadow.world.clock, group.public, shadow.points, audit
    )
    now, bucket = SystemClock().now_ms(), NODE.directive_bucket
    await factory.say(points(), transition("o", 1, "raised", raised_at=now, alarm=HI)[1])
    await until(factory.all_committed)
    await cloud.nominator.nominate("f1")
    await nominating.take()
    first = await factory.bus.bucket_get(bucket, KEY, CLOUD_DOMAIN)
    assert first is not None
    signed = decode(decode(first, dict[str, bytes])["e1"], SignedNominations)
    genuine = read(signed.payload)

    async def offered(value: bytes) -> list[str]:
        await cloud.bus.bucket_put(bucket, KEY, value)
        await nominating.take()
        await nominating.take()  # said once, however often it is read
        return sorted(each.alarm for each in await shadow.points.points())

    def bundle(payload: bytes, signature: bytes, edge: str = "e1") -> bytes:
        both = SignedNominations(payload=payload, signature=signature)
        return encode({edge: encode(both)})

    forged = canonical(
        msgspec.structs.replace(
            genuine, counter=99, items=[msgspec.structs.replace(genuine.items[0], alarm=ZONE2)]
        )
    )
    assert await offered(bundle(forged, signed.signature)) == [HI]
    assert await offered(bundle(forged, b"")) == [HI]
    assert await offered(bundle(signed.payload, signed.signature, "e2")) == [HI]
    assert await offered(b"\xc1") == [HI]
    assert nominating.refused == 4
    # The group nominates anew; what it said before is not taken a second time.
    cloud.nominator.trials = _one_trial
    await cloud.nominator.nominate("f1")
    second = await factory.bus.bucket_get(bucket, KEY, CLOUD_DOMAIN)
    assert second is not None
    assert await offered(second) == [HI, ZONE2]
    assert await offered(first) == [HI, ZONE2], "an older number"
    assert nominating.refused == 5
    trial = next(p for p in await shadow.points.points() if p.alarm == ZONE2)
    assert trial.candidate == SITE.alarms[ZONE2].setting
    # Left alone, its nominations run out, and the factory chooses by itself.
    shadow.world.clock.jump(genuine.expires_at + DAY_MS - shadow.world.clock.now_ms())
    assert await offered(second) == [HI, ZONE2], "what is nominated stays until there is better"
    at = shadow.world.clock.now_ms()
    await pool.execute(
        "INSERT INTO occurrence (occurrence, alarm, edge, transition, order_key, raised_at, "
        "received_at, late, open) VALUES ('w', 'FUR-01.TT-102.HI', 'e1', '{}', '', $1, $1, "
        "false, false)",
        at - 1,
    )
    await nominating.choose()
    assert [(p.alarm, p.source) for p in await shadow.points.points()] == [(ZONE2, "site")]
    refusals = await pool.fetchval(
        "SELECT count(*) FROM audit WHERE action = 'nominations_refused'"
    )
    assert refusals == nominating.refused == 6, "the last had run out"
    await pool.close()


async def _one_trial(site: str) -> dict[Any, Any]:
    from group_cloud.domain.nomination import Spot

    return {Spot("e1", ZONE2): SITE.alarms[ZONE2].setting}


async def test_the_newest_revision_wins_in_any_order_and_a_factory_speaks_of_itself_only(
    group: Group, factory: Factory
) -> None:
    store, day = ShadowStore(group.db), TODAY * DAY_MS
    verdict = ShadowVerdicts(
        site="f1", edge="e1", alarm="X.HI", fault="x", grid=GRID.to_dict(),
        delays=struct.pack("<2f", 5, -1), fault_revision=3, revision=9, coverage=1.0,
    )  # fmt: skip
    older = msgspec.structs.replace(verdict, revision=8, delays=struct.pack("<2f", 7, 7))
    frame = await factory.say(
        counts(20, 7), counts(10, 3), fault(3), fault(2, cause="older"), verdict, older,
        counts(99, 1, site="f2"), fault(9, site="f2"), counts(30, 9, activations=b"123"),
    )  # fmt: skip
    await factory.resend(frame, "again")
    await until(factory.all_committed)
    point = Point("f1", "e1", "X.HI")
    [kept] = await until(lambda: store.counts(point, 0))
    assert struct.unpack("<2i", kept.activations) == (7, 0)
    [known] = await store.faults("f1", 0)
    assert (known.revision, known.cause) == (3, "burner")
    [said] = await store.verdicts("f1", ["X.HI"], 0)
    assert struct.unpack("<2f", said.delays) == (5, -1)
    [hit] = await store.engineer_only_hits("f1", ["X.HI"], day)
    assert (hit.fault, hit.raised_at, hit.cleared_at) == ("x", day + 50, day + 90)
    assert await group.db.fetchval("SELECT count(*) FROM fault WHERE site <> 'f1'") == 0
    assert await group.db.fetchval("SELECT count(*) FROM shadow_count") == 1
    await factory.say(fault(4, withdrawn=True))
    await until(factory.all_committed)
    assert await store.faults("f1", 0) == []
    assert await store.engineer_only_hits("f1", ["X.HI"], day) == []
    assert await store.verdicts("f1", ["X.HI"], 0) == []
    await store.prune(day + 10 * DAY_MS)
    assert await group.db.fetchval("SELECT count(*) FROM fault") == 0
    assert await store.counts(point, 0) == []
