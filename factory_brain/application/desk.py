"""What operators do: acknowledge what they saw, label what it was. Facts, never process state.

A fact and its message to the edge are one transaction; the row shows it as pending until the edge
has recorded it.
"""

from __future__ import annotations

from factory_brain.application.ingest import OnOccurrence
from factory_brain.application.ports import Alarms, Audit, Sender, Transaction
from factory_brain.domain.rows import Occurrence
from shared.alarm.occurrence import ACKNOWLEDGE
from shared.clock import Clock, HybridClock
from shared.errors import Rejected
from shared.ids import uuid7
from shared.messages.bodies import Fact
from shared.messages.codec import encode
from shared.messages.envelope import Event

PLACE = "factory"


def fact_lane(edge: str) -> str:
    """The outbox lane of facts for one edge."""
    return f"fact-{edge}"


def refuse(
    found: Occurrence | None, newest: Occurrence | None, alarm: str, version: int
) -> Rejected | None:
    """Why an acknowledgement of `version` cannot be taken; None if it can. Pure."""
    if found is None or found.alarm != alarm:
        return Rejected("Bad_EventIdUnknown", {"alarm": alarm})
    if newest is not None and newest.occurrence != found.occurrence:
        return Rejected("not_seen", {"alarm": alarm, "reason": "newer_occurrence"})
    view = found.view
    if version < view.annunciated_version:
        return Rejected("not_seen", {"alarm": alarm, "reason": "newer_version"})
    if not view.state.enabled:
        return Rejected("Bad_ConditionDisabled", {"alarm": alarm})
    if view.state.acked:
        return Rejected(
            "Bad_ConditionBranchAlreadyAcked",
            {"alarm": alarm, "by": view.acked_by.actor if view.acked_by else ""},
        )
    if view.state.hidden:
        return Rejected("REJECT_not_annunciated", {"alarm": alarm})
    return None


class Desk:
    """The alarm desk of one factory."""

    def __init__(
        self,
        clock: Clock,
        hybrid: HybridClock,
        alarms: Alarms,
        outbox: Sender,
        audit: Audit,
    ) -> None:
        self._clock, self._hybrid = clock, hybrid
        self._alarms, self._outbox, self._audit = alarms, outbox, audit
        self.on_occurrence: list[OnOccurrence] = []

    async def acknowledge(
        self, alarm: str, occurrence: str, version: int, actor: str, comment: str
    ) -> Rejected | None:
        """Acknowledge one rendered row; a refusal says why."""
        async with self._alarms.transaction() as tx:
            found = await self._alarms.locked(tx, occurrence)
            newest = await self._alarms.newest(alarm, tx)
            refusal = refuse(found, newest, alarm, version)
            if refusal is not None or found is None:
                return refusal
            args = {"comment": comment} if comment else {}
            fact = self._fact(alarm, occurrence, version, ACKNOWLEDGE, actor, args)
            await self._record(tx, fact, found.edge)
            merged = await self._alarms.refresh_open(tx, occurrence)
        if merged is not None:
            for listener in self.on_occurrence:
                await listener(merged, False)
        return None

    def _fact(
        self, alarm: str, occurrence: str, version: int, action: str, actor: str,
        args: dict[str, str],
    ) -> Fact:  # fmt: skip
        return Fact(
            id=uuid7(self._clock),
            alarm=alarm,
            occurrence=occurrence,
            version_seen=version,
            action=action,
            actor=actor,
            place=PLACE,
            hlc=str(self._hybrid.tick()),
            args=args,
        )

    async def _record(self, tx: Transaction, fact: Fact, edge: str) -> None:
        now = self._clock.now_ms()
        await self._alarms.insert_fact(tx, fact, edge, now, None)
        event = Event(id=fact.id, type="fact", time=now, body=fact)
        await self._outbox.append(tx, fact_lane(edge), now, encode(event))
        await self._audit(
            tx, now, fact.actor, fact.action, fact.occurrence,
            {"alarm": fact.alarm, "version": fact.version_seen, **fact.args},
        )  # fmt: skip
