"""Notifications over their rows alone: kills, two brains, failed summaries, a clock set back."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import factory_brain
from factory_brain.adapters.postgres import notify_store
from factory_brain.application.notify.planning import Draft
from factory_brain.application.notify.ports import NotTaken
from factory_brain.domain.rows import Occurrence
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.site.notify import NotifyFile
from tests.support.brain_world import transition, until
from tests.support.notify_rows import FILE, HOUR, MIN, RowsWorld, entry, person_spec
from tests.support.servers import PostgresForTests

pytestmark = pytest.mark.timeout(60)
MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"


@pytest.fixture(scope="module")
def rows_url(postgres: PostgresForTests) -> Iterator[str]:
    """One database for all tests here: each begins with empty tables."""
    name = f"t_{secrets.token_hex(4)}"

    async def make() -> str:
        url = await postgres.create(name)
        await migrate(url, MIGRATIONS)
        return url

    yield asyncio.run(make())
    asyncio.run(asyncio.wait_for(postgres.drop(name), 20))


@pytest.fixture
async def world(rows_url: str) -> AsyncIterator[RowsWorld]:
    pool = await connect_pool(rows_url, size=6)
    await pool.execute("TRUNCATE notify_case, notify_message, notify_log, roster_override")
    yield RowsWorld(pool)
    await pool.close()


async def test_a_kill_after_the_last_attempt_has_the_next_step_at_once_all_the_same(
    world: RowsWorld,
) -> None:
    async def killed(*_: Any) -> None:
        raise ConnectionResetError("the brain ends while it shows the condition")

    await world.case("o")
    await world.put("m", case_id="o/l", attempt=1)
    world.service.answer = NotTaken("refused")
    (message,) = await world.claim()
    with pytest.raises(ConnectionResetError):
        await world.sending(killed).deliver(message)
    assert (await world.row("m"))["status"] == "failed"
    assert await world.unreached() == {"o"}


async def test_the_condition_is_shown_again_when_showing_it_failed(world: RowsWorld) -> None:
    shown: list[tuple[Any, ...]] = []

    async def system(*told: Any) -> None:
        shown.append(told)
        if len(shown) == 1:
            raise ConnectionResetError

    sending = world.sending(system)
    world.service.answer = NotTaken("refused")
    for name in ("m1", "m2", "m3"):
        await world.put(name, attempt=1)
        (message,) = await world.claim()
        with contextlib.suppress(ConnectionResetError):
            await sending.deliver(message)
    assert shown == [("person-a", True, {"subject": "refused"})] * 2


async def test_of_two_that_fail_at_the_same_moment_the_later_one_hurries_the_ladder(
    world: RowsWorld,
) -> None:
    for n in range(25):
        await world.case(f"o{n}")
        for person in ("a", "b"):
            await world.put(f"{person}{n}", person, case_id=f"o{n}/l")
        pair = await world.claim()
        hurried = await asyncio.gather(*(
            world.store.settle(
                replace(each, status="failed"), entry(each, "failed"), world.clock.now_ms()
            )
            for each in pair
        ))  # fmt: skip
        assert sorted(hurried, key=str) == [0, 1], n
    assert await world.unreached() == {f"o{n}" for n in range(25)}


async def test_what_a_failed_summary_told_has_its_next_step_at_once(world: RowsWorld) -> None:
    now = world.clock.now_ms()
    for name in ("alone", "reached", "further", "reminded", "over"):
        await world.case(name, status="ended" if name == "over" else "running")
        await world.put(f"m-{name}", case_id=f"{name}/l", status="gathered", due=now)
    # Somebody else heard of one; of another a later step has come; a reminder is no such hope.
    await world.put("other", "b", case_id="reached/l", status="sent", due=None)
    await world.put("later", "b", case_id="further/l", n=1, status="sent", due=None)
    await world.put("again", "b", case_id="reminded/l", n=1, kind="reminder", due=now + HOUR)
    assert await world.planning.gather()
    (summary,) = await world.claim()
    assert (summary.kind, summary.facts["total"]) == ("summary", 5)
    world.service.answer = NotTaken("refused")
    wakes: list[int] = []
    sending = world.sending()
    sending.on_unreached.append(lambda: wakes.append(1))
    await sending.deliver(summary)  # tried again in 5 s
    assert await world.unreached() == set()
    world.clock.advance(5_000)
    await sending.deliver(*await world.claim())
    assert await world.unreached() == {"alone", "reminded"}
    assert wakes == [1]


async def test_a_brain_that_was_overtaken_writes_nothing_over_what_came_after_it(
    world: RowsWorld,
) -> None:
    await world.case("o")
    await world.put("m", case_id="o/l")
    (old,) = await world.claim()
    world.clock.advance(MIN)  # it hangs until its time is over, and another brain takes it
    (new,) = await world.claim()
    now = world.clock.now_ms()
    failed = replace(old, status="failed")
    assert await world.store.settle(failed, entry(old, "failed"), now) is None
    assert await world.store.settle(replace(new, status="sent"), entry(new, "sent"), now) == 0
    assert await world.store.settle(failed, entry(old, "failed"), now) is None
    assert (await world.row("m"))["status"] == "sent"
    assert await world.unreached() == set()
    # Whom the old one reached all the same has it twice: the log says so.
    assert await world.store.settle(replace(old, status="sent"), entry(old, "sent"), now) is None
    lines = await world.pool.fetch("SELECT outcome FROM notify_log WHERE message = 'm'")
    assert [line["outcome"] for line in lines] == ["sent", "sent"]


async def test_a_flood_is_summarised_in_portions_and_asks_for_them_in_one_question(
    world: RowsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify_store, "IN_A_SUMMARY", 5)
    now, quiet = world.clock.now_ms(), [{"from": "00:00", "to": "23:59"}]
    for n in range(12):
        due = now if n == 11 else now + HOUR  # what is due is not among the worst
        await world.put(f"m{n}", status="gathered", occurrence=f"o{n}", priority=2 + n // 6,
                        due=due, reason="limit", at=now + n)  # fmt: skip
    still = {"kind": "apprise", "url": "sms", "do_not_disturb": quiet}
    asleep = person_spec("a") | {"channels": [still]}
    file = NotifyFile.model_validate({"people": [asleep]})
    monkeypatch.setattr(world.site, "notify", file)
    assert await world.planning.gather()
    assert not await world.planning.gather()  # all of them wait for the end of the quiet
    monkeypatch.setattr(world.site, "notify", FILE)
    world.clock.advance(24 * HOUR)
    while await world.planning.gather():
        pass
    totals = [each.facts["total"] for each in await world.claim()]
    assert sorted(totals) == [2, 5, 5]
    assert [len(names) for names in world.asked] == [5, 5, 2]
    left = "SELECT count(*) FROM notify_message WHERE status <> 'summarised' AND kind = 'alarm'"
    assert await world.pool.fetchval(left) == 0


async def test_a_service_that_hangs_has_two_places_and_the_others_go_on(world: RowsWorld) -> None:
    world.service.go_on.clear()
    for n in range(20):
        await world.put(f"hung-{n:02}", "ab"[n % 2])
    for n in range(3):
        await world.put(f"chat-{n}", "c", priority=4)
    sending = world.sending()
    running = asyncio.create_task(sending.run())

    async def told() -> bool:
        rows = await world.pool.fetch("SELECT id FROM notify_message WHERE status = 'sent'")
        return {row["id"] for row in rows} == {f"chat-{n}" for n in range(3)}

    try:
        await until(told, 15)
        begun = [each for each in world.service.begun if each.startswith("sms/")]
        assert len(begun) == 2
        # What can only hang is no reason to look again and again.
        assert await world.store.next_queued([("a", 0), ("b", 0)]) is None
        assert await world.store.next_queued([("a", 0)]) is not None
        world.service.go_on.set()

        async def all_told() -> bool:
            left = "SELECT count(*) FROM notify_message WHERE status <> 'sent'"
            return not await world.pool.fetchval(left)

        await until(all_told, 20)
    finally:
        running.cancel()
        await asyncio.wait({running}, timeout=10)
    assert len(world.service.begun) == len(set(world.service.begun)) == 23


async def test_a_service_that_asks_for_patience_is_heard_unless_there_is_another_way(
    world: RowsWorld,
) -> None:
    wanted = [("a", None, 0, 5), ("a", 3, 0, 5), ("a", 20, 0, 20), ("a", 9_000, 0, 60),
              ("c", 3, 0, 5), ("c", 20, 1, 0)]  # fmt: skip
    for n, (person, asked, channel, wait) in enumerate(wanted):
        await world.put(f"m{n}", person)
        (message,) = await world.claim()
        world.service.answer = NotTaken("status 429", asked)
        await world.sending().deliver(message)
        row = await world.row(f"m{n}")
        assert (row["status"], row["channel"]) == ("queued", channel), wanted[n]
        assert row["due"] == world.clock.now_ms() + wait * 1000, wanted[n]
        await world.pool.execute("DELETE FROM notify_message")


async def test_a_clock_set_back_makes_no_step_wait_for_the_hour_to_come_again(
    world: RowsWorld,
) -> None:
    body = msgspec.structs.replace(
        transition(1, active=True, acked=False, kind="raised"), occurrence="o"
    )
    world.found["o"] = Occurrence("o", "A", "e1", body, "k", 0, None, 0, False)
    await world.case("o", step=0, told=0, due=world.clock.now_ms())
    cases = world.cases()

    async def steps(count: int) -> bool:
        cases.wake()
        return await world.pool.fetchval("SELECT count(*) FROM notify_message") == count

    running = asyncio.create_task(cases.run())
    try:
        await until(lambda: steps(1), 10)
        (in_hand,) = await world.claim()
        due = world.clock.now_ms() + 10 * MIN
        await world.put("g", status="gathered", due=due)
        world.clock.advance(3 * MIN)
        world.clock.jump(-HOUR)

        async def followed() -> bool:
            cases.wake()
            return (await world.row("g"))["due"] == due - HOUR

        await until(followed, 10)
        next_step = await world.pool.fetchval("SELECT due FROM notify_case")
        assert next_step == world.clock.now_ms() + 2 * MIN  # not before its time either
        world.clock.advance(2 * MIN)
        await until(lambda: steps(3), 10)
        # What was being sent when the clock was set is settled by whoever has it.
        done = replace(in_hand, status="sent", due=None)
        assert await world.store.settle(done, entry(in_hand, "sent"), 0) == 0
    finally:
        running.cancel()
        await asyncio.wait({running}, timeout=10)


async def test_who_answered_counts_for_that_edge_until_a_channel_fails(world: RowsWorld) -> None:
    now = world.clock.now_ms()
    await world.put("m1", "a", edge="e1", status="sent", due=None)
    await world.put("m2", "b", edge="e2", status="sent", due=None)
    assert await world.store.confirmed_since(now - MIN) == {}
    message = await world.store.message("m1")
    assert message is not None
    assert await world.store.confirm(message, entry(message, "confirmed"), "a", now)
    assert not await world.store.confirm(message, entry(message, "confirmed"), "a", now)
    assert await world.store.confirmed_since(now - MIN) == {"e1": now}
    world.clock.advance(1_000)
    await world.put("m3", "a")
    (later,) = await world.claim()
    failed = replace(later, status="failed", due=None)
    await world.store.settle(failed, entry(later, "failed"), world.clock.now_ms())
    assert await world.store.confirmed_since(now - MIN) == {}


async def test_a_draft_for_somebody_unknown_fails_aloud_and_takes_no_place(
    world: RowsWorld,
) -> None:
    async with world.store.planning() as tx:
        (message,) = await world.planning.tell(tx, ["nobody"], Draft("alarm", 1, {}))
    (claimed,) = await world.claim()
    await world.sending().deliver(claimed)
    row = await world.row(message.id)
    assert (row["status"], row["reason"]) == ("failed", "unknown_person")
