"""Planned messages: sent, summarised, or held with a reason; none lost, whatever the times."""

from __future__ import annotations

import asyncio
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


class Rows:
    """The store's promises, in memory."""

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}
        self.entries: list[Entry] = []

    @asynccontextmanager
    async def planning(self) -> AsyncIterator[None]:
        yield None

    async def recent(self, tx: Any, person: str, since: int) -> int:
        return sum(
            each.person == person and each.at > since and each.status == "queued"
            and each.kind != "summary"
            for each in self.messages.values()
        )  # fmt: skip

    async def add(
        self, tx: Any, messages: Sequence[Message], entries: Sequence[Entry], now: int
    ) -> None:
        self.messages.update({each.id: each for each in messages})
        self.entries += entries

    async def gathered(self, tx: Any, now: int) -> list[Message]:
        waiting = [each for each in self.messages.values() if each.status == "gathered"]
        due = sorted((each for each in waiting if each.due <= now), key=lambda m: m.due)  # type: ignore[operator, arg-type, return-value]
        return [each for each in waiting if due and each.person == due[0].person]

    async def summarise(
        self, tx: Any, members: Sequence[Message], summary: Message, now: int
    ) -> None:
        for each in members:
            self.messages[each.id] = replace(each, status="summarised", due=None)
        await self.add(tx, [summary], [], now)

    async def wait_longer(self, tx: Any, members: Sequence[Message], due: int) -> None:
        for each in members:
            self.messages[each.id] = replace(each, due=due)


async def _no_occurrence(_: str) -> None:
    return None


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
    planning = Planning(clock, store, directory, _no_occurrence)
    for pause, person, priority in steps:
        clock.advance(pause)
        while await planning.gather():
            pass
        told = await planning.tell(None, [person], Draft("alarm", priority, {}))
        if person == "b" and priority == 1:
            assert told[0].status == "queued"
    for _ in range(20):
        clock.advance(2 * HOUR)
        while await planning.gather():
            pass
    alarms = [each for each in rows.messages.values() if each.kind == "alarm"]
    assert len(alarms) == len(steps) == len(rows.entries)
    assert {each.status for each in alarms} <= {"queued", "summarised"}
    gathered = [each for each in alarms if each.status == "summarised"]
    assert all(each.reason in ("limit", "do_not_disturb") for each in gathered)
    summaries = [each for each in rows.messages.values() if each.kind == "summary"]
    assert sum(each.facts["total"] for each in summaries) == len(gathered)
    assert {each.priority for each in gathered if each.reason == "limit"} <= {2, 3, 4}
    assert all(len(each.facts["top"]) <= 3 for each in summaries)
