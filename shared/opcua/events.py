"""Events to subscribed OPC UA clients, and ConditionRefresh (Part 9, 5.5.7).

Used by the server; knows no alarms. The library delivers an event to one notifier only, compares
types by identity in filters and refreshes across sessions; here it is as the standard says.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

from asyncua import ua
from asyncua.common.event_objects import (
    BaseEvent,
    RefreshEndEvent,
    RefreshRequiredEvent,
    RefreshStartEvent,
)
from asyncua.common.events import Event
from asyncua.server.address_space import AddressSpace as Nodes
from asyncua.server.internal_server import InternalServer
from asyncua.server.monitored_item_service import MonitoredItemData, WhereClauseEvaluator

from shared.clock import Clock
from shared.opcua.nodes import SERVER, moment, node_id
from shared.opcua.waiting import Pace

_SUBTYPE = node_id(ua.ObjectIds.HasSubtype)
MAX_DEPTH = 16


class _Where(WhereClauseEvaluator):
    """Filters as clients write them: a type means its subtypes too, a path may have steps."""

    def _eval_el(self, index: int, event: Any) -> Any:
        element = self.elements[index]
        if element.FilterOperator != ua.FilterOperator.OfType:
            return super()._eval_el(index, event)
        wanted = self._eval_op(element.FilterOperands[0], event)
        return wanted in _supertypes(self._aspace, event.EventType)

    def _eval_op(self, op: Any, event: Any) -> Any:
        if isinstance(op, ua.SimpleAttributeOperand) and op.BrowsePath:
            name = Event.browse_path_to_attribute_name(op.BrowsePath)
            return getattr(event, name, None)
        return super()._eval_op(op, event)


def _supertypes(nodes: Nodes, kind: ua.NodeId) -> Iterator[ua.NodeId]:
    here: ua.NodeId | None = kind
    for _ in range(MAX_DEPTH):
        data = nodes.get(here) if here is not None else None
        if here is None or data is None:
            return
        yield here
        here = next(
            (r.NodeId for r in data.references
             if r.ReferenceTypeId == _SUBTYPE and not r.IsForward), None,
        )  # fmt: skip


class Events:
    """What subscribed clients are told."""

    def __init__(self, wire: InternalServer, clock: Clock, rest_s: float) -> None:
        self._wire, self._clock, self._rest_s = wire, clock, rest_s
        self._one = asyncio.Lock()
        self._refreshing: set[int] = set()

    async def tell(self, event: Event, notifiers: Iterable[ua.NodeId], pace: Pace) -> None:
        """An event to everybody who listens to one of these nodes."""
        listened = list(notifiers)
        for subscription in list(self._wire.subscription_service.subscriptions.values()):
            by_node = subscription.monitored_item_srv._monitored_events
            for node in listened:
                for item in list(by_node.get(node, ())):
                    await self._send(subscription, item, event)
            await pace.breathe()

    async def refresh_required(self, pace: Pace) -> None:
        """Something may have been missed: clients should ask for a refresh."""
        await self.tell(self._said(RefreshRequiredEvent()), [SERVER], pace)

    async def refresh(
        self, number: Any, item: Any, session: ua.NodeId,
        conditions: Iterable[tuple[Event, list[ua.NodeId]]],
    ) -> int:  # fmt: skip
        """All conditions of interest to one subscription (or one item of it), between two marks."""
        subscription = self._wire.subscription_service.subscriptions.get(number)
        if subscription is None or subscription.session_id != session:
            return ua.StatusCodes.BadSubscriptionIdInvalid
        nodes = {
            each: node
            for node, items in subscription.monitored_item_srv._monitored_events.items()
            for each in items if item in (None, each)
        }  # fmt: skip
        if item is not None and not nodes:
            return ua.StatusCodes.BadMonitoredItemIdInvalid
        if number in self._refreshing:
            return ua.StatusCodes.BadRefreshInProgress
        self._refreshing.add(number)
        try:
            async with self._one:  # together they take no more of the loop than one does
                await self._refresh(subscription, nodes, conditions)
        finally:
            self._refreshing.discard(number)
        return ua.StatusCodes.Good

    async def _refresh(
        self, subscription: Any, nodes: dict[int, ua.NodeId],
        conditions: Iterable[tuple[Event, list[ua.NodeId]]],
    ) -> None:  # fmt: skip
        pace = Pace(self._rest_s)
        pace.begin()
        for each in nodes:
            await self._send(subscription, each, self._said(RefreshStartEvent()), filtered=False)
        for event, notifiers in conditions:
            for each, node in nodes.items():
                if node in notifiers:
                    await self._send(subscription, each, event)
            await pace.breathe()
        for each in nodes:
            await self._send(subscription, each, self._said(RefreshEndEvent()), filtered=False)

    async def _send(
        self, subscription: Any, number: int, event: Event, *, filtered: bool = True
    ) -> None:
        items: dict[int, MonitoredItemData] = subscription.monitored_item_srv._monitored_items
        item = items.get(number)
        if item is None or item.mode == ua.MonitoringMode.Disabled:
            return
        where = item.where_clause_evaluator
        if not isinstance(where, _Where):
            where = _Where(subscription.logger, self._wire.aspace, item.filter.WhereClause)
            item.where_clause_evaluator = where
        if filtered and not where.eval(event):
            return
        told = ua.EventFieldList(
            ClientHandle=item.client_handle or 0,
            EventFields=event.to_event_fields(item.filter.SelectClauses),
        )
        await subscription.enqueue_event(number, told, item.queue_size)

    def _said(self, event: BaseEvent) -> BaseEvent:
        now = moment(self._clock.now_ms())
        for name, value in (
            ("EventId", secrets.token_bytes(16)), ("SourceNode", SERVER), ("SourceName", "Server"),
            ("Time", now), ("ReceiveTime", now), ("Severity", 100),
        ):  # fmt: skip
            setattr(event, name, value)
        return event
