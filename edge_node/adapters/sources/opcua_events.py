"""Alarms and conditions of an OPC UA server (Part 9) as a source of samples.

Used by the client, one feed for each notifier node. After every connect and every cut the server
is asked to tell all its conditions again, so that none that came or went meanwhile is missed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from asyncua import Client, ua
from asyncua.common.subscription import OpcEvent, Subscription

from edge_node.adapters.sources.opcua import EventAddress
from edge_node.adapters.sources.opcua_conditions import Condition, Conditions, field_of
from edge_node.adapters.sources.opcua_items import MIN_QUEUE, Reading, Readings, node_id, subscribed
from edge_node.adapters.sources.opcua_values import ms, standard
from edge_node.adapters.sources.port import GOOD, UNCERTAIN, Source
from shared.clock import Clock
from shared.telemetry import logger

log = logger("driver.opcua")
INTERVAL_MS = 250
QUEUE = 10 * MIN_QUEUE
REFRESH_S = 3.0
"""How long the end of a refresh is waited for before what has come is taken for all."""
_SERVER = standard(ua.ObjectIds.Server)
_START = standard(ua.ObjectIds.RefreshStartEventType)
_END = standard(ua.ObjectIds.RefreshEndEventType)
_REQUIRED = standard(ua.ObjectIds.RefreshRequiredEventType)
_FIELDS = {
    ua.ObjectIds.BaseEventType: (
        "EventType", "SourceNode", "SourceName", "Time", "Message", "Severity",
    ),
    ua.ObjectIds.ConditionType: ("ConditionName", "BranchId", "EnabledState/Id"),
    ua.ObjectIds.AcknowledgeableConditionType: ("AckedState/Id", "ConfirmedState/Id"),
    ua.ObjectIds.AlarmConditionType: ("ActiveState/Id",),
}  # fmt: skip


class EventFeed:
    """The conditions that one node notifies of, and the tags that show them."""

    def __init__(self, node: str, readings: Readings, source: Source, clock: Clock) -> None:
        self._node = node_id(source, node)
        self._readings, self._source, self._clock = readings, source, clock
        self._tags: list[tuple[Reading, EventAddress]] = []
        self._only: ua.NodeId | None = None
        """Events of this node only, where the server itself is the notifier."""
        self._conditions = Conditions()
        self._ended = asyncio.Event()
        self._again = asyncio.Event()
        self._again.set()
        self._client: Client | None = None
        self.subscription: Subscription | None = None
        self.fault = ""

    def add(self, reading: Reading, address: EventAddress) -> None:
        """A tag that shows a field of some condition."""
        self._tags.append((reading, address))

    async def subscribe(self, client: Client) -> None:
        """Ask for the events of the node, or for the server's own where it notifies of none."""
        subscription = await subscribed(client, INTERVAL_MS)
        self._client, self._only = client, None
        try:
            await subscription.subscribe_events(self._node, evfilter=_filter(), queuesize=QUEUE)
        except ua.UaStatusCodeError as error:
            if self._node == _SERVER or _is_unknown(error):
                for reading, _ in self._tags:
                    self._readings.refuse(reading, type(error).__name__)
                return
            await subscription.subscribe_events(_SERVER, evfilter=_filter(), queuesize=QUEUE)
            self._only = self._node
        self.subscription = subscription

    async def follow(self) -> None:
        """Take events and refresh when it is due, for ever."""
        if self.subscription is None:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_all(self.subscription))
            group.create_task(self._keep_fresh(self.subscription))

    def of(self, node: ua.NodeId) -> list[Reading]:
        """No node is read here."""
        return []

    def look_again(self) -> None:
        """After a cut: conditions may have come and gone."""
        self._again.set()

    async def _take_all(self, subscription: Subscription) -> None:
        async for event in subscription:
            if isinstance(event, OpcEvent):
                self._take(vars(event.event))

    def _take(self, fields: dict[str, Any]) -> None:
        kind = fields.get("EventType")
        if kind == _START:
            self._conditions.begin_refresh()
        elif kind == _END:
            self._ended.set()
        elif kind == _REQUIRED:
            self._again.set()
        elif self._concerns(fields):
            condition = self._condition(fields)
            self._conditions.put(condition)
            self._show(condition)

    def _concerns(self, fields: dict[str, Any]) -> bool:
        branch = fields.get("BranchId")
        if branch is not None and not branch.is_null():
            return False  # an earlier state that still wants an answer; the present one counts
        if self._only is not None and fields.get("SourceNode") != self._only:
            return False
        return fields.get("ConditionName") is not None

    def _condition(self, fields: dict[str, Any]) -> Condition:
        source, name = str(fields.get("SourceName") or ""), str(fields["ConditionName"])
        node = fields.get("NodeId")
        message = fields.get("Message")
        return Condition(
            key=node.to_string() if node is not None else f"{source}/{name}",
            name=name, source=source, active=bool(fields.get("ActiveState/Id")),
            acked=fields.get("AckedState/Id") is not False,
            confirmed=fields.get("ConfirmedState/Id") is not False,
            enabled=fields.get("EnabledState/Id") is not False,
            severity=int(fields.get("Severity") or 0),
            message=str(getattr(message, "Text", message) or ""),
            time_ms=ms(fields.get("Time"), self._clock.now_ms()),
        )  # fmt: skip

    def _show(self, told: Condition | None = None) -> None:
        """Hand over the tags that a condition touches; all of them without one."""
        now = self._clock.now_ms()
        quality = GOOD if self._conditions.complete or told is not None else UNCERTAIN
        for reading, address in self._tags:
            chosen = self._conditions.select(address.condition)
            if told is not None and told not in chosen:
                continue
            moment = told.time_ms if told is not None else now
            value = field_of(chosen, address.field)
            self._readings.hand_over(reading, moment, value, quality)

    async def _keep_fresh(self, subscription: Subscription) -> None:
        while True:
            await self._again.wait()
            self._again.clear()
            await self._refresh(subscription)

    async def _refresh(self, subscription: Subscription) -> None:
        """ConditionRefresh (Part 9, 5.5.7): the server tells all conditions of interest again."""
        assert self._client is not None
        self._ended.clear()
        self._conditions.begin_refresh()
        number = ua.Variant(subscription.subscription_id, ua.VariantType.UInt32)
        try:
            async with asyncio.timeout(REFRESH_S):
                await self._client.get_node(ua.ObjectIds.ConditionType).call_method(
                    standard(ua.ObjectIds.ConditionType_ConditionRefresh), number
                )
                self.fault = ""
                await self._ended.wait()
        except TimeoutError:
            pass  # the call was answered, or the session is gone and `look_again` will come
        except ua.UaError as error:
            # Without it nothing is known of what was there before: uncertain, not "not active".
            self.fault = f"the server does not refresh its conditions: {error}"
            log.warning("condition_refresh_refused", source=self._source.id, error=str(error))
            self._show()
            return
        except OSError:
            return
        self._conditions.end_refresh()
        self._show()


def _is_unknown(error: ua.UaStatusCodeError) -> bool:
    return error.code in (ua.StatusCodes.BadNodeIdUnknown, ua.StatusCodes.BadNodeIdInvalid)


def _filter() -> ua.EventFilter:
    """The fields wanted of each event. Everything is let through: servers differ too much in the
    operators that they understand.
    """
    clauses = []
    for kind, names in _FIELDS.items():
        for name in names:
            path = [ua.QualifiedName(part) for part in name.split("/")]
            clauses.append(_operand(kind, ua.AttributeIds.Value, path))
    clauses.append(_operand(ua.ObjectIds.ConditionType, ua.AttributeIds.NodeId, []))
    return ua.EventFilter(SelectClauses=clauses)


def _operand(kind: int, attribute: Any, path: list[ua.QualifiedName]) -> ua.SimpleAttributeOperand:
    return ua.SimpleAttributeOperand(
        TypeDefinitionId=standard(kind), AttributeId=attribute, BrowsePath=path
    )
