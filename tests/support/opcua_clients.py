"""A client of an OPC UA alarm server, as tests speak to it, and the two tiers that serve one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from asyncua import Client, ua

from shared.opcua.nodes import METHODS, SHELVING, node_id
from tests.support.brain_world import until

START, END, REQUIRED = (
    node_id(getattr(ua.ObjectIds, f"Refresh{each}EventType"))
    for each in ("Start", "End", "Required")
)
CALLS = {action: method for method, action in METHODS.items()}
SHELVES = {name: method for method, (name, _, _) in reversed(SHELVING.items())}
FIELDS = (
    "EventId", "EventType", "SourceName", "Message", "Severity", "ConditionName", "Retain",
    "ActiveState/Id", "AckedState/Id", "EnabledState/Id", "Comment", "ClientUserId",
    "ShelvingState/CurrentState/Id", "SuppressedOrShelved",
)  # fmt: skip
PASSWORD = "long enough to be one"
TIMED, UNSHELVED = (
    node_id(getattr(ua.ObjectIds, f"ShelvedStateMachineType_{each}"))
    for each in ("TimedShelved", "Unshelved")
)


@dataclass
class Served:
    """One tier's server, with an alarm that a test can move."""

    url: str
    alarm: str
    asset: str
    area: str
    severity: int
    said: str
    """What the message holds."""
    other: str
    """Another alarm of the site."""
    come: Callable[[], Awaitable[None]]
    go: Callable[[], Awaitable[None]]
    shelved: Callable[..., Awaitable[None]]
    """What the process side says once it has been asked to shelve, or no longer to."""


class Seen:
    """What one client has been told."""

    def __init__(self, client: Client) -> None:
        self.client, self.events = client, []
        self.subscription: Any = None

    def event_notification(self, event: Any) -> None:
        self.events.append(vars(event))

    async def space(self) -> int:
        return await self.client.get_namespace_index("urn:andon:alarms")

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
        return await self._call(event["NodeId"], CALLS[action], *arguments)

    async def shelve(self, method: str, event: dict[str, Any], *values: float | str) -> str:
        """The same of a method of the condition's ShelvingState."""
        found = self.client.get_node(event["NodeId"])
        state = await found.get_child(["0:ShelvingState"])
        arguments = [
            ua.Variant(ua.LocalizedText(each), ua.VariantType.LocalizedText)
            if isinstance(each, str)
            else ua.Variant(float(each), ua.VariantType.Double)
            for each in values
        ]
        return await self._call(state.nodeid, SHELVES[method], *arguments)

    async def _call(self, node: ua.NodeId, method: ua.NodeId, *arguments: ua.Variant) -> str:
        try:
            await self.client.get_node(node).call_method(method, *arguments)
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
