"""Alarms as OPC UA conditions: what makes an event, what answers it, what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from factory_brain.application.opcua_alarms import RECENT, AlarmBook, Spoken
from factory_brain.domain.rows import Occurrence, order_key
from shared.errors import Rejected
from shared.identity.policy import User
from shared.messages.bodies import Fact
from tests.support.brain_world import ALARM, transition

OPERATOR = User("li", ("operator",))


def occurrence(version: int, *, name: str = "occ-1", raised: int = 1, **more: Any) -> Occurrence:
    active, acked = more.get("active", True), more.get("acked", False)
    body = transition(version, active=active, acked=acked, kind=more.get("kind", "raised"))
    body = msgspec.structs.replace(body, occurrence=name, raised_at=raised, **more.get("body", {}))
    key = order_key(body, body.source_time, f"ev-{version}")
    facts = tuple(more.get("facts", ()))
    return Occurrence(name, ALARM, "e1", body, key, raised, None, 5, False, facts)


def acknowledged(version: int) -> Fact:
    return Fact(
        id="f-1", alarm=ALARM, occurrence="occ-1", version_seen=version, action="acknowledge",
        actor="li", place="factory", hlc="1700000000500.00000", args={"comment": "去现场"},
    )  # fmt: skip


def test_only_changes_make_events_and_none_twice() -> None:
    book = AlarmBook({})
    first = book.take(occurrence(1))
    assert first is not None
    assert first.state.retained
    assert book.take(occurrence(1)) is None
    acked = book.take(occurrence(1, facts=[acknowledged(1)]))
    assert acked is not None
    assert (acked.by, acked.comment, acked.state.acked) == ("li", "去现场", True)
    # the edge refused it: the state of before is another event
    again = book.take(occurrence(1))
    assert again is not None
    assert len({first.event_id, acked.event_id, again.event_id}) == 3
    assert book.told(ALARM, first.event_id) == book.told(ALARM, again.event_id) == ("occ-1", 1)
    # what is older than what is shown changes nothing
    assert book.take(occurrence(3, active=False, kind="returned")) is not None
    assert book.take(occurrence(2)) is None
    assert book.take(occurrence(9, name="occ-0", raised=0)) is None
    # another book says the same of the same
    other = AlarmBook({}).take(occurrence(1))
    assert other is not None
    assert other.event_id == first.event_id


def test_severity_and_the_one_before_it() -> None:
    book = AlarmBook({})
    assert book.take(occurrence(1)) is not None
    milder = book.take(occurrence(2, body={"priority": 3}))
    assert milder is not None
    assert (milder.severity, milder.last_severity) == (500, 900)
    later = book.take(occurrence(3, body={"priority": 3}))
    assert later is not None
    assert (later.severity, later.last_severity) == (500, 900)


def test_ids_are_kept_for_the_newest_events_only() -> None:
    book = AlarmBook({})
    ids = [book.take(occurrence(version)) for version in range(1, RECENT + 3)]
    assert book.told(ALARM, ids[1].event_id) is None  # type: ignore[union-attr]
    assert book.told(ALARM, ids[2].event_id) == ("occ-1", 3)  # type: ignore[union-attr]
    assert [each.version for each in book.retained()] == [RECENT + 2]
    assert book.take(occurrence(RECENT + 3, active=False, acked=True, kind="returned")) is not None
    assert list(book.retained()) == []


class _Desk:
    def __init__(self, answer: Rejected | None = None) -> None:
        self.answer, self.asked = answer, []

    async def asset(self, alarm: str) -> str:
        return "FUR-01"

    async def act(self, asked: Any, actor: str) -> Rejected | None:
        self.asked.append((asked, actor))
        return self.answer


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("Bad_ConditionBranchAlreadyAcked", "BadConditionBranchAlreadyAcked"),
        ("not_seen", "BadEventIdUnknown"),
        ("REJECT_not_annunciated", "BadInvalidState"),
    ],
)
async def test_refusals_of_the_desk_are_status_codes(code: str, status: str) -> None:
    book, desk = AlarmBook({}), _Desk(Rejected(code))
    shown = book.take(occurrence(4))
    assert shown is not None
    spoken = Spoken(book, desk)  # type: ignore[arg-type]
    assert await spoken.act(OPERATOR, ALARM, shown.event_id, "acknowledge", "") == status
    ((asked, actor),) = desk.asked
    assert (asked.occurrence, asked.version, asked.args, actor) == ("occ-1", 4, {}, "li")


async def test_who_may_not_is_not_told_whether_the_event_is_known() -> None:
    book, desk = AlarmBook({}), _Desk()
    spoken = Spoken(book, desk)  # type: ignore[arg-type]
    for user in (None, User("guest", ("viewer",))):
        assert await spoken.act(user, ALARM, b"x", "acknowledge", "") == "BadUserAccessDenied"
    assert await spoken.act(OPERATOR, ALARM, b"x", "acknowledge", "") == "BadEventIdUnknown"
    off = {"state": {**occurrence(1).transition.state, "enabled": False}}
    book.take(occurrence(1))
    shown = book.take(occurrence(2, body=off))
    assert shown is not None
    assert await spoken.act(OPERATOR, ALARM, shown.event_id, "acknowledge", "") == (
        "BadConditionDisabled"
    )
    assert desk.asked == []
