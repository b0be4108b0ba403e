"""What every OPC UA alarm server of Andon does, whichever tier serves it.

Run over the wire by the integration tests of the brain's server and of the edge's.
"""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import Client, ua

from shared.opcua.nodes import node_id
from tests.support.opcua_clients import TIMED, UNSHELVED, Seen, Served, connected


async def browsed_told_and_refreshed(served: Served) -> None:
    """Browse to the condition, read it, hear it come, ask for a refresh, hear it go."""
    async with connected(served.url, "li") as li, connected(served.url) as guest:
        await li.listen()
        space = await li.space()
        of_type = ua.ContentFilterElement(
            FilterOperator=ua.FilterOperator.OfType,
            FilterOperands=[ua.LiteralOperand(ua.Variant(node_id(ua.ObjectIds.ConditionType)))],
        )
        await guest.listen(node_id(f"asset/{served.area}", space), ua.ContentFilter([of_type]))
        condition = await browsed(li.client, served, space)
        active = await condition.get_child(["0:ActiveState", "0:Id"])
        assert await active.read_value() is False
        assert await li.refresh() == []
        await served.come()
        raised = await li.told(ConditionName=served.alarm, ActiveState_Id=True)
        assert raised["AckedState/Id"] is False
        assert raised["Retain"] is True
        assert (raised["Severity"], raised["SourceName"]) == (served.severity, served.asset)
        assert served.said in raised["Message"].Text
        assert raised["Message"].Locale == "zh-CN"
        assert raised["NodeId"] == condition.nodeid
        assert await active.read_value() is True
        # an area's own listener hears it too, filtered by a type above
        heard = await guest.told(ConditionName=served.alarm)
        assert heard["EventId"] == raised["EventId"]
        # a refresh tells what is of interest, to the one who asked
        (again,) = await li.refresh()
        assert (again["EventId"], again["ConditionName"]) == (raised["EventId"], served.alarm)
        (also,) = await guest.refresh()
        assert also["EventId"] == raised["EventId"]
        await answered(served, li, guest, raised)
        # gone and acknowledged: of no more interest
        await served.go()
        await li.told(ConditionName=served.alarm, Retain=False)
        assert await li.refresh() == []
        assert await active.read_value() is False


async def browsed(client: Client, served: Served, space: int) -> Any:
    """From `Objects` down to the condition; the other alarms of the site are there too."""
    found: list[ua.NodeId] = []

    async def walk(node: Any) -> None:
        for each in await node.get_children():
            if each.nodeid.NamespaceIndex == space and "#" not in str(each.nodeid.Identifier):
                found.append(each.nodeid)
                await walk(each)

    await walk(client.nodes.objects)
    assert node_id(f"asset/{served.asset}", space) in found
    assert node_id(f"alarm/{served.other}", space) in found
    condition = client.get_node(node_id(f"alarm/{served.alarm}", space))
    assert condition.nodeid in found
    assert await condition.read_type_definition() == node_id(ua.ObjectIds.AlarmConditionType)
    return condition


async def answered(served: Served, li: Seen, guest: Seen, raised: dict[str, Any]) -> None:
    """Refused, commented and acknowledged; everybody hears who spoke."""
    assert await guest.say("acknowledge", raised) == "BadUserAccessDenied"
    assert await guest.shelve("OneShotShelve", raised) == "BadUserAccessDenied"
    with pytest.raises(ua.uaerrors.BadUserAccessDenied):
        async with connected(served.url, "li", "wrong"):
            pass
    assert await li.say("acknowledge", {**raised, "EventId": b"nothing"}) == "BadEventIdUnknown"
    assert await li.say("comment", raised) == "BadInvalidArgument"
    assert await li.say("comment", raised, "看过了") == "Good"
    spoken = await guest.told(ConditionName=served.alarm, ClientUserId="li")
    assert spoken["Comment"].Text == "看过了"
    assert spoken["EventId"] != raised["EventId"]
    # an earlier event of the same announcement still answers it
    assert await li.say("acknowledge", raised, "去现场") == "Good"
    acked = await guest.told(ConditionName=served.alarm, AckedState_Id=True)
    assert (acked["ClientUserId"], acked["Comment"].Text) == ("li", "去现场")
    assert await li.say("acknowledge", acked) == "BadConditionBranchAlreadyAcked"


async def shelved(served: Served) -> None:
    """Shelved for a time, within its limit, by the methods of ShelvingState, and taken back."""
    async with connected(served.url, "li") as li:
        await li.listen()
        await served.come()
        raised = await li.told(ConditionName=served.alarm, ActiveState_Id=True)
        node = li.client.get_node(raised["NodeId"])
        most = await (await node.get_child(["0:MaxTimeShelved"])).read_value()
        left = await node.get_child(["0:ShelvingState", "0:UnshelveTime"])
        state = await node.get_child(["0:ShelvingState"])
        named = {(await each.read_browse_name()).Name for each in await state.get_methods()}
        assert {"TimedShelve", "OneShotShelve", "Unshelve", "TimedShelve2"} <= named
        assert await left.read_value() == 0
        assert await li.shelve("Unshelve", raised) == "BadConditionNotShelved"
        assert await li.shelve("TimedShelve", raised, most + 1) == "BadShelvingTimeOutOfRange"
        assert await li.shelve("TimedShelve", raised) == "BadArgumentsMissing"
        assert await li.shelve("TimedShelve2", raised, 60_000, "换传感器") == "Good"
        await served.shelved(True)
        kept = await li.told(ConditionName=served.alarm, SuppressedOrShelved=True)
        assert kept["ShelvingState/CurrentState/Id"] == TIMED
        assert 0 < await left.read_value() <= 60_000
        before = len(li.events)
        assert await li.shelve("Unshelve", raised) == "Good"
        await served.shelved(False)
        free = await li.told(before, ConditionName=served.alarm, SuppressedOrShelved=False)
        assert free["ShelvingState/CurrentState/Id"] == UNSHELVED


async def kept_to_itself(served: Served, own: Seen) -> None:
    """Nobody else's subscription is refreshed or taken, and nobody writes."""
    number = own.subscription.subscription_id
    async with connected(served.url, "zhao") as zhao:
        zhao.subscription = own.subscription
        with pytest.raises(ua.uaerrors.BadSubscriptionIdInvalid):
            await zhao.refresh()
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
