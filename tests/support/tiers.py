"""Three tiers of one alarm system on one clock: real rules and folds, links that fail as told.

The edge is its real alarm service and book; the factory its real desk and ingest over memory; the
group folds the events that were sent up. `tiers_linked` connects them.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec

from edge_node.application.alarm_service import AlarmService
from edge_node.application.ipc import OperatorAction
from edge_node.application.records import AlarmRecord, Change, Emit, PutFact
from factory_brain.application import ingest as ingest_module
from factory_brain.application.desk import Books, Desk
from factory_brain.application.ingest import Ingest
from factory_brain.application.said import Said
from factory_brain.domain.arrivals import Arrived, Held, fold_arrivals
from factory_brain.domain.desk_rules import Asked
from factory_brain.domain.holds import Stated
from factory_brain.domain.rows import Occurrence
from shared.alarm.machine import Policy
from shared.alarm.occurrence import OccurrenceView, fold, fold_events
from shared.clock import HybridClock, ManualClock
from shared.errors import Rejected
from shared.hybrid_time import HybridTime
from shared.messages.bodies import AlarmTransition, Fact, FactResult
from shared.messages.envelope import Event, Frame
from shared.outbox.receiving import Batch, Received
from tests.support.edge_script import Script, limit

T, S = "T.HI", "S.HI"


def now(work: Coroutine[Any, Any, Any]) -> Any:
    """Run what waits for nobody."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits for something")


class MemoryAlarms:
    """The brain's store of occurrences and facts, in memory, with its real fold of arrivals."""

    def __init__(self) -> None:
        self.rows: dict[str, Occurrence] = {}
        self.facts: dict[str, Stated] = {}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield None

    async def insert_events(self, *_: Any) -> None:
        return None

    async def apply_transitions(
        self, _: Any, arrived: list[Arrived], also: Iterable[str] = ()
    ) -> None:
        held = {n: Held(r.order_key, r.raised_at, r.returned_at) for n, r in self.rows.items()}
        for name, folded in fold_arrivals(arrived, held).items():
            self.rows[name] = Occurrence(
                occurrence=name, alarm=folded.newest.body.alarm, edge=folded.newest.edge,
                transition=folded.newest.body, order_key=folded.order_key,
                raised_at=folded.raised_at, returned_at=folded.returned_at, received_at=0,
                late=False,
            )  # fmt: skip

    def _merged(self, name: str) -> Occurrence | None:
        row = self.rows.get(name)
        if row is None:
            return None
        mine = [s for s in self.facts.values() if s.fact.occurrence == name]
        kept = tuple(s.fact for s in mine if s.result != "refused")
        return msgspec_replace(row, facts=kept, pending=any(s.result is None for s in mine))

    async def refresh(self, _: Any, names: list[str]) -> list[Occurrence]:
        return [found for name in names if (found := self._merged(name)) is not None]

    async def refresh_open(self, _: Any, name: str) -> Occurrence | None:
        return self._merged(name)

    async def locked(self, _: Any, name: str) -> Occurrence | None:
        return self._merged(name)

    async def get(self, name: str) -> Occurrence | None:
        return self._merged(name)

    async def newest(self, alarm: str, tx: Any = None) -> Occurrence | None:
        mine = [row for row in self.rows.values() if row.alarm == alarm]
        if not mine:
            return None
        return self._merged(
            max(mine, key=lambda r: (r.raised_at, len(r.occurrence), r.occurrence)).occurrence
        )

    async def insert_fact(self, _: Any, fact: Fact, edge: str, at: int, result: str | None) -> bool:
        if fact.id in self.facts:
            return False
        self.facts[fact.id] = Stated(fact, edge, at, result)
        return True

    async def fact_result(self, _: Any, name: str, result: str, code: str) -> None:
        if (known := self.facts.get(name)) is not None:
            self.facts[name] = Stated(known.fact, known.edge, known.at, result, code)

    async def set_local_actions(self, *_: Any) -> None:
        return None

    async def stated(self, alarms: list[str] | None) -> list[Stated]:
        return [s for s in self.facts.values() if alarms is None or s.fact.alarm in alarms]

    async def fact(self, _: Any, name: str) -> Stated | None:
        return self.facts.get(name)


def msgspec_replace(row: Occurrence, **changes: Any) -> Occurrence:
    """`dataclasses.replace` without the memo of the old row."""
    fields = {
        name: getattr(row, name)
        for name in Occurrence.__dataclass_fields__
        if not name.startswith("_")
    }
    return Occurrence(**{**fields, **changes})


