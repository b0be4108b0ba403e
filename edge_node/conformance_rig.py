"""One alarm on the edge's own assembly, moved only as a plant and its people move it.

Used by `conformance_tour` and the tests: samples through the pipeline, time by a clock, actions
through the alarm service. It reads what the edge publishes and never sets a state.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_node.application.alarm_service import AlarmService
from edge_node.application.board import Board
from edge_node.application.ipc import OperatorAction, Samples
from edge_node.application.pipeline import Pipeline
from edge_node.application.records import AlarmRecord
from edge_node.application.status import Names
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import Transition
from edge_node.domain.annunciation import Annunciation
from edge_node.domain.tags import TagTable
from shared.alarm.conformance import REGIONS, cells_of, region_cells
from shared.alarm.definition import AlarmDefinition, Words
from shared.alarm.machine import Policy, Step
from shared.alarm.point import Setting
from shared.alarm.states import AlarmState
from shared.clock import ManualClock
from shared.messages.codec import decode, encode
from shared.site.model import SourceSpec, TagSpec

ALARM, ABOVE, SOURCE = "T.HI", "S.HI", "s1"
HIGH, LOW, LIMIT = 110.0, 90.0, 100.0
RESTART = "RESTART"
"""No event of the table: at any moment it must change nothing."""
SHELF_MS, LONGEST_MS, RE_ALARM_MS = 3_600_000, 8 * 3_600_000, 1_000
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one event led to, as the edge published it."""

    cells: dict[str, str]
    key: Key
    """The regions after."""


class Rig:
    """Tag T with the alarm under test, tag S with an alarm that suppresses it by design."""

    def __init__(self, policy: Policy, re_alarm: bool) -> None:
        self._clock = ManualClock()
        self._definitions = [
            _definition(ALARM, "T", policy, (ABOVE,), RE_ALARM_MS if re_alarm else None),
            _definition(ABOVE, "S", Policy(ack_required=False), (), None),
        ]
        count = iter(range(1, 1 << 62))
        self._next = lambda: f"o{next(count)}"
        self._stored: dict[str, bytes] = {}
        self._told: list[Transition] = []
        self._start()

    def _start(self) -> None:
        source = SourceSpec(id=SOURCE, edge="e1", driver="opcua", url="opc.tcp://x")
        tags = TagTable([source], [_tag("T"), _tag("S")])
        tags.sources[SOURCE].up = True
        book = AlarmBook(self._definitions, self._next)
        for alarm, stored in self._stored.items():
            record = decode(stored, AlarmRecord)
            record.restore(book.units[alarm])
            book.suppression.restore(book.units[alarm], tuple(record.causes))
        self._pipeline = Pipeline(tags, book, self._clock)
        self._service = AlarmService(book, self._clock, self._pipeline.steady, {}, {}, "")
        name = Names("", "")
        self._board = Board("f1", "e1", name, book, Annunciation(boot="b"), self._clock)
        self._publish(self._pipeline.start())
        self._board.show_all()

    # what the edge publishes

    def _publish(self, transitions: list[Transition]) -> None:
        for transition in transitions:
            record = AlarmRecord.of_transition(transition)
            self._board.show(record)
            self._stored[record.alarm] = encode(record)
            if record.alarm == ALARM:
                self._told.append(transition)

    @property
    def _record(self) -> AlarmRecord | None:
        stored = self._stored.get(ALARM)
        return decode(stored, AlarmRecord) if stored is not None else None

    @property
    def _state(self) -> AlarmState:
        """As last published; at rest before the first publication."""
        record = self._record
        return AlarmState.from_dict(record.state) if record is not None else AlarmState()

    @property
    def key(self) -> Key:
        """The regions now."""
        return region_cells(self._state)

    @property
    def horn(self) -> bool:
        """Whether this place sounds."""
        return self._board.horn

    def fire(self, event: str) -> Outcome:
        """Let one event of the table happen."""
        self._told = []
        code = _EVENTS[event](self)
        result = code or ("ok" if self._told else "noop")
        annunciated = any(t.body.annunciate for t in self._told)
        cells = cells_of(Step(self._state, result, annunciated))
        return Outcome({**cells, **self._on_the_board()}, self.key)

    def _on_the_board(self) -> dict[str, str]:
        """What the page shows and sounds; a difference to the records shows in the cells."""
        row = self._board.any_row(ALARM)
        assert row is not None
        flags = {
            "enabled": row.enabled, "active": row.active, "acked": row.acked,
            "confirmed": row.confirmed, "latched": row.latched, "supp": row.suppressed,
            "oos": row.out_of_service,
        }  # fmt: skip
        shown = {f"t_{name}": str(int(flag)) for name, flag in flags.items() if name in REGIONS}
        return {**shown, "t_shelf": row.shelf, "audible": str(int(self.horn))}

    # what happens

    def sample(self, tag: int, value: float) -> str:
        """The plant: one good sample of T (0) or S (1)."""
        now = self._clock.now_ms()
        batch = Samples(
            tags=struct.pack("<i", tag), times=struct.pack("<q", now),
            values=struct.pack("<d", value), qualities=b"\0",
        )  # fmt: skip
        self._publish(self._pipeline.take(SOURCE, batch))
        return ""

    def wait(self, ms: int) -> str:
        """Time: every timer on its time."""
        while (step := self._pipeline.next_due_in_ms()) is not None and step <= ms:
            self._clock.advance(step)
            ms -= step
            self._publish(self._pipeline.tick())
        self._clock.advance(ms)
        return ""

    def restart(self) -> str:
        """A kill: all that is left is what was stored."""
        self._start()
        return ""

    def shelf_ends(self) -> str:
        """Time: until the shelf ends, or long enough for any that has been ended before."""
        until = self._state.shelved_until
        return self.wait(until - self._pipeline.steady() if until is not None else LONGEST_MS + 1)

    def act(self, action: str, args: dict[str, Any] | None = None, occurrence: str = "") -> str:
        """A person at the edge's page; the answer's code."""
        shown = self._record
        request = OperatorAction(
            id=self._next(), action=action, alarm=ALARM, actor="li", args=args or {},
            occurrence=occurrence or (shown.occurrence if shown else ""),
            version=shown.version if shown else 0,
        )  # fmt: skip
        _, answer = self._service.act(request)
        self._publish(self._pipeline.settle())
        return answer.code


