"""The memory of floods on the running group: learnt from two factories, told to a third.

Real PostgreSQL and NATS; the floods are simulated. The cloud is ended between an answer and its
telling, and the end is the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from factory_brain.adapters.postgres.incident_store import PgIncidentStore
from factory_brain.adapters.postgres.likeness_store import PgLikenessStore
from factory_brain.adapters.postgres.news_store import NewsStore
from factory_brain.application.flood_likeness import FloodLikenesses
from factory_brain.application.incidents.ports import Incident
from shared.clock import SystemClock
from shared.messages.codec import decode, encode
from shared.messages.control import Health
from shared.messages.floods import (
    KEY,
    FloodAnswer,
    FloodBag,
    SignedFloods,
    packed,
    unpacked,
)
from shared.postgres.pool import connect_pool
from shared.security import generate_key, load_private
from shared.web.dto_base import Text
from tests.support.cloud_world import NODE, Factory, Group, until
from tests.support.flood_world import (
    MINUTE,
    PATTERNS,
    STRANGE,
    Teller,
    alarms,
    over,
    points,
    record,
    remembered,
)

pytest_plugins = ("tests.support.cloud_fixtures",)
DAY = 24 * 60 * MINUTE


class Console:
    """The brain's side: its store, and what it reads of the group's bag over the real bus."""

    def __init__(self, factory: Factory, group: Group, pool: asyncpg.Pool) -> None:
        self.pool, self.said = pool, list[Any]()
        self.box = FloodLikenesses(
            "f1", factory.bus, SystemClock(), group.public, PgLikenessStore(pool),
            self.transaction,
        )  # fmt: skip

        self.news = NewsStore(pool, "two")

        async def told(changed: Any) -> None:
            self.said += changed.items

        self.box.on_change.append(told)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.pool.acquire() as connection, connection.transaction():
            yield connection

    async def knows(self, *incidents: str) -> None:
        store = PgIncidentStore(self.pool, SystemClock())
        for name in incidents:
            async with self.transaction() as tx:
                await store.put(tx, Incident(name))

    async def state(self, incident: str) -> str:
        await self.box.read()
        found = await self.box.of(incident)
        return "" if found is None else found.state


@pytest.fixture
async def console(factory: Factory, group: Group, brain_url: str) -> AsyncIterator[Console]:
    pool = await connect_pool(brain_url)
    await pool.execute("TRUNCATE flood_likeness, incident")
    # Two brains: what one of them commits is news to the other.
    await pool.execute(
        "INSERT INTO brain (name, boot, seen_at, attended, horn, life, address) "
        "SELECT n, n, now(), false, '[]', '', '' FROM unnest(ARRAY['one', 'two']) n"
    )
    made = Console(factory, group, pool)
    await made.news.begin()
    yield made
    await pool.execute("DELETE FROM brain")
    await pool.close()


async def beat(factory: Factory) -> None:
    now = SystemClock().now_ms()
    health = Health(
        source=NODE.source, epoch=factory.epoch, boot=factory.boot, mono=0, at=now, lanes={}
    )
    await factory.bus.publish(NODE.health, encode(health))


async def test_a_flood_is_named_by_what_other_factories_went_through(
    group: Group, factory: Factory, group_web: httpx.AsyncClient, console: Console
) -> None:
    cloud, now = group.cloud, SystemClock().now_ms()
    assert cloud is not None
    for site in ("p2", "p3"):
        await remembered(cloud, site, now - 300 * DAY)
    # Another tenant has seen the strange one often: that is nobody else's business.
    await cloud.tenants.add("north", Text(zh="北", en="North"), "t")
    rival = Teller(cloud, "rival")
    await rival.say((1, points("rival")))
    for n in range(16):
        at = now - (200 - n) * DAY
        cause, which = (("sabotage", STRANGE), ("valve", PATTERNS["valve"]))[n % 2]
        await rival.say(*over("rival", f"rival-{n}", at, cause, which, n))
    await cloud.tenants.give("rival", "north", "t")

    async def learnt() -> bool:
        return await group.db.fetchval("SELECT count(*) FROM flood_episode") == 56

    await until(learnt)

    begun = now - 200 * MINUTE
    known = alarms("f1", "known", begun, PATTERNS["pump"], 77)
    strange = alarms("f1", "strange", begun + 5 * DAY // 100, STRANGE, 78)
    strange_at = strange[0][0]
    # Floods of two processes of one factory; the group's classes are all that they share.
    told = points("f1")
    other = {
        name: [*place[:1], "R2", "LINE-2", *place[3:]] if name in
        {body.alarm for _, body in strange} else place  # type: ignore[union-attr]
        for name, place in told.points.items()
    }  # fmt: skip
    import msgspec

    cloud.floods.telling.tell = _never  # killed between the answer and its telling
    await console.knows("known", "strange")
    await beat(factory)
    await factory.say(
        msgspec.structs.replace(told, points=other), *(body for _, body in known + strange),
        record("f1", "known", begun, known)[1], record("f1", "strange", strange_at, strange)[1],
    )  # fmt: skip

    async def answered() -> bool:
        found = await group.db.fetchval("SELECT count(*) FROM flood WHERE settled AND goes_on")
        return found == 2

    await until(answered, 60)
    assert await console.state("known") == ""
    await group.stop()
    await group.start()
    cloud = group.cloud
    assert cloud is not None

    async def both() -> bool:
        states = [await console.state("known"), await console.state("strange")]
        return states == ["known", "unknown"]

    await until(both, 20)
    await another_brain(console)
    like = await console.box.of("known")
    assert like is not None
    assert like.nearest is not None
    assert like.nearest.cause == "pump"
    assert like.nearest.site in ("p2", "p3")
    assert (like.nearest.done[0].playbook, like.nearest.done[0].ok) == ("mend-pump", True)
    assert (like.nearest.words, like.nearest.took_min) == ("pump: 已更换", 90.0)
    assert like.nearest.cause_name == Text(zh="pump 坏了", en="pump broke")
    assert like.remembered == 40
    unlike = await console.box.of("strange")
    assert unlike is not None
    assert (unlike.why, unlike.nearest) == ("unlike", None)
    rows = await group.db.fetch(
        "SELECT nearest, others, complete FROM flood_answer WHERE site = 'f1' AND horizon > 0"
    )
    assert "rival" not in str([tuple(row) for row in rows])
    assert all(row["complete"] for row in rows)

    # What people find out afterwards: the answers are judged, and both floods are remembered.
    for name, at, held, cause in (
        ("known", begun, known, "pump"), ("strange", strange_at, strange, "lightning"),
    ):  # fmt: skip
        await factory.say(
            record("f1", name, at, held, revision=2, status="closed", cause=cause,
                   outcome="true", closed_at=now, returned_at=now)[1]
        )  # fmt: skip

    async def judged() -> dict[str, Any] | None:
        found = (await group_web.get("/api/group/floods/figures")).json()
        return found if found["judged"] == 2 else None

    found = await until(judged)
    assert (found["top1"], found["right_of_known"]) == (1.0, 1.0)
    assert (found["unknown_precision"], found["unknown_recall"]) == (1.0, 1.0)
    assert (found["remembered"], found["asked"]) == (58, 2)
    listed = (await group_web.get("/api/group/floods?site=f1")).json()["floods"]
    assert {each["incident"]: each["right"] for each in listed} == {
        "known": True, "strange": True,
    }  # fmt: skip
    path = "/api/group/floods?site=f1&incident=strange"
    [one] = (await group_web.get(path)).json()["floods"]
    assert (one["likeness"]["state"], one["likeness"]["nearest"]) == ("unknown", None)
    assert one["others"][0]["site"] in ("p2", "p3")  # what came near, for who wants to look
    await attacks(group, factory, console)


async def another_brain(console: Console) -> None:
    """What one brain took of the group's bag is told by the others to their consoles as well."""
    notes, _ = await console.news.read()
    assert {(n.kind, n.key) for n in notes if n.kind == "flood_likeness"} == {
        ("flood_likeness", "known"), ("flood_likeness", "strange"),
    }  # fmt: skip
    console.said.clear()
    await console.box.changed("known")
    await console.box.changed("of no such incident")
    assert [(each.incident, each.likeness.state) for each in console.said] == [("known", "known")]