class EdgeTier:
    """The edge: what it has recorded, and what it has sent off."""

    def __init__(self, policy: Policy, re_alarm_ms: int | None) -> None:
        alarms = [
            limit(T, "T", "HI", 100, policy=policy, suppressed_by=(S,), re_alarm_ms=re_alarm_ms),
            limit(S, "S", "HI", 100, policy=policy),
        ]
        self.script = Script(["T", "S"], alarms)
        self.service = AlarmService(
            self.script.book, self.script.clock, self.script.pipeline.steady, {}, {}, ""
        )
        self.out: list[Event] = []
        self.facts: dict[str, tuple[Fact, str]] = {}
        self._seen = 0
        self._count = 0

    @property
    def clock(self) -> ManualClock:
        return self.script.clock

    def settle(self) -> None:
        """Take what the rules have made since the last time."""
        self.script.log += self.script.pipeline.settle()
        for done in self.script.log[self._seen :]:
            record = AlarmRecord.of_transition(done)
            if record.closed and record.occurrence:
                self.service.note_closed(record)
            if done.told:
                self._count += 1
                body = done.body
                self.out.append(
                    Event(id=f"t{self._count:05d}", type="alarm", time=body.source_time, body=body)
                )
        self._seen = len(self.script.log)

    def act(self, name: str, action: str, alarm: str, args: dict[str, Any], version: int) -> bool:
        """Somebody at the edge's own page."""
        unit = self.script.book.units[alarm]
        asked = OperatorAction(
            id=name, action=action, alarm=alarm, occurrence=unit.occurrence, version=version,
            actor="wang", args=args,
        )  # fmt: skip
        rows, result = self.service.act(asked)
        self._keep(rows)
        return result.accepted

    def take(self, frame: Frame) -> int:
        """Facts from above; the committed position."""
        rows, answer = self.service.take_frame(frame)
        self._keep(rows)
        return answer.watermarks[f"{frame.epoch}/{frame.lane}"]

    def _keep(self, rows: Change) -> None:
        for row in rows:
            if isinstance(row, PutFact):
                self.facts[row.fact.id] = (row.fact, row.result)
        self.settle()
        self.out += [row.event for row in rows if isinstance(row, Emit)]

    def views(self) -> dict[str, OccurrenceView]:
        told = [e.body for e in self.out if isinstance(e.body, AlarmTransition)]
        facts = [fact for fact, result in self.facts.values() if result != "refused"]
        return _views(told, facts)


class FactoryTier:
    """The factory: desk and ingest over memory; what it says down and up waits in lists."""

    def __init__(self, edge: EdgeTier) -> None:
        self.store = MemoryAlarms()
        self.down: list[bytes] = []
        self.up: list[Event] = []
        alarms = cast(Any, self.store)
        definitions = {a: u.definition for a, u in edge.script.book.units.items()}
        books = Books(alarms, cast(Any, self), self._audit, self._forward)
        self.said = Said(self.store, lambda *_: None)
        self.desk = Desk(edge.clock, HybridClock(edge.clock), definitions, books, self.said)
        self.ingest = Ingest(edge.clock, alarms, cast(Any, None), self._forward)
        self.ingest.on_fact.append(self._on_fact)
        self.ingest.on_said.append(self.said.changed)
        self.refusals = 0
        self._clock = edge.clock

    async def append(self, _: Any, lane: str, at: int, event: bytes) -> int:
        self.down.append(event)
        return len(self.down)

    async def _audit(self, _: Any, at: int, actor: str, action: str, target: str, d: Any) -> None:
        self.refusals += action == "fact_refused"

    async def _forward(self, _: Any, events: list[Event]) -> None:
        self.up += events

    async def _on_fact(self, tx: Any, edge: str, body: Fact | FactResult) -> None:
        if isinstance(body, FactResult):
            await self.desk.answered(tx, edge, body)
        else:
            await self.desk.heard(body)

    def take(self, events: list[Event]) -> None:
        """One frame's new events."""
        after: list[Any] = []
        ingest_module._AFTER.set(after)
        items = [Received(n, event) for n, event in enumerate(events)]
        now(self.ingest.apply(None, Batch("f1.e1", "ep", "live", self._clock.now_ms(), items)))
        for tell in after:
            now(tell.call())

    def know(self, other: FactoryTier) -> None:
        """Have what was said here or came from the group, as another had it before any answer."""
        for name, stated in other.store.facts.items():
            if stated.fact.place != "edge":
                self.store.facts[name] = Stated(stated.fact, stated.edge, stated.at, None)

    def act(self, asked: Asked) -> Rejected | None:
        return now(self.desk.act(asked, "li"))

    def views(self) -> dict[str, OccurrenceView]:
        return {n: row.view for n in self.store.rows if (row := self.store._merged(n))}


class GroupTier:
    """The group: events as a set, and its own people."""

    def __init__(self, clock: ManualClock) -> None:
        self.events: dict[str, Any] = {}
        self.down: list[Fact] = []
        self._hybrid, self._count = HybridClock(clock), 0

    def take(self, events: Iterable[Event]) -> None:
        for event in events:
            self.events[event.id] = event.body
            if isinstance(event.body, Fact):
                self._hybrid.observe(HybridTime.parse(event.body.hlc))

    def act(self, action: str, occurrence: str, args: dict[str, Any]) -> Fact | None:
        """Somebody at the group answers what the group shows."""
        view = self.views().get(occurrence)
        if view is None:
            return None
        self._count += 1
        fact = Fact(
            id=f"g{self._count:05d}", alarm=view.alarm, occurrence=occurrence,
            version_seen=view.version, action=action, actor="zhao", place="group",
            hlc=str(self._hybrid.tick()), args=args,
        )  # fmt: skip
        self.events[fact.id] = fact
        self.down.append(fact)
        return fact

    def views(self) -> dict[str, OccurrenceView]:
        by: dict[str, list[Any]] = {}
        for body in self.events.values():
            by.setdefault(body.occurrence, []).append(body)
        found = {name: fold_events(bodies) for name, bodies in by.items()}
        return {name: view for name, view in found.items() if view is not None}


def _views(told: list[AlarmTransition], facts: list[Fact]) -> dict[str, OccurrenceView]:
    found: dict[str, OccurrenceView] = {}
    for name in {body.occurrence for body in told}:
        view = fold([b for b in told if b.occurrence == name], facts)
        if view is not None:
            found[name] = view
    return found


def canonical(views: dict[str, OccurrenceView]) -> bytes:
    """Views as bytes, for comparing tiers byte by byte."""
    return msgspec.json.encode(dict(sorted(views.items())), order="deterministic")


def replay(events: list[Event], chance: random.Random, factory: FactoryTier) -> None:
    """The same events once more, in any order and partly twice, to a factory that knows nothing."""
    shuffled = events + chance.choices(events, k=len(events) // 3)
    chance.shuffle(shuffled)
    for event in shuffled:
        factory.take([event])
