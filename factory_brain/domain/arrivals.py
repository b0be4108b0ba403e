"""Folds the transitions of one frame into the rows of their occurrences. Pure.

Called by the alarm store with what it holds already; the result equals folding them one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from factory_brain.domain.rows import order_key
from shared.messages.bodies import AlarmTransition


@dataclass(frozen=True, slots=True)
class Arrived:
    """One transition as it came."""

    edge: str
    event_id: str
    time: int
    received: int
    late: bool
    body: AlarmTransition


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of an occurrence already."""

    order_key: str
    raised_at: int
    returned_at: int | None


@dataclass(slots=True)
class Folded:
    """The row of one occurrence after a frame."""

    newest: Arrived
    order_key: str
    raised_at: int
    returned_at: int | None
    received_at: int
    late: bool


def fold_arrivals(arrived: Iterable[Arrived], held: Mapping[str, Held]) -> dict[str, Folded]:
    """The rows that change: the highest (version, time, id) wins, whatever the order of arrival."""
    rows: dict[str, Folded] = {}
    for each in arrived:
        body = each.body
        key = order_key(body, each.time, each.event_id)
        row = rows.get(body.occurrence)
        before = row or held.get(body.occurrence)
        if before is not None and key <= before.order_key:
            continue
        raised = body.raised_at or body.source_time or each.time
        returned = None
        if not body.state.get("active"):
            returned = body.returned_at or body.source_time or each.time
        if before is not None:
            raised = min(raised, before.raised_at)
            # What says itself when it returned needs no memory: any order gives the same.
            if returned is not None and before.returned_at is not None and not body.returned_at:
                returned = before.returned_at
        first = row or each
        received = row.received_at if row else each.received
        rows[body.occurrence] = Folded(each, key, raised, returned, received, first.late)
    return rows