_WHY = {"reason": "conformance"}
_EVENTS: dict[str, Callable[[Rig], str]] = {
    "RAISE": lambda rig: rig.sample(0, HIGH),
    "CLEAR": lambda rig: rig.sample(0, LOW),
    "ACK": lambda rig: rig.act("acknowledge"),
    "ACK_WRONG_EVENTID": lambda rig: rig.act("acknowledge", occurrence="another"),
    "CONFIRM": lambda rig: rig.act("confirm"),
    "RESET": lambda rig: rig.act("reset"),
    "SHELVE_TIMED": lambda rig: rig.act("shelve", {"ms": SHELF_MS, **_WHY}),
    "SHELVE_TIMED_BAD_DURATION": lambda rig: rig.act("shelve", {"ms": LONGEST_MS + 1, **_WHY}),
    "SHELVE_ONESHOT": lambda rig: rig.act("shelve", {"one_shot": True, **_WHY}),
    "UNSHELVE": lambda rig: rig.act("unshelve"),
    "SHELF_EXPIRED": Rig.shelf_ends,
    "SUPPRESS_ON": lambda rig: rig.sample(1, HIGH),
    "SUPPRESS_OFF": lambda rig: rig.sample(1, LOW),
    "OOS_ON": lambda rig: rig.act("out_of_service", _WHY),
    "OOS_OFF": lambda rig: rig.act("in_service"),
    "DISABLE": lambda rig: rig.act("disable", _WHY),
    "ENABLE": lambda rig: rig.act("enable"),
    "REALARM_TIMER": lambda rig: rig.wait(RE_ALARM_MS),
    RESTART: Rig.restart,
}


def _definition(
    alarm: str, tag: str, policy: Policy, above: tuple[str, ...], re_alarm_ms: int | None
) -> AlarmDefinition:
    return AlarmDefinition(
        id=alarm, edge="e1", asset="X-1", tag=tag, kind="limit", name=Words(alarm, alarm),
        priority=2, side="HI", setting=Setting(LIMIT), policy=policy, suppressed_by=above,
        re_alarm_ms=re_alarm_ms,
    )  # fmt: skip


def _tag(name: str) -> TagSpec:
    names = {"zh": name, "en": name}
    return TagSpec.model_validate(
        {"id": name, "source": SOURCE, "address": name, "asset": "X-1", "name": names}
    )
