"""Attacks on the permission lists: a hub, a factory, two edges and a device, all real servers.

Each attack must get nothing and change nothing: the tests look at what the victim received and at
what its streams hold, not only at the error that the attacker saw.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import nats
import pytest
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeout

from shared.messages.subjects import Node
from tests.support.nats_world import (
    BRAIN,
    E1,
    E2,
    SETTLE_S,
    Overheard,
    World,
    running_world,
    state_of,
)  # fmt: skip

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All servers up, leaves joined, streams and buckets made."""
    with running_world(tmp_path_factory.mktemp("nats")) as running:
        yield running


# what must work


def test_edge_publishes_and_is_acknowledged(world: World) -> None:
    async def scenario() -> None:
        edge, factory = await world.connect("f1-e1", E1.inbox), await world.connect("f1")
        before = (await factory.jetstream().stream_info("EVENTS")).state.messages
        js = edge.jetstream()
        first = await js.publish(E1.lane("live"), b"frame", headers={"Nats-Msg-Id": "m1"})
        again = await js.publish(E1.lane("live"), b"frame", headers={"Nats-Msg-Id": "m1"})
        samples = await js.publish(E1.lane("history"), b"batch")
        assert (first.stream, first.domain, again.duplicate) == ("EVENTS", "f1", True)
        assert samples.stream == "SAMPLES"
        after = (await factory.jetstream().stream_info("EVENTS")).state.messages
        assert after == before + 1
        await edge.close()
        await factory.close()

    asyncio.run(scenario())


def test_brain_publishes_outcomes_to_the_group(world: World) -> None:
    async def scenario() -> None:
        brain = await world.connect("f1", BRAIN.inbox)
        ack = await brain.jetstream().publish(BRAIN.lane("live"), b"frame")
        assert (ack.stream, ack.domain) == ("EVENTS", "cloud")
        await brain.close()

    asyncio.run(scenario())


def test_requests_go_down_and_are_answered_inside_the_own_subtree(world: World) -> None:
    async def scenario() -> None:
        edge, factory = await world.connect("f1-e1", E1.inbox), await world.connect("f1")
        answers_: asyncio.Queue[bytes] = asyncio.Queue()

        async def answer(message: nats.aio.msg.Msg) -> None:
            await message.respond(b"did " + message.subject.encode())

        async def take(message: nats.aio.msg.Msg) -> None:
            await answers_.put(message.data)

        down = (E1.command, E1.fact, E1.lease, E1.committed, E1.directive)
        for subject in down:
            await edge.subscribe(subject, cb=answer)
        await edge.flush()
        await factory.subscribe(E1.reply("c1"), cb=take)
        await asyncio.sleep(SETTLE_S)
        for subject in down:
            await factory.publish(subject, b"go", reply=E1.reply("c1"))
            reply = await asyncio.wait_for(answers_.get(), 5)
            assert reply == b"did " + subject.encode()
        await edge.close()
        await factory.close()

    asyncio.run(scenario())


def test_edge_says_hello_and_health_and_reads_its_own_directive(world: World) -> None:
    async def scenario() -> None:
        edge, factory = await world.connect("f1-e1", E1.inbox), await world.connect("f1")
        heard = Overheard()

        async def welcome(message: nats.aio.msg.Msg) -> None:
            await message.respond(b"welcome")

        await factory.subscribe("andon.f1.*.hello", cb=welcome)
        await heard.listen(factory, "andon.f1.*.health")
        assert (await edge.request(E1.hello, b"hi", timeout=5)).data == b"welcome"
        await edge.publish(E1.health, b"well")
        await edge.flush()
        await asyncio.sleep(SETTLE_S)
        assert heard.messages == [(E1.health, b"well")]
        assert await _read_directive(edge, E1) == b"directive of e1"
        await edge.close()
        await factory.close()

    asyncio.run(scenario())


async def _read_directive(client: Client, node: Node) -> bytes | None:
    bucket = node.directive_bucket
    message = await client.jetstream(domain="f1").get_msg(
        f"KV_{bucket}", subject=f"$KV.{bucket}.current", direct=True
    )
    return message.data


# attacks by an edge

