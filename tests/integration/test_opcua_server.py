"""The brain's OPC UA server, spoken to by a client of the library's own, on a real brain."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asyncua import Client, ua

from factory_brain.bootstrap import Brain, opcua
from factory_brain.domain.rows import order_key
from shared.identity.policy import Grant
from shared.messages.bodies import AlarmTransition, Fact
from shared.opcua.nodes import node_id
from shared.opcua.waiting import FEW
from tests.support import opcua_contract as contract
from tests.support.brain_world import ALARM, FakeEdge, transition, until
from tests.support.edge_plants import free_port
from tests.support.opcua_clients import PASSWORD, REQUIRED, Seen, Served, connected
from tests.support.opcua_servers import server_certificate

pytest_plugins = ("tests.support.brain_fixtures",)
GONE, HI = "FUR-01.TT-101.STALE", "FUR-01.TT-101.HI"


def shelf(body: AlarmTransition, until_ms: int) -> AlarmTransition:
    state = {**body.state, "shelf": "T" if until_ms else "U", "shelved_until": until_ms or None}
    return msgspec.structs.replace(body, state=state)


def of_hi(body: AlarmTransition) -> AlarmTransition:
    return msgspec.structs.replace(body, alarm=HI, occurrence="occ-hi", side="HI", priority=2)


async def said(edge: FakeEdge, action: str) -> Fact:
    async def arrived() -> Any:
        return next((f for f in edge.facts if f.action == action), None)

    return await until(arrived)


@pytest.fixture
async def served(brain: Brain, edge: FakeEdge) -> Served:
    await brain.accounts.create("li", PASSWORD, [Grant("operator")])
    await brain.accounts.create("zhao", PASSWORD, [Grant("operator", "CMP-01")])
    url = f"opc.tcp://127.0.0.1:{free_port()}/andon"
    brain.settings = brain.settings.model_copy(update={"opcua_url": url, "opcua_anonymous": True})
    brain.opcua = server = await opcua.wire(brain)
    assert server is not None
    await asyncio.wait_for(server.listening.wait(), 20)

    async def come() -> None:
        await edge.send(transition(1, active=True, acked=False, kind="raised"))

    async def go() -> None:
        await edge.send(transition(2, active=False, acked=True, kind="returned"))

    return Served(url, ALARM, "FUR-01", "REHEAT", 900, "1291.5°C", GONE, come, go, come)


def not_safety(served: Served, brain: Brain, edge: FakeEdge) -> Served:
    """The same with an alarm that may be shelved from above."""

    async def come() -> None:
        await edge.send(of_hi(transition(1, active=True, acked=False, kind="raised")))

    async def shelved(held: bool) -> None:
        fact = await said(edge, "shelve" if held else "unshelve")
        assert fact.actor == "li"
        if held:
            assert (fact.args["ms"], fact.args["reason"]) == (60_000, "换传感器")
        kind = "shelved" if held else "unshelved"
        body = transition(2 if held else 3, active=True, acked=False, kind=kind)
        await edge.send(of_hi(shelf(body, brain.clock.now_ms() + 60_000 if held else 0)))

    return replace(served, alarm=HI, come=come, shelved=shelved)


async def test_conditions_are_told_refreshed_acknowledged_and_shelved(
    brain: Brain, edge: FakeEdge, served: Served
) -> None:
    await contract.browsed_told_and_refreshed(served)
    fact = await said(edge, "acknowledge")
    assert (fact.actor, fact.alarm, fact.args["comment"]) == ("li", ALARM, "去现场")
    await contract.shelved(not_safety(served, brain, edge))


async def test_rights_are_those_of_the_account_and_sessions_do_not_pile_up(
    brain: Brain, served: Served
) -> None:
    async with connected(served.url, "li") as li, connected(served.url, "zhao") as zhao:
        await li.listen()
        await served.come()
        raised = await li.told(ConditionName=ALARM, ActiveState_Id=True)
        assert await zhao.say("acknowledge", raised) == "BadUserAccessDenied"
        assert await zhao.shelve("OneShotShelve", raised) == "BadUserAccessDenied"
        await contract.kept_to_itself(served, li)
        for _ in range(3):
            await li.client.activate_session(username="li", password=PASSWORD)
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await li.client.activate_session(username="li", password="wrong")
        assert await sessions(brain, "li") == 1
        assert await li.shelve("OneShotShelve", raised) == "BadInvalidState"  # a safety alarm
        assert await li.say("acknowledge", raised) == "Good"  # with the newest of them
        await flooded(brain, li)
        await missed_and_reloaded(brain, li)

    async def none() -> bool:
        return await sessions(brain, "li") == 0

    assert await until(none)


async def sessions(brain: Brain, name: str) -> int:
    """How many web sessions an account has."""
    asked = "SELECT count(*) FROM web_session WHERE username = $1"
    return await brain.pool.fetchval(asked, name)


async def flooded(brain: Brain, li: Seen) -> None:
    """Each change is told while they fit, and the brain has its turns meanwhile."""
    server, newest = brain.opcua, await brain.alarms.newest(ALARM)
    assert server is not None
    assert newest is not None
    rests, many = server.pace.rests, FEW - 100
    for version in range(2, many):
        body = transition(version, active=True, acked=False, kind="re_alarmed")
        body = msgspec.structs.replace(body, value=2_000.0 + version)
        key = order_key(body, body.source_time, f"ev-{version}")
        server.changed(ALARM, replace(newest, transition=body, order_key=key))

    def shown() -> set[str]:
        texts = (each["Message"].Text for each in li.events if each.get("Message") is not None)
        return {text.split()[1].split("°")[0] for text in texts if text and " 2" in text}

    async def all_told() -> bool:
        return shown() == {str(2_000 + version) for version in range(2, many)}

    assert await until(all_told)
    assert server.pace.rests > rests


async def missed_and_reloaded(brain: Brain, li: Seen) -> None:
    """In a flood an alarm's newest state is told; one that left the site leaves the address space.

    Clients are asked to refresh then.
    """
    server, newest = brain.opcua, await brain.alarms.newest(ALARM)
    assert server is not None
    assert newest is not None
    for _ in range(FEW + 5):  # it never waits, so nothing is taken meanwhile
        server.changed(ALARM, newest)
    assert (server.waiting.coalesced, len(server.waiting)) == (5, FEW)
    before = len(li.events)
    kept = brain.site.alarms.pop(GONE)
    await li.told(before, EventType=REQUIRED)
    assert len(server.waiting) == 0
    node = li.client.get_node(node_id(f"alarm/{GONE}", await li.space()))
    with pytest.raises(ua.uaerrors.BadNodeIdUnknown):
        await node.read_browse_name()
    brain.site.alarms[GONE] = kept

    async def back() -> bool:
        try:
            return bool(await node.read_browse_name())
        except ua.uaerrors.BadNodeIdUnknown:
            return False

    assert await until(back)


async def test_with_a_certificate_nobody_speaks_in_the_clear(brain: Brain, tmp_path: Path) -> None:
    certificate, key = server_certificate(tmp_path)
    url = f"opc.tcp://127.0.0.1:{free_port()}/andon"
    brain.settings = brain.settings.model_copy(
        update={"opcua_url": url, "opcua_certificate_file": certificate, "opcua_key_file": key}
    )
    server = await opcua.wire(brain)
    assert server is not None
    await asyncio.wait_for(server.listening.wait(), 20)
    offered = await Client(url).connect_and_get_server_endpoints()
    assert {each.SecurityMode for each in offered} == {
        ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt,
    }  # fmt: skip
    with pytest.raises(ua.UaError):
        async with connected(url, "admin", "correct horse"):
            pass
    client = Client(url)
    client.set_user("admin")
    client.set_password("correct horse")
    await client.set_security_string(f"Basic256Sha256,SignAndEncrypt,{certificate},{key}")
    async with client:
        index = await client.get_namespace_index("urn:andon:alarms")
        condition = client.get_node(node_id(f"alarm/{ALARM}", index))
        assert (await condition.read_type_definition()) == node_id(ua.ObjectIds.AlarmConditionType)
