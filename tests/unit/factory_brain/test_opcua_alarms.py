"""Alarms as OPC UA conditions: what makes an event, what answers it, what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from factory_brain.application.opcua_alarms import FactoryAlarms, Known
from factory_brain.domain.rows import Occurrence, order_key
from shared.errors import Rejected
from shared.identity.policy import User
from shared.messages.bodies import Fact
from shared.opcua.alarms import RECENT, REFUSALS, AlarmBook, Pass, Said
from tests.support.brain_world import ALARM, transition

LI = Pass("a session", name="li")
PEOPLE = {LI: User("li", ("operator",)), Pass("another", name="guest"): User("guest", ("viewer",))}


class _Desk:
    def __init__(self, answer: Rejected | None = None) -> None:
        self.answer, self.asked = answer, []

    async def asset(self, alarm: str) -> str:
        return "FUR-01"

    async def act(self, asked: Any, actor: str) -> Rejected | None:
        self.asked.append((asked, actor))
        return self.answer


def factory(desk: _Desk | None = None) -> FactoryAlarms:
    async def newest(alarm: str) -> None:
        return None

    async def user(shown: Pass) -> User | None:
        return PEOPLE.get(shown)

    site: Any = SimpleNamespace(alarms={})
    return FactoryAlarms(site, desk or _Desk(), Known(list, newest, user))  # type: ignore[arg-type]


def book() -> AlarmBook:
    return AlarmBook(factory())


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
    kept = book()
    first = kept.take(ALARM, occurrence(1))
    assert first is not None
    assert first.state.retained
    assert kept.take(ALARM, occurrence(1)) is None
    acked = kept.take(ALARM, occurrence(1, facts=[acknowledged(1)]))
    assert acked is not None
    assert (acked.by, acked.comment, acked.state.acked) == ("li", "去现场", True)
    # the edge refused it: the state of before is another event
    again = kept.take(ALARM, occurrence(1))
    assert again is not None
    assert len({first.event_id, acked.event_id, again.event_id}) == 3
    assert kept.told(ALARM, first.event_id) == kept.told(ALARM, again.event_id) == ("occ-1", 1)
    # what is older than what is shown changes nothing
    assert kept.take(ALARM, occurrence(3, active=False, kind="returned")) is not None
    assert kept.take(ALARM, occurrence(2)) is None
    assert kept.take(ALARM, occurrence(9, name="occ-0", raised=0)) is None
    # another book says the same of the same
    other = book().take(ALARM, occurrence(1))
    assert other is not None
    assert other.event_id == first.event_id


def test_severity_and_the_one_before_it() -> None:
    kept = book()
    assert kept.take(ALARM, occurrence(1)) is not None
    milder = kept.take(ALARM, occurrence(2, body={"priority": 3}))
    assert milder is not None
    assert (milder.severity, milder.last_severity) == (500, 900)
    later = kept.take(ALARM, occurrence(3, body={"priority": 3}))
    assert later is not None
    assert (later.severity, later.last_severity) == (500, 900)


def test_ids_are_kept_for_the_newest_events_only() -> None:
    kept = book()
    ids = [kept.take(ALARM, occurrence(version)) for version in range(1, RECENT + 3)]
    assert kept.told(ALARM, ids[1].event_id) is None  # type: ignore[union-attr]
    assert kept.told(ALARM, ids[2].event_id) == ("occ-1", 3)  # type: ignore[union-attr]
    assert [each.version for each in kept.retained()] == [RECENT + 2]
    assert (
        kept.take(ALARM, occurrence(RECENT + 3, active=False, acked=True, kind="returned"))
        is not None
    )
    assert list(kept.retained()) == []


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("Bad_ConditionBranchAlreadyAcked", "BadConditionBranchAlreadyAcked"),
        ("not_seen", "BadEventIdUnknown"),
        ("Bad_ShelvingTimeOutOfRange", "BadShelvingTimeOutOfRange"),
        ("REJECT_not_annunciated", None),
    ],
)
async def test_refusals_of_the_desk_are_status_codes(code: str, status: str | None) -> None:
    desk = _Desk(Rejected(code))
    refused = await factory(desk).act("li", Said(ALARM, "occ-1", 4, "acknowledge"))
    assert REFUSALS.get(refused) == status
    ((asked, actor),) = desk.asked
    assert (asked.occurrence, asked.version, asked.args, actor) == ("occ-1", 4, {}, "li")


async def test_only_who_may_is_somebody() -> None:
    tier = factory()
    assert await tier.actor(LI, ALARM, "acknowledge") == "li"
    assert await tier.actor(LI, ALARM, "shelve") == "li"
    for nobody in (Pass(), Pass("another", name="guest"), Pass("over", name="li")):
        assert await tier.actor(nobody, ALARM, "acknowledge") == ""
