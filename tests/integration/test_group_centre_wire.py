"""The command centre over real NATS and PostgreSQL: mail both ways, incidents and fleet upward."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from factory_brain.adapters.postgres.mail_store import PgMailStore
from factory_brain.application.group_mail import GroupMail
from shared.alarm.shadow import bounds_data, setting_data, unit_step
from shared.clock import SystemClock
from shared.messages.bodies import (
    AlarmPoints,
    Body,
    DirectiveReport,
    FleetReport,
    IncidentRecord,
)
from shared.messages.codec import decode, encode
from shared.messages.directives import SignedDirective, read
from shared.messages.mail import KEY, GroupMessage, MailBag, SignedBag, packed
from shared.messages.subjects import Node
from shared.postgres.audit import audit
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.security import generate_key
from tests.support.cloud_world import E1, HI, NODE, Factory, Group, relay_of, until
from tests.support.migrated import MIGRATIONS
from tests.support.servers import PostgresForTests

pytest_plugins = ("tests.support.cloud_fixtures",)


@pytest.fixture(scope="module")
def brain_url(postgres: PostgresForTests) -> Iterator[str]:
    name = f"t_{secrets.token_hex(4)}"

    async def make() -> str:
        url = await postgres.create(name)
        await migrate(url, MIGRATIONS)
        return url

    yield asyncio.run(make())
    asyncio.run(asyncio.wait_for(postgres.drop(name), 20))


class LetterBox:
    """The brain's mail on a real store, whose receipts go up as the brain's events do."""

    def __init__(self, factory: Factory, group: Group, pool: Any) -> None:
        self.factory, self.pool, self.said = factory, pool, list[Body]()
        self.mail = GroupMail(
            "f1", factory.bus, SystemClock(), group.public, PgMailStore(pool),
            self.transaction, self.say, audit,
        )  # fmt: skip

    def transaction(self) -> Any:
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def begin() -> AsyncIterator[Any]:
            async with self.pool.acquire() as connection, connection.transaction():
                yield connection

        return begin()

    async def say(self, tx: Any, kind: str, body: Body) -> None:
        self.said.append(body)

    async def up(self) -> None:
        told, self.said = self.said, []
        if told:
            await self.factory.say(*told)


@pytest.fixture
async def box(factory: Factory, group: Group, brain_url: str) -> AsyncIterator[LetterBox]:
    pool = await connect_pool(brain_url)
    await pool.execute("TRUNCATE group_message")
    yield LetterBox(factory, group, pool)
    await pool.close()


async def test_a_message_reaches_the_desk_once_and_its_reply_comes_back(
    group: Group, factory: Factory, group_web: httpx.AsyncClient, box: LetterBox
) -> None:
    await factory.beat()
    await factory.say(IncidentRecord(
        site="f1", id="i1", revision=1, status="open", opened_at=1, priority=1, asset="FUR-01"
    ))  # fmt: skip
    report = FleetReport(site="f1", at=5, site_here="v2", edges=[
        {"edge": "e1", "online": True, "site_version": "v1", "site_desired": "v2",
         "clock_offset_ms": 12.5, "buffered": 3},
    ])  # fmt: skip
    await factory.say(report)
    await until(factory.all_committed)
    [shown] = (await group_web.get("/api/group/fleet")).json()["factories"]
    [edge] = shown["edges"]
    assert (edge["drifts"], edge["desired"], edge["clock_offset_ms"]) == (True, "v2", 12.5)
    [incident] = (await group_web.get("/api/group/incidents")).json()["items"]
    assert (incident["id"], incident["site"]) == ("i1", "f1")

    key = {"Idempotency-Key": "mail-0001"}
    body = {"site": "f1", "text": "降载 / reduce the load", "priority": 2}
    sent = (await group_web.post("/api/dispatch/messages", json=body, headers=key)).json()
    again = (await group_web.post("/api/dispatch/messages", json=body, headers=key)).json()
    assert sent["id"] == again["id"]
    assert await until(box.mail.read) == [sent["id"]]
    assert await box.mail.read() == []  # the same bag once more
    await box.up()

    async def status() -> str:
        [mine] = (await group_web.get("/api/dispatch/messages?site=f1")).json()["messages"]
        return f"{mine['status']}:{mine['reply']}"

    async def is_received() -> bool:
        return await status() == "received:"

    await until(is_received)
    for actor in ("ming", "li"):  # the second changes nothing
        assert await box.mail.acknowledge(sent["id"], actor, f"好的 {actor}")
    await box.up()

    async def is_answered() -> bool:
        return await status() == "acknowledged:好的 ming"

    await until(is_answered)
    kept = await group.db.fetch("SELECT actor FROM audit WHERE action LIKE 'desk_message%'")
    assert [row["actor"] for row in kept] == ["admin", "site:f1"]


async def test_a_push_reaches_the_edges_bucket_and_reports_per_node(
    group: Group, factory: Factory, group_web: httpx.AsyncClient
) -> None:
    relay = relay_of(factory, group)
    relaying = asyncio.create_task(relay.run())
    try:
        tuning = {
            "setting": setting_data(HI.setting), "side": HI.side, "unit": HI.unit,
            "bounds": bounds_data(HI.bounds, unit_step(HI)),
        }  # fmt: skip
        point = [HI.edge, HI.asset, "REHEAT", "furnace", HI.tag_class, HI.priority]
        told = AlarmPoints(
            site="f1", version="v", part=1, parts=1, points={HI.id: point}, tuning={HI.id: tuning}
        )
        await factory.say(told)
        await until(factory.all_committed)
        delay = HI.setting.on_delay_ms / 1000 + 1
        asked = {
            "asset_class": "furnace", "on_delay_s": delay, "policy": "direct", "reason": "chatter",
        }  # fmt: skip
        seen = (await group_web.post("/api/group/push/preview", json=asked)).json()
        assert (seen["nodes"], seen["refused"]) == ({"f1/e1": 1}, 0)
        key = {"Idempotency-Key": "push-0001"}
        body = asked | {"expect": seen["digest"]}
        begun = await group_web.post("/api/group/push", json=body, headers=key)
        assert begun.status_code == 201, begun.text
        path = f"/api/rollouts/{begun.json()['rollout']}"

        async def relayed() -> bool:
            results = (await group_web.get(path)).json()["results"]
            return [each["status"] for each in results] == ["relayed"]

        await until(relayed, 20)
        held = await factory.bus.bucket_get(E1.directive_bucket, "current", "f1")
        assert held is not None
        directive = read(decode(held, SignedDirective).payload)
        [setting] = directive.settings
        assert (setting.alarm, setting.on_delay_s) == (HI.id, delay)
        report = DirectiveReport(
            directive=directive.id, counter=directive.counter, status="applied", settings_version=2
        )
        await factory.say(report)

        async def applied() -> bool:
            results = (await group_web.get(path)).json()["results"]
            return [each["status"] for each in results] == ["applied"]

        await until(applied, 20)
    finally:
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)


async def test_what_the_group_did_not_sign_for_this_site_is_not_shown(
    group: Group, factory: Factory, box: LetterBox, tmp_path: Path
) -> None:
    from shared.security import load_private

    (tmp_path / "thief").write_bytes(generate_key()[0])
    thief, own = load_private(tmp_path / "thief"), load_private(group.settings.release_key_file)
    now = SystemClock().now_ms()

    def bag(key: Any, site: str = "f1", count: int = 1, expires: int = 60_000) -> bytes:
        messages = [
            GroupMessage(
                id=f"forged-{n}", text="evacuate", priority=1, author="x", at=now,
                expires_at=now + expires,
            )
            for n in range(count)
        ]  # fmt: skip
        payload = packed(MailBag(site=site, messages=messages))
        return encode(SignedBag(payload=payload, signature=key.sign(payload)))

    assert group.cloud is not None
    bucket = Node("f1", "brain").directive_bucket
    await group.cloud.bus.ensure_bucket(bucket)
    attacks = {
        "signed by another": bag(thief), "for another site": bag(own, "f2"),
        "too many": bag(own, count=51), "expired": bag(own, expires=-1), "no bag": b"\x93\x01",
    }  # fmt: skip
    for name, data in attacks.items():
        await group.cloud.bus.bucket_put(bucket, KEY, data)

        async def there(wanted: bytes = data) -> bool:
            return await factory.bus.bucket_get(bucket, KEY, "cloud") == wanted

        await until(there)
        assert await box.mail.read() == [], name
    await group.cloud.bus.bucket_put(bucket, KEY, bag(own))
    assert await until(box.mail.read) == ["forged-0"]  # the group's own is
    assert NODE.site == "f1"