async def _never() -> None:
    """Nothing is told."""


async def attacks(group: Group, factory: Factory, console: Console) -> None:
    """Nothing but the group's own newest answer about an incident of this factory is taken."""
    assert group.cloud is not None
    bucket = NODE.directive_bucket
    held = await factory.bus.bucket_get(bucket, KEY, "cloud")
    assert held is not None
    before = await console.box.of("known")
    newest = unpacked(decode(held, SignedFloods).payload, "f1")
    own = load_private(group.settings.release_key_file)
    thief_file = group.settings.release_key_file.with_name("thief")
    thief_file.write_bytes(generate_key()[0])
    thief = load_private(thief_file)
    far = SystemClock().now_ms() + DAY

    def bag(key: Any, *answers: FloodAnswer, site: str = "f1") -> bytes:
        payload = packed(FloodBag(site=site, answers=list(answers)))
        return encode(SignedFloods(payload=payload, signature=key.sign(payload)))

    def said(incident: str = "known", number: int = 99, **more: Any) -> FloodAnswer:
        usual: dict[str, Any] = {"state": "unknown", "why": "unlike", "at": 1, "expires_at": far}
        return FloodAnswer(incident=incident, number=number, **{**usual, **more})

    mine = next(each for each in newest.answers if each.incident == "known")
    big = FloodBag(site="f1", answers=[said(f"i{n}", why="x" * 9_000) for n in range(40)])  # type: ignore[arg-type]
    attempts = {
        "signed by another": bag(thief, said()),
        "for another site": bag(own, said(), site="f2"),
        "too large": encode(SignedFloods(payload=packed(big), signature=own.sign(packed(big)))),
        "too many": bag(own, *(said(f"i{n}") for n in range(51))),
        "an older answer": bag(own, said(number=mine.number - 1)),
        "the same number with other words": bag(own, said(number=mine.number)),
        "expired": bag(own, said(expires_at=1)),
        "of an incident that is not ours": bag(own, said("elsewhere")),
        "known without what it is like": bag(own, said(state="known", why="")),
        "twice": bag(own, said(), said(number=100)),
        "no figure": bag(own, said(trust=float("inf"))),
        "no bag": b"\x93\x01",
    }
    for name, data in attempts.items():
        await group.cloud.bus.bucket_put(bucket, KEY, data)

        async def there(wanted: bytes = data) -> bool:
            return await factory.bus.bucket_get(bucket, KEY, "cloud") == wanted

        await until(there)
        assert await console.box.read() == [], name
        assert await console.box.of("known") == before, name
    await group.cloud.bus.bucket_put(bucket, KEY, bag(own, said()))
    assert await until(console.box.read) == ["known"]
    assert await console.box.read() == []  # once
