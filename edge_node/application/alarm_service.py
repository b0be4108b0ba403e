"""What people say about alarms: at the edge's own page, at the factory, by the group.

Each is a fact. At this one place the state table rules; facts from above are merged by the
occurrence's versions and answered by a FactResult. Never changes whether a condition is present.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from edge_node.application.ipc import OperatorAction, OperatorResult
from edge_node.application.records import AlarmRecord, Change, Emit, PutFact, PutMark, event
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import AlarmUnit, Cause, Note
from shared.alarm.actions import ANSWERS, REGIONS, SPOKEN, event_of, text_of
from shared.alarm.machine import AlarmEvent, Step, Trigger, step
from shared.clock import Clock, HybridClock, HybridTime
from shared.errors import ContractError, Rejected
from shared.ids import uuid7
from shared.messages.bodies import Fact, FactResult
from shared.messages.codec import decode
from shared.messages.control import Committed
from shared.messages.envelope import Event, Frame
from shared.outbox.watermark import judge
from shared.telemetry import logger

log = logger("facts")
KEEP_FACTS = 5_000
KEEP_CLOSED = 1_000
LOCAL = "edge"


class AlarmService:
    """Applies facts to the alarm book."""

    def __init__(
        self, book: AlarmBook, clock: Clock, steady: Callable[[], int], facts: dict[str, str],
        marks: dict[tuple[str, str, str], int], last_hlc: str,
    ) -> None:  # fmt: skip
        self._book, self._clock, self._steady = book, clock, steady
        self._known, self._marks = facts, marks
        self._closed: dict[str, AlarmRecord] = {}
        self._hybrid = HybridClock(clock, HybridTime.parse(last_hlc) if last_hlc else None)

    def use(self, book: AlarmBook) -> None:
        """Go on with the alarms of another version of the site."""
        self._book = book

    def note_closed(self, record: AlarmRecord) -> None:
        """Remember a closed occurrence: facts about it may still come from above."""
        self._closed[record.occurrence] = record
        while len(self._closed) > KEEP_CLOSED:
            del self._closed[next(iter(self._closed))]

    # from above

    def take_frame(self, frame: Frame) -> tuple[Change, Committed]:
        """Facts from above: rows to store in one transaction, and the answer once they are."""
        key = (frame.source, frame.epoch, frame.lane)
        mark = self._marks.get(key, 0)
        if frame.oldest > mark + 1:
            # A new database here: what came before is nowhere any more, and not waited for.
            log.error("facts_forgotten", source=frame.source, first=mark + 1, last=frame.oldest - 1)
            mark = frame.oldest - 1
        verdict = judge(frame, mark)
        rows: Change = []
        for _, raw in verdict.fresh:
            rows += self._one(raw)
        if verdict.fresh:
            self._marks[key] = verdict.watermark
            rows.append(PutMark(*key, verdict.watermark))
        answer = Committed(
            source=frame.source,
            watermarks={f"{frame.epoch}/{frame.lane}": self._marks.get(key, 0)},
            at=self._clock.now_ms(),
        )
        return rows, answer

    def _one(self, raw: msgspec.Raw) -> Change:
        try:
            body = decode(bytes(raw), Event).body
        except ContractError as error:
            log.error("fact_unreadable", error=str(error))
            return []
        if not isinstance(body, Fact):
            log.error("not_a_fact", kind=type(body).__name__)
            return []
        return self._remember(body, *self.apply(body))

    # at the edge's own page

    def act(self, action: OperatorAction) -> tuple[Change, OperatorResult]:
        """An action on the local page: applied, or refused with a code."""
        fact = Fact(
            id=action.id, alarm=action.alarm, occurrence=action.occurrence,
            version_seen=action.version, action=action.action, actor=action.actor, place=LOCAL,
            hlc=str(self._hybrid.tick()), args=action.args,
        )  # fmt: skip
        if action.id in self._known:  # the page asks again: the answer is the same
            result = self._known[action.id]
            return [], OperatorResult(id=action.id, accepted=result != "refused")
        result, code = self.apply(fact)
        if result == "refused":
            return [], OperatorResult(id=action.id, accepted=False, code=code)
        rows = self._remember(fact, result, code)
        rows.append(Emit(event(fact.id, f"fact.{fact.action}", self._clock.now_ms(), fact)))
        return rows, OperatorResult(id=action.id, accepted=True, code=code or "ok")

    def _remember(self, fact: Fact, result: str, code: str) -> Change:
        if fact.id in self._known:
            return []
        self._known[fact.id] = result
        while len(self._known) > KEEP_FACTS:
            del self._known[next(iter(self._known))]
        rows: Change = [PutFact(fact, result)]
        if fact.place != LOCAL:
            answer = FactResult(
                fact=fact.id, alarm=fact.alarm, occurrence=fact.occurrence, result=result, code=code
            )
            name = uuid7(self._clock)
            rows.append(Emit(event(name, f"fact.{result}", self._clock.now_ms(), answer)))
        return rows

    # both

    def apply(self, fact: Fact) -> tuple[str, str]:
        """(applied | recorded | refused, code) of one fact."""
        if fact.id in self._known:
            return self._known[fact.id], "repeated"
        try:
            self._hybrid.observe(HybridTime.parse(fact.hlc))
        except ValueError:
            return "refused", "bad_time"
        unit = self._book.units.get(fact.alarm)
        if unit is None:
            return "refused", "unknown_alarm"
        if fact.action in SPOKEN:
            silent = fact.action == "comment" and not text_of(fact.args, "text")
            return ("refused", "bad_argument") if silent else ("applied", "")
        wanted = self._event(unit, fact)
        if isinstance(wanted, Rejected):
            return "refused", wanted.code
        if fact.place == LOCAL:
            refusal = self._refused_here(unit, fact, wanted)
        else:
            refusal = self._refused_from_above(unit, fact, wanted)
        if refusal is not None:
            return refusal
        if fact.action in REGIONS and not text_of(fact.args, "reason"):
            return "refused", "reason_required"
        done = self._do(unit, fact, wanted)
        return ("applied", "") if done.accepted else ("refused", done.result)

    def _refused_here(
        self, unit: AlarmUnit, fact: Fact, wanted: AlarmEvent
    ) -> tuple[str, str] | None:
        """The state table's word, then whether the page showed the newest annunciation."""
        if wanted.trigger is Trigger.UNSUPPRESS and unit.causes and not unit.by_operator:
            return "refused", "suppressed_by_design"
        preview = step(unit.definition.policy, unit.state, wanted, self._steady())
        if not preview.accepted:
            return "refused", preview.result
        if wanted.trigger in ANSWERS and fact.version_seen < unit.annunciated_version:
            return "refused", "not_seen"
        return None

    def _refused_from_above(
        self, unit: AlarmUnit, fact: Fact, wanted: AlarmEvent
    ) -> tuple[str, str] | None:
        """Who answers at another place answers what was annunciated and seen there."""
        if wanted.trigger not in ANSWERS:
            return None
        stale = self._stale(unit, fact)
        if stale is None and wanted.trigger is Trigger.ACKNOWLEDGE and unit.state.acked:
            return "recorded", "already_acknowledged"
        return stale

    def _stale(self, unit: AlarmUnit, fact: Fact) -> tuple[str, str] | None:
        if fact.occurrence == unit.occurrence:
            seen = 0 < unit.annunciated_version <= fact.version_seen
            return None if seen else ("refused", "not_seen")
        closed = self._closed.get(fact.occurrence)
        if closed is not None and 0 < closed.annunciated_version <= fact.version_seen:
            return "recorded", "occurrence_closed"
        return "refused", "not_seen"

    def _do(self, unit: AlarmUnit, fact: Fact, wanted: AlarmEvent) -> Step:
        at, cause = self._steady(), Cause(fact.id, fact.actor)
        if wanted.trigger in (Trigger.SUPPRESS, Trigger.UNSUPPRESS):
            held = wanted.trigger is Trigger.SUPPRESS
            done = self._book.hold(unit, held, at, cause)
        else:
            done = self._book.trigger(unit, wanted, at, cause)
        if not done.accepted:
            return done
        region = REGIONS.get(fact.action)
        if region is not None:
            reason, permit = text_of(fact.args, "reason"), text_of(fact.args, "permit")
            unit.notes[region] = Note(fact.actor, reason, self._clock.now_ms(), permit)
        if done.result == "noop":
            unit.forget_notes()
            self._book.note(unit, at)
        return done

    def _event(self, unit: AlarmUnit, fact: Fact) -> AlarmEvent | Rejected:
        above = fact.place != LOCAL
        if above and unit.definition.safety and fact.action in REGIONS:
            return Rejected("safety_alarm")
        mine = above or fact.occurrence == unit.occurrence
        return event_of(fact.action, fact.args, mine=mine, seen=above)
