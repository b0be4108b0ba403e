"""The rows of the current state, folded anew from the journal and the facts. Pure.

The same fold that the ingest runs, from nothing: what it gives must equal the stored rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from factory_brain.domain.arrivals import Arrived, fold_arrivals
from factory_brain.domain.rows import Occurrence, is_open
from shared.messages.bodies import AlarmTransition, Fact, FactResult, LocalAction

FIELDS = (
    "alarm", "edge", "transition", "order_key", "raised_at", "returned_at", "received_at", "late",
    "open", "local_action",
)  # fmt: skip
"""Columns of an occurrence that the journal decides; its label and run are told elsewhere."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event of the journal about an occurrence."""

    edge: str
    id: str
    time: int
    received_at: int
    place: tuple[str, str, str, int]
    """source, epoch, lane, seq: breaks ties of the time of receipt."""
    body: Any


def project(
    occurrence: str, recorded: Iterable[Recorded], facts: tuple[Fact, ...], late_ms: int
) -> dict[str, Any] | None:
    """The row of one occurrence, by column; None without any transition."""
    events = sorted(recorded, key=lambda each: (each.received_at, each.place))
    arrived = [
        Arrived(
            each.edge, each.id, each.time, each.received_at,
            each.received_at - (each.body.source_time or each.time) > late_ms, each.body,
        )
        for each in events
        if isinstance(each.body, AlarmTransition)
    ]  # fmt: skip
    if not arrived:
        return None
    folded = fold_arrivals(arrived, {})[occurrence]
    newest = folded.newest
    row = Occurrence(
        occurrence=occurrence, alarm=newest.body.alarm, edge=newest.edge,
        transition=newest.body, order_key=folded.order_key, raised_at=folded.raised_at,
        returned_at=folded.returned_at, received_at=folded.received_at, late=folded.late,
        facts=facts,
    )  # fmt: skip
    acted = [each.body for each in events if isinstance(each.body, LocalAction)]
    return {
        "alarm": row.alarm, "edge": row.edge, "transition": row.transition,
        "order_key": row.order_key, "raised_at": row.raised_at, "returned_at": row.returned_at,
        "received_at": row.received_at, "late": row.late, "open": is_open(row),
        "local_action": said_of_action(acted[-1]) if acted else None,
    }  # fmt: skip


def said_of_action(body: LocalAction) -> str:
    """What a row says of the edge's own action."""
    return f"{body.device} {body.operation}: {body.outcome}"


def row_bytes(row: Mapping[str, Any]) -> bytes:
    """A row as bytes, for comparing byte by byte."""
    return _bytes([row[name] for name in FIELDS])


def _bytes(value: Any) -> bytes:
    """One form of a value: the store keeps no order of keys."""
    return msgspec.json.encode(value, order="deterministic")


def differs(stored: Mapping[str, Any], projected: Mapping[str, Any]) -> list[str]:
    """The columns in which two rows differ."""
    return [name for name in FIELDS if _bytes(stored[name]) != _bytes(projected[name])]


def fact_faults(
    recorded: Iterable[Recorded], stored: Mapping[str, tuple[str | None, Fact]]
) -> list[str]:
    """Facts and answers of the journal that the stored facts do not say; by fact id."""
    wrong: list[str] = []
    for each in recorded:
        body = each.body
        if isinstance(body, Fact):
            known = stored.get(body.id)
            if known is None or _bytes(known[1]) != _bytes(body):
                wrong.append(body.id)
        elif isinstance(body, FactResult):
            known = stored.get(body.fact)
            if known is not None and known[0] != body.result:
                wrong.append(body.fact)
    return wrong