API_ATTACKS = [
    ("STREAM.INFO.EVENTS", {}),
    ("STREAM.NAMES", {}),
    ("STREAM.PURGE.EVENTS", {}),
    ("STREAM.DELETE.EVENTS", {}),
    ("STREAM.MSG.GET.EVENTS", {"seq": 1}),
    ("STREAM.MSG.DELETE.EVENTS", {"seq": 1}),
    ("DIRECT.GET.EVENTS", {"seq": 1}),
    ("STREAM.UPDATE.EVENTS", {"name": "EVENTS", "subjects": ["andon.f1.*.alarm.*"], "max_msgs": 1}),
    ("STREAM.CREATE.SPY", {"name": "SPY", "subjects": ["andon.f1.e2.>"]}),
    (
        "CONSUMER.CREATE.EVENTS",
        {"stream_name": "EVENTS", "config": {"deliver_subject": f"{E1.inbox}.x"}},
    ),
    (
        "CONSUMER.DURABLE.CREATE.EVENTS.spy",
        {"stream_name": "EVENTS", "config": {"durable_name": "spy", "ack_policy": "explicit"}},
    ),
    (f"STREAM.PURGE.KV_{E1.directive_bucket}", {}),
    (f"STREAM.INFO.KV_{E2.directive_bucket}", {}),
    (
        f"DIRECT.GET.KV_{E2.directive_bucket}",
        {"last_by_subj": f"$KV.{E2.directive_bucket}.current"},
    ),
    (f"DIRECT.GET.KV_{E2.directive_bucket}.$KV.{E2.directive_bucket}.current", None),
    ("ACCOUNT.INFO", None),
]


@pytest.mark.parametrize("domain", ["f1", "f1-e2", "cloud"])
@pytest.mark.parametrize(("call", "body"), API_ATTACKS)
def test_edge_cannot_use_the_stream_api_of_others(
    world: World, call: str, body: dict[str, object] | None, domain: str
) -> None:
    async def scenario() -> None:
        edge, factory = await world.connect("f1-e1", E1.inbox), await world.connect("f1")
        cloud = await world.connect("cloud")
        before = (await state_of(factory), await state_of(cloud))
        payload = b"" if body is None else json.dumps(body).encode()
        with pytest.raises((NatsTimeout, nats.errors.NoRespondersError)):
            await edge.request(f"$JS.{domain}.API.{call}", payload, timeout=SETTLE_S)
        assert (await state_of(factory), await state_of(cloud)) == before
        for client in (edge, factory, cloud):
            await client.close()

    asyncio.run(scenario())


FORGERIES = [
    E2.lane("live"), E2.lane("history"), E2.health, E2.hello, E2.reply("c1"), E2.command, E2.fact,
    E2.directive, E2.lease, E2.committed, E1.command, E1.lease, BRAIN.lane("live"), BRAIN.health,
    BRAIN.hello, f"$KV.{E1.directive_bucket}.current", f"$KV.{E2.directive_bucket}.current",
    "$JS.f1.API.$KV.directive_f1_e1.current", f"{E2.inbox}.x", "_INBOX.x", "dev.line1.telemetry",
    "notice.line1.command", "$MQTT.sub.x", "$SYS.REQ.SERVER.PING",
]  # fmt: skip


def test_edge_cannot_speak_as_another(world: World) -> None:
    async def scenario() -> None:
        edge, factory = await world.connect("f1-e1", E1.inbox), await world.connect("f1")
        other, cloud = await world.connect("f1-e2", E2.inbox), await world.connect("cloud")
        heard = Overheard()
        await heard.listen(factory, "andon.>", "dev.>", "notice.>", "_INBOX.>")
        await heard.listen(other, "andon.>", "dev.>", "notice.>", f"{E2.inbox}.>")
        await heard.listen(cloud, "andon.>")
        before = (await state_of(factory), await state_of(cloud))
        heard.messages.clear()
        for subject in FORGERIES:
            await edge.publish(subject, b"forged")
        await edge.flush()
        await asyncio.sleep(SETTLE_S)
        forged = [m for m in heard.messages if m[1] == b"forged"]
        assert forged == []
        assert (await state_of(factory), await state_of(cloud)) == before
        for client in (edge, factory, other, cloud):
            await client.close()

    asyncio.run(scenario())


