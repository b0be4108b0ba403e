"""Wires the alarm desk: actions, lists, attachments, hand-over."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from factory_brain.adapters.postgres.attachment_store import AttachmentStore
from factory_brain.adapters.postgres.desk_store import DeskStore
from factory_brain.adapters.postgres.handover_store import HandoverStore
from factory_brain.application.attachments import Attachments
from factory_brain.application.desk import Books, Desk
from factory_brain.application.desk_lists import DeskLists
from factory_brain.application.handover import HandoverDesk, Sources
from factory_brain.application.ports import Transaction
from factory_brain.application.said import Said
from factory_brain.web.parts import DeskParts
from shared.clock import HybridClock
from shared.errors import ContractError
from shared.messages.bodies import Fact, FactResult
from shared.messages.codec import decode, encode
from shared.messages.control import Committed
from shared.messages.envelope import Event, Frame
from shared.postgres.audit import audit
from shared.telemetry import logger
from shared.web.dto_desk import OpenIncident

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain

log = logger("desk")
GROUP = "group"


def make(brain: Brain) -> Desk:
    """The desk itself, before anything is read."""
    books = Books(brain.alarms, brain.outbox, audit, brain.uplink.forward)
    said = Said(DeskStore(brain.pool, brain.alarms), brain.broadcaster.send)
    return Desk(brain.clock, HybridClock(brain.clock), brain.site.alarms, books, said)


async def wire(brain: Brain) -> DeskParts:
    """Read what stands said, and connect the desk to what comes in."""
    desk, said = brain.desk, brain.desk.said
    await said.load()
    brain.live.said = said.of
    said.on_change.append(brain.live.said_changed)

    async def on_fact(tx: Transaction, edge: str, body: Fact | FactResult) -> None:
        if isinstance(body, FactResult):
            await desk.answered(tx, edge, body)
        else:
            await desk.heard(body)

    await brain.bus.subscribe(brain.node.fact, partial(_from_group, desk))
    brain.ingest.on_fact.append(on_fact)
    brain.ingest.on_said.append(said.changed)
    store = DeskStore(brain.pool, brain.alarms)
    lists = DeskLists(brain.site.alarms, store, said, brain.clock)

    async def incidents() -> list[OpenIncident]:
        return [OpenIncident.model_validate(row) for row in await store.open_incidents()]

    sources = Sources(lists, brain.live, lambda limit: brain.playbooks.list_runs(limit), incidents)
    handover = HandoverDesk(brain.site.info, brain.clock, sources, HandoverStore(brain.pool), audit)
    return DeskParts(lists, Attachments(AttachmentStore(brain.pool), brain.clock, audit), handover)


async def _from_group(desk: Desk, subject: str, data: bytes) -> bytes | None:
    """What people said at the group: passed on once each, then reported committed."""
    try:
        frame = decode(data, Frame)
        events = [decode(bytes(raw), Event) for raw in frame.events]
    except ContractError as error:
        log.error("facts_unreadable", subject=subject, error=str(error))
        return None
    for event in events:
        body = event.body
        # Nobody speaks here for the edges or for this factory itself.
        if not isinstance(body, Fact) or body.place != GROUP:
            log.error("not_of_the_group", subject=subject, fact=event.id)
        elif (refused := await desk.relay(body)) is not None:
            log.warning("fact_not_relayed", fact=body.id, code=refused.code)
    key = f"{frame.epoch}/{frame.lane}"
    return encode(Committed(source=frame.source, watermarks={key: frame.last}))
