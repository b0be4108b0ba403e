"""The alarm desk: every action that people take on alarms. Facts, never process state.

A fact, its message to the edge, its way to the group and its audit entry are one transaction; rows
show it as pending until the edge has answered, and what the edge refuses is shown, never dropped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from factory_brain.application.ingest import Forward, OnOccurrence
from factory_brain.application.ports import Alarms, Audit, Sender, Transaction
from factory_brain.application.said import Said
from factory_brain.application.system_alarms import SystemAlarms
from factory_brain.application.warning.alarms import WarningAlarms
from factory_brain.domain.desk_rules import Asked, Known, refuse
from factory_brain.domain.holds import REFUSED
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.system_words import is_system
from factory_brain.domain.warning_words import is_warning
from shared.alarm.definition import AlarmDefinition
from shared.clock import Clock, HybridClock, HybridTime
from shared.errors import Rejected
from shared.ids import uuid7
from shared.messages.bodies import Fact, FactResult
from shared.messages.codec import encode
from shared.messages.envelope import Event

PLACE = "factory"
OnRefused = Callable[[Fact, str], Awaitable[None]]


def fact_lane(edge: str) -> str:
    """The outbox lane of facts for one edge."""
    return f"fact-{edge}"


@dataclass(frozen=True, slots=True)
class Books:
    """Where what is said gets written, all in one transaction."""

    alarms: Alarms
    outbox: Sender
    audit: Audit
    forward: Forward
    """To the group."""


class Desk:
    """The alarm desk of one factory."""

    def __init__(
        self, clock: Clock, hybrid: HybridClock, definitions: Mapping[str, AlarmDefinition],
        books: Books, said: Said,
    ) -> None:  # fmt: skip
        self._clock, self._hybrid, self._definitions = clock, hybrid, definitions
        self._books, self._alarms, self.said = books, books.alarms, said
        self.on_occurrence: list[OnOccurrence] = []
        self.system: SystemAlarms | None = None
        """Takes what concerns Andon itself."""
        self.warnings: WarningAlarms | None = None
        """Takes what concerns early warnings."""
        self.on_sent: list[Callable[[str], None]] = []
        """Told the edge for which a fact stands in the outbox."""

    async def asset(self, alarm: str) -> str:
        """The asset of an alarm, for the rights; "" (the whole plant) if nobody knows it."""
        if self.warnings is not None and is_warning(alarm):
            return self.warnings.line(alarm)
        definition = self._definitions.get(alarm)
        if definition is not None:
            return definition.asset
        newest = await self._alarms.newest(alarm)
        return newest.transition.asset if newest else ""

    async def asset_of(self, occurrence: str) -> str:
        """The asset of an occurrence, for the rights."""
        if self.warnings is not None and is_warning(occurrence):
            return self.warnings.line(occurrence)
        found = await self._alarms.get(occurrence)
        return found.transition.asset if found else ""

    async def acknowledge(
        self, alarm: str, occurrence: str, version: int, actor: str, comment: str
    ) -> Rejected | None:
        """Acknowledge one rendered row; a refusal says why."""
        if self.system is not None and is_system(alarm):
            return await self.system.acknowledge(alarm, occurrence, actor, comment)
        if self.warnings is not None and is_warning(alarm):
            return await self.warnings.acknowledge(alarm, occurrence, actor, comment)
        args = {"comment": comment} if comment else {}
        return await self.act(Asked(alarm, occurrence, version, "acknowledge", args), actor)

    async def act(self, asked: Asked, actor: str) -> Rejected | None:
        """Take one action on one rendered row; a refusal says why."""
        async with self._alarms.transaction() as tx:
            named = await self._named(tx, asked.occurrence)
            newest = await self._alarms.newest(asked.alarm, tx)
            known = Known(
                self._definitions.get(asked.alarm), named, newest, self.said.of(asked.alarm)
            )
            refusal = refuse(asked, known, self._clock.now_ms())
            if refusal is not None:
                return refusal
            fact = self._fact(asked, newest, actor)
            await self._record(tx, fact, self._edge(known), known)
            merged = await self._refreshed(tx, fact.occurrence)
            await self._forward(tx, fact)
        await self._tell(fact, self._edge(known), merged)
        return None

    async def _named(self, tx: Transaction, occurrence: str) -> Occurrence | None:
        return await self._alarms.locked(tx, occurrence) if occurrence else None

    async def _refreshed(self, tx: Transaction, occurrence: str) -> Occurrence | None:
        return await self._alarms.refresh_open(tx, occurrence) if occurrence else None

    @staticmethod
    def _edge(known: Known) -> str:
        if known.definition is not None:
            return known.definition.edge
        assert known.newest is not None  # `refuse` knows one of the two
        return known.newest.edge

    def _fact(self, asked: Asked, newest: Occurrence | None, actor: str) -> Fact:
        return Fact(
            id=uuid7(self._clock),
            alarm=asked.alarm,
            occurrence=asked.occurrence or (newest.occurrence if newest else ""),
            version_seen=asked.version,
            action=asked.action,
            actor=actor,
            place=PLACE,
            hlc=str(self._hybrid.tick()),
            args=asked.args,
        )

    async def _record(self, tx: Transaction, fact: Fact, edge: str, known: Known) -> None:
        now = self._clock.now_ms()
        await self._alarms.insert_fact(tx, fact, edge, now, None)
        event = Event(id=fact.id, type="fact", time=now, body=fact)
        await self._books.outbox.append(tx, fact_lane(edge), now, encode(event))
        before = known.newest.view.state.name if known.newest else "normal"
        data: dict[str, Any] = {
            "alarm": fact.alarm, "version": fact.version_seen, "before": before, **fact.args,
        }  # fmt: skip
        await self._books.audit(
            tx, now, fact.actor, fact.action, fact.occurrence or fact.alarm, data
        )

    async def _forward(self, tx: Transaction, fact: Fact) -> None:
        """To the group last: its lane is one row that every transaction wants until its commit."""
        event = Event(id=fact.id, type=f"fact.{fact.action}", time=self._clock.now_ms(), body=fact)
        await self._books.forward(tx, [event])

    async def _tell(self, fact: Fact, edge: str, merged: Occurrence | None) -> None:
        for sent in self.on_sent:
            sent(edge)
        # First what was read in the transaction: behind another wait for the database it could
        # come after, and undo, what the edge has answered meanwhile.
        if merged is not None:
            for listener in self.on_occurrence:
                await listener(merged, False)
        await self.said.changed(fact.alarm)

    async def relay(self, fact: Fact) -> Rejected | None:
        """Pass on what somebody said at the group; a repetition changes nothing."""
        definition = self._definitions.get(fact.alarm)
        if definition is None:
            return Rejected("unknown_alarm", {"alarm": fact.alarm})
        await self.heard(fact)
        now = self._clock.now_ms()
        async with self._alarms.transaction() as tx:
            await self._named(tx, fact.occurrence)
            if not await self._alarms.insert_fact(tx, fact, definition.edge, now, None):
                return None
            event = Event(id=fact.id, type="fact", time=now, body=fact)
            await self._books.outbox.append(tx, fact_lane(definition.edge), now, encode(event))
            await self._books.audit(
                tx, now, fact.actor, fact.action, fact.occurrence or fact.alarm,
                {"alarm": fact.alarm, "version": fact.version_seen, "place": fact.place,
                 **fact.args},
            )  # fmt: skip
            merged = await self._refreshed(tx, fact.occurrence)
        await self._tell(fact, definition.edge, merged)
        return None

    # what comes back from the edges; called in the receiver's transaction

    async def answered(self, tx: Transaction, edge: str, result: FactResult) -> None:
        """The edge's answer to a fact; a refusal goes into the audit log beside the action."""
        if result.result != REFUSED:
            return
        stated = await self.said.stated(tx, result.fact)
        if stated is None:
            return
        fact = stated.fact
        await self._books.audit(
            tx, self._clock.now_ms(), edge, "fact_refused", fact.occurrence or fact.alarm,
            {"alarm": fact.alarm, "action": fact.action, "actor": fact.actor, "fact": fact.id,
             "code": result.code},
        )  # fmt: skip

    async def heard(self, fact: Fact) -> None:
        """Somebody spoke at an edge: what is said here from now on comes after it."""
        self._hybrid.observe(HybridTime.parse(fact.hlc))
