"""Planned messages: sent, summarised, or held with a reason; none lost, whatever the times."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from factory_brain.application.notify.directory import Directory
from factory_brain.application.notify.planning import Draft, Planning
from factory_brain.application.notify.ports import Entry, Message, Store
from shared.clock import ManualClock
from shared.site.notify import NotifyFile
from shared.site.site import Site

HOUR = 3_600_000
FILE = NotifyFile.model_validate({
    "people": [
        {"id": "a", "name": {"zh": "甲", "en": "A"}, "channels": [
            {"kind": "log", "do_not_disturb": [{"from": "22:00", "to": "06:00"}]}]},
        {"id": "b", "name": {"zh": "乙", "en": "B"}, "channels": [
            {"kind": "log", "do_not_disturb": [{"from": "20:00", "to": "07:30"}],
             "break_through_priority": 2}]},
    ],
    "limits": {"messages": 2, "within": "30m"}, "summaries": {"every": "10m", "top": 3},
})  # fmt: skip


IN_A_SUMMARY = 7


class Rows:
    """The store's promises, in memory; what is queued is sent at once, as the sender would."""

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}
        self.entries: list[Entry] = []
        self.summary_of: dict[str, str] = {}

    @asynccontextmanager
    async def planning(self) -> AsyncIterator[None]:
        yield None

    async def recent(self, tx: Any, person: str, since: int) -> int:
        return sum(
            each.person == person and each.at > since and each.kind != "summary"
            and each.status in ("queued", "sent", "failed")
            for each in self.messages.values()
        )  # fmt: skip

    async def add(
        self, tx: Any, messages: Sequence[Message], entries: Sequence[Entry], now: int
    ) -> None:
        assert not self.messages.keys() & {each.id for each in messages}
        self.messages.update({each.id: each for each in messages})
        self.entries += entries

    def send(self, odd: bool) -> None:
        """What is queued goes; some of it in vain."""
        status = "failed" if odd else "sent"
        for each in list(self.messages.values()):
            if each.status == "queued":
                self.messages[each.id] = replace(each, status=status, due=None)

    async def gathered(self, tx: Any, now: int) -> list[Message]:
        waiting = [each for each in self.messages.values() if each.status == "gathered"]
        due = sorted((each for each in waiting if each.due <= now), key=lambda m: m.due)  # type: ignore[operator, arg-type, return-value]
        found = [each for each in waiting if due and each.person == due[0].person]
        return sorted(found, key=lambda m: (m.priority, m.at))[:IN_A_SUMMARY]

    async def summarise(
        self, tx: Any, members: Sequence[Message], summary: Message, now: int
    ) -> None:
        for each in members:
            assert self.messages[each.id].status == "gathered"
            self.messages[each.id] = replace(each, status="summarised", due=None)
            self.summary_of[each.id] = summary.id
        await self.add(tx, [summary], [], now)

    async def wait_longer(self, tx: Any, person: str, due: int) -> None:
        for each in list(self.messages.values()):
            if each.person == person and each.status == "gathered":
                self.messages[each.id] = replace(each, due=due)


async def _no_occurrences(_: list[str]) -> list[Any]:
    return []


def quiet(person: str, priority: int, at: int) -> bool:
    """Whether a person must not be disturbed, by hand: UTC, one span of the night each."""
    minute = at // 60_000 % 1440
    if person == "a":
        return priority > 1 and (minute >= 22 * 60 or minute < 6 * 60)
    return priority > 2 and (minute >= 20 * 60 or minute < 7 * 60 + 30)


steps = st.lists(
    st.tuples(st.integers(0, 3 * HOUR), st.sampled_from("ab"), st.integers(1, 4)),
    min_size=1, max_size=40,
)  # fmt: skip


@given(start=st.integers(0, 24 * HOUR), steps=steps)
def test_everything_is_sent_alone_or_in_one_summary_and_critical_is_never_counted_away(
    start: int, steps: list[tuple[int, str, int]]
) -> None:
    asyncio.run(_play(start, steps))


async def _play(start: int, steps: list[tuple[int, str, int]]) -> None:
    clock, rows = ManualClock(1_767_600_000_000 + start), Rows()
    site = cast(Site, SimpleNamespace(notify=FILE, info=SimpleNamespace(timezone="UTC", roster={})))
    store = cast(Store, rows)
    directory = Directory(site, clock, store)
    planning = Planning(clock, store, directory, _no_occurrences)
    for n, (pause, person, priority) in enumerate(steps):
        clock.advance(pause)
        while await planning.gather():
            pass
        singly = [
            m
            for m in rows.messages.values()
            if m.person == person
            and m.kind == "alarm"
            and m.status in ("sent", "failed")
            and m.at > clock.now_ms() - HOUR // 2
        ]
        told = await planning.tell(None, [person], Draft("alarm", priority, {}))
        # The reason by hand: quiet hours, else the limit of two in half an hour, else none.
        wanted = ("gathered", "do_not_disturb") if quiet(person, priority, clock.now_ms()) else (
            ("gathered", "limit") if priority > 1 and len(singly) >= 2 else ("queued", "")
        )  # fmt: skip
        assert [(each.status, each.reason) for each in told] == [wanted]
        rows.send(n % 3 == 0)
    for _ in range(20):
        clock.advance(2 * HOUR)
        while await planning.gather():
            pass
        rows.send(False)
    _check(rows, len(steps))


def _check(rows: Rows, count: int) -> None:
    alarms = [each for each in rows.messages.values() if each.kind == "alarm"]
    assert len(alarms) == count == len(rows.entries)
    assert {each.status for each in alarms} <= {"sent", "failed", "summarised"}
    for each in alarms:
        held = each.reason in ("limit", "do_not_disturb")
        assert (each.status == "summarised") == held == (each.id in rows.summary_of)
    summaries = [each for each in rows.messages.values() if each.kind == "summary"]
    for each in summaries:
        assert each.status in ("sent", "failed")
        members = [rows.messages[m] for m, of in rows.summary_of.items() if of == each.id]
        assert {m.person for m in members} == {each.person}
        assert each.priority == min(m.priority for m in members)
        assert not quiet(each.person, each.priority, each.at)
        counts = Counter(str(m.priority) for m in members)
        assert (each.facts["total"], each.facts["by_priority"]) == (len(members), counts)
        assert len(each.facts["top"]) == min(3, len(members)) <= len(members) <= IN_A_SUMMARY
        assert [t["priority"] for t in each.facts["top"]] == sorted(m.priority for m in members)[:3]
