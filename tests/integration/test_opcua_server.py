"""The brain's OPC UA server, spoken to by a client of the library's own, on a real brain."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from factory_brain.adapters.opcua_nodes import METHODS, node_id
from factory_brain.adapters.opcua_server import QUEUE
from factory_brain.bootstrap import Brain, opcua
from shared.identity.policy import Grant
from tests.support.brain_world import ALARM, FakeEdge, transition, until
from tests.support.edge_plants import free_port
from tests.support.opcua_servers import server_certificate

pytest_plugins = ("tests.support.brain_fixtures",)
START, END, REQUIRED = (
    node_id(getattr(ua.ObjectIds, f"Refresh{each}EventType"))
    for each in ("Start", "End", "Required")
)
CALLS = {action: method for method, action in METHODS.items()}
FIELDS = (
    "EventId", "EventType", "SourceName", "Message", "Severity", "ConditionName", "Retain",
    "ActiveState/Id", "AckedState/Id", "EnabledState/Id", "Comment", "ClientUserId",
)  # fmt: skip
PASSWORD = "long enough to be one"


class Seen:
    """What one client has been told."""

    def __init__(self, client: Client) -> None:
        self.client, self.events = client, []
        self.subscription: Any = None

    def event_notification(self, event: Any) -> None:
        self.events.append(vars(event))

    async def listen(self, node: Any = ua.ObjectIds.Server, where: Any = None) -> None:
        clauses = [
            ua.SimpleAttributeOperand(
                TypeDefinitionId=node_id(ua.ObjectIds.AlarmConditionType),
                BrowsePath=[ua.QualifiedName(part) for part in name.split("/")],
                AttributeId=ua.AttributeIds.Value,
            )
            for name in FIELDS
        ]
        clauses.append(
            ua.SimpleAttributeOperand(
                TypeDefinitionId=node_id(ua.ObjectIds.ConditionType),
                AttributeId=ua.AttributeIds.NodeId,
            )
        )
        chosen = ua.EventFilter(SelectClauses=clauses, WhereClause=where or ua.ContentFilter())
        self.subscription = await self.client.create_subscription(100, self)
        await self.subscription.subscribe_events(self.client.get_node(node), evfilter=chosen)

    async def told(self, since: int = 0, **wanted: Any) -> dict[str, Any]:
        fields = {name.replace("_", "/"): value for name, value in wanted.items()}

        async def found() -> Any:
            for event in self.events[since:]:
                if all(event.get(name) == value for name, value in fields.items()):
                    return event
            return None

        return await until(found)

    async def refresh(self) -> list[dict[str, Any]]:
        before = len(self.events)
        await self.client.get_node(ua.ObjectIds.ConditionType).call_method(
            node_id(ua.ObjectIds.ConditionType_ConditionRefresh),
            ua.Variant(self.subscription.subscription_id, ua.VariantType.UInt32),
        )
        await self.told(before, EventType=END)
        kinds = [each["EventType"] for each in self.events[before:]]
        first, last = kinds.index(START), kinds.index(END)
        return self.events[before:][first + 1 : last]

    async def say(self, action: str, event: dict[str, Any], text: str = "") -> str:
        """The name of the status code that answers it."""
        arguments = [
            ua.Variant(event["EventId"], ua.VariantType.ByteString),
            ua.Variant(ua.LocalizedText(text), ua.VariantType.LocalizedText),
        ]
        try:
            await self.client.get_node(event["NodeId"]).call_method(CALLS[action], *arguments)
        except ua.UaStatusCodeError as error:
            return type(error).__name__
        return "Good"


@contextlib.asynccontextmanager
async def connected(url: str, name: str = "", password: str = PASSWORD) -> AsyncIterator[Seen]:
    client = Client(url, timeout=5)
    if name:
        client.set_user(name)
        client.set_password(password)
    async with client:
        yield Seen(client)


@pytest.fixture
async def served(brain: Brain) -> str:
    await brain.accounts.create("li", PASSWORD, [Grant("operator")])
    await brain.accounts.create("zhao", PASSWORD, [Grant("operator", "CMP-01")])
    url = f"opc.tcp://127.0.0.1:{free_port()}/andon"
    brain.settings = brain.settings.model_copy(update={"opcua_url": url, "opcua_anonymous": True})
    brain.opcua = server = await opcua.wire(brain)
    assert server is not None
    await asyncio.wait_for(server.listening.wait(), 20)
    return url


async def test_conditions_are_told_refreshed_and_acknowledged(
    brain: Brain, edge: FakeEdge, served: str
) -> None:
    async with connected(served, "li") as li, connected(served) as guest:
        await li.listen()
        space = await li.client.get_namespace_index("urn:andon:alarms")
        of_type = ua.ContentFilterElement(
            FilterOperator=ua.FilterOperator.OfType,
            FilterOperands=[ua.LiteralOperand(ua.Variant(node_id(ua.ObjectIds.ConditionType)))],
        )
        await guest.listen(node_id("asset/REHEAT", space), ua.ContentFilter([of_type]))
        await edge.send(transition(1, active=True, acked=False, kind="raised"))
        raised = await li.told(ConditionName=ALARM, ActiveState_Id=True)
        assert raised["AckedState/Id"] is False
        assert raised["Retain"] is True
        assert (raised["Severity"], raised["SourceName"]) == (900, "FUR-01")
        assert "1291.5°C" in raised["Message"].Text
        assert raised["Message"].Locale == "zh-CN"
        assert raised["NodeId"] == node_id(f"alarm/{ALARM}", space)
        # an area's own listener hears it too, filtered by a type above; another area's does not
        assert (await guest.told(ConditionName=ALARM))["EventId"] == raised["EventId"]
        node = li.client.get_node(raised["NodeId"])
        active = await node.get_child(["0:ActiveState", "0:Id"])
        assert await active.read_value() is True
        # a refresh tells what is of interest, to the one who asked
        (again,) = await li.refresh()
        assert (again["EventId"], again["ConditionName"]) == (raised["EventId"], ALARM)
        (also,) = await guest.refresh()
        assert also["EventId"] == raised["EventId"]
        await refused(served, guest, raised)
        assert await li.say("acknowledge", {**raised, "EventId": b"nothing"}) == (
            "BadEventIdUnknown"
        )
        assert await li.say("comment", raised) == "BadInvalidArgument"
        assert await li.say("comment", raised, "看过了") == "Good"
        spoken = await guest.told(ConditionName=ALARM, ClientUserId="li")
        assert spoken["Comment"].Text == "看过了"
        assert spoken["EventId"] != raised["EventId"]
        # an earlier event of the same announcement still answers it; the edge is told who spoke
        assert await li.say("acknowledge", raised, "去现场") == "Good"
        acked = await guest.told(ConditionName=ALARM, AckedState_Id=True)
        assert (acked["ClientUserId"], acked["Comment"].Text) == ("li", "去现场")
        assert await li.say("acknowledge", acked) == "BadConditionBranchAlreadyAcked"

        async def arrived() -> Any:
            return next((f for f in edge.facts if f.action == "acknowledge"), None)

        fact = await until(arrived)
        assert (fact.actor, fact.alarm, fact.args["comment"]) == ("li", ALARM, "去现场")
        # gone and acknowledged: of no more interest
        await edge.send(transition(2, active=False, acked=True, kind="returned"))
        await li.told(ConditionName=ALARM, Retain=False)
        assert await li.refresh() == []
        await missed_and_reloaded(brain, li)


async def refused(url: str, guest: Seen, raised: dict[str, Any]) -> None:
    """Nobody acknowledges without an account, or where the account has no right."""
    assert await guest.say("acknowledge", raised) == "BadUserAccessDenied"
    async with connected(url, "zhao") as zhao:
        assert await zhao.say("acknowledge", raised) == "BadUserAccessDenied"
        # nobody else's subscription is refreshed, and nobody writes
        zhao.subscription = guest.subscription
        with pytest.raises(ua.uaerrors.BadSubscriptionIdInvalid):
            await zhao.refresh()
        number = guest.subscription.subscription_id
        with pytest.raises(ua.uaerrors.BadSubscriptionIdInvalid):
            await zhao.client.uaclient.delete_subscriptions([number])
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await zhao.client.uaclient.transfer_subscriptions(
                ua.TransferSubscriptionsParameters(SubscriptionIds=[number])
            )
        with pytest.raises(ua.UaError):
            await zhao.client.nodes.server.write_attribute(
                ua.AttributeIds.DisplayName, ua.DataValue(ua.Variant(ua.LocalizedText("mine")))
            )
    with pytest.raises(ua.uaerrors.BadUserAccessDenied):
        async with connected(url, "li", "wrong"):
            pass


async def missed_and_reloaded(brain: Brain, li: Seen) -> None:
    """What no longer fits is counted; an alarm that has left the site leaves the address space.

    Clients are asked to refresh both times.
    """
    server, newest = brain.opcua, await brain.alarms.newest(ALARM)
    assert server is not None
    assert newest is not None
    before = len(li.events)
    for _ in range(QUEUE + 5):  # it never waits, so nothing is taken meanwhile
        await server.on_occurrence(newest, False)
    assert server.overflowed == 5
    await li.told(before, EventType=REQUIRED)
    gone = "FUR-01.TT-101.STALE"
    before = len(li.events)
    kept = brain.site.alarms.pop(gone)
    await li.told(before, EventType=REQUIRED)
    space = await li.client.get_namespace_index("urn:andon:alarms")
    node = li.client.get_node(node_id(f"alarm/{gone}", space))
    with pytest.raises(ua.uaerrors.BadNodeIdUnknown):
        await node.read_browse_name()
    brain.site.alarms[gone] = kept

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