FORGED_REPLIES = [
    E2.command, E2.lane("live"), BRAIN.lane("live"), f"$KV.{E2.directive_bucket}.current",
    "$JS.API.STREAM.PURGE.EVENTS", "$JS.API.STREAM.DELETE.EVENTS",
    "$JS.f1.API.STREAM.DELETE.EVENTS", f"$JS.API.STREAM.DELETE.KV_{E2.directive_bucket}",
]  # fmt: skip


@pytest.mark.parametrize("reply", FORGED_REPLIES)
def test_a_forged_reply_subject_borrows_no_rights(world: World, reply: str) -> None:
    """The server itself answers a publish or an absent key: with an empty body, if it can."""

    async def scenario() -> None:
        edge, factory = await world.connect("f1-e1", E1.inbox), await world.connect("f1")
        other = await world.connect("f1-e2", E2.inbox)
        heard = Overheard()
        await heard.listen(other, "andon.>")
        await heard.listen(factory, "andon.f1.e2.>", "$KV.>", "andon.f1.brain.>")
        before = await state_of(factory)
        absent = f"$JS.f1.API.DIRECT.GET.KV_{E1.directive_bucket}.$KV.{E1.directive_bucket}.absent"
        await edge.publish(absent, b"", reply=reply)
        await edge.publish(E1.hello, b"hi", reply=reply)
        await edge.publish(E1.lane("live"), b"real", reply=reply)
        await edge.flush()
        await asyncio.sleep(SETTLE_S)
        after = await state_of(factory)
        assert heard.messages == []
        assert set(after) == set(before)
        # The one real event of its own is all that was added.
        assert after["EVENTS"][:3] == (before["EVENTS"][0] + 1, 1, before["EVENTS"][2] + 1)  # type: ignore[index]
        assert {k: v for k, v in after.items() if k != "EVENTS"} == {
            k: v for k, v in before.items() if k != "EVENTS"
        }
        for client in (edge, factory, other):
            await client.close()

    asyncio.run(scenario())


def test_edge_overhears_nothing(world: World) -> None:
    async def scenario() -> None:
        edge, factory = (
            await world.connect("f1-e1", E1.inbox),
            await world.connect("f1", BRAIN.inbox),
        )
        other, cloud = await world.connect("f1-e2", E2.inbox), await world.connect("cloud")
        heard = Overheard()
        await heard.listen(edge, "andon.>", "$JS.>", "$KV.>", "_INBOX.>", f"{E2.inbox}.>", "dev.>")
        heard.messages.clear()
        await other.jetstream().publish(E2.lane("live"), b"secret")
        await other.publish(E2.health, b"secret")
        await other.publish("dev.line1.telemetry", b"secret")
        for subject in (E2.command, E2.fact, E2.lease, "andon.f1.e1.other", "_INBOX.y"):
            await factory.publish(subject, b"secret", reply=E2.reply("c1"))
        await factory.jetstream().publish(BRAIN.lane("live"), b"secret")
        await cloud.publish(BRAIN.command, b"secret")
        for client in (other, factory, cloud):
            await client.flush()
        await asyncio.sleep(SETTLE_S)
        assert [m for m in heard.messages if b"secret" in m[1]] == []
        for client in (edge, factory, other, cloud):
            await client.close()

    asyncio.run(scenario())


def test_factory_reaches_nothing_of_the_group_but_its_own(world: World) -> None:
    async def scenario() -> None:
        factory, cloud = await world.connect("f1", BRAIN.inbox), await world.connect("cloud")
        heard = Overheard()
        await heard.listen(cloud, "andon.>")
        before = await state_of(cloud)
        for call in ("STREAM.PURGE.EVENTS", "STREAM.DELETE.EVENTS", "STREAM.INFO.EVENTS"):
            with pytest.raises((NatsTimeout, nats.errors.NoRespondersError)):
                await factory.request(f"$JS.cloud.API.{call}", b"", timeout=SETTLE_S)
        for subject in (
            "andon.f2.brain.outcome.live",
            "andon.f2.brain.health",
            "andon.f1.e1.health",
        ):
            await factory.publish(subject, b"forged")
        await factory.flush()
        await asyncio.sleep(SETTLE_S)
        assert [m for m in heard.messages if m[1] == b"forged"] == []
        assert await state_of(cloud) == before
        await factory.close()
        await cloud.close()

    asyncio.run(scenario())
