"""Directives that wait for people, on a real database: who may say what, and what comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg
import pytest
from msgspec import structs

from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.relay_store import PgRelayStore
from factory_brain.adapters.postgres.shadow_reads import ShadowReads
from factory_brain.adapters.postgres.waiting_store import PgWaiting
from factory_brain.application.directive_relay import DirectiveRelay, Keys, Plant
from factory_brain.application.waiting_directives import Outside, WaitingDirectives
from shared.clock import ManualClock
from shared.errors import Rejected
from shared.messages.bodies import Body, DirectiveReport
from shared.messages.codec import encode
from shared.messages.directive_about import ABOUT, About, AboutPoint, told
from shared.messages.directives import DRY_RUN, SETTINGS
from shared.postgres.audit import audit
from shared.postgres.pool import connect_pool
from shared.web.dto_directives import DirectiveDecision, DirectiveOut
from tests.support.directive_bench import BRAIN1, E1, HI, HI2, HOUR, new, order, sealed
from tests.support.migrated import migrated_url as migrated_url
from tests.support.rollout_world import FACTORY, GROUP, NOW, SITES, Fate, Wire

YES = DirectiveDecision(accept=True, reason="curve seen")
NO = DirectiveDecision(accept=False, reason="not in this season")


@dataclass
class Way:
    """The way up: what the factory said, with its transaction."""

    said: list[DirectiveReport] = field(default_factory=list)

    async def say(self, tx: Any, kind: str, body: Body) -> None:
        assert isinstance(body, DirectiveReport)
        await tx.execute("SELECT 1")  # a transaction it is
        self.said.append(body)


class House:
    """One factory's relay and its people's desk."""

    def __init__(self, pool: asyncpg.Pool, *, four_eyes: bool = False, auto: bool = False) -> None:
        self.pool, self.four_eyes, self.auto = pool, four_eyes, auto
        self.alarms = dict(SITES["f1"].alarms)
        self.clock, self.wire, self.way = ManualClock(NOW), Wire(Fate()), Way()
        self.restart()

    def restart(self) -> None:
        plant = Plant("f1", frozenset({"e1", "e2"}), self.alarms, auto_approve=self.auto)
        keys = Keys(GROUP.public_key(), FACTORY["f1"])
        self.store = store = PgRelayStore(self.pool, self.way, self.alarms)  # type: ignore[arg-type]
        self.rows = PgWaiting(self.pool)
        self.relay = DirectiveRelay(plant, self.wire, self.clock, keys, store)  # type: ignore[arg-type]
        outside = Outside(audit, self.way.say)
        self.desk = WaitingDirectives(plant, self.rows, self.clock, outside, self.four_eyes)

    async def comes(self, data: bytes, key: str = SETTINGS) -> None:
        self.wire.values[BRAIN1.directive_bucket, key] = encode({"e1": data})
        await self.relay.relay_all()

    async def decides(
        self, counter: int, said: DirectiveDecision, who: str = "wang"
    ) -> DirectiveOut | Rejected:
        answer = await self.desk.decide("e1", counter, said, who)
        await self.relay.carry_out()
        return answer

    @property
    def at_edge(self) -> bool:
        return (E1.directive_bucket, SETTINGS) in self.wire.values

    @property
    def told(self) -> list[tuple[int, str, str]]:
        return [(r.counter, r.status, r.code) for r in self.way.said]


@pytest.fixture
async def pool(migrated_url: str) -> AsyncIterator[asyncpg.Pool]:
    made = await connect_pool(migrated_url, size=4, name="waiting")
    await made.execute(
        "TRUNCATE directive_relay, directive_consent, directive_trial, alarm_setting"
    )
    yield made
    await made.close()


async def test_nothing_passes_before_a_person_said_so_and_then_it_does(pool: asyncpg.Pool):
    house = House(pool)
    about = About(reason="chatter", points=[AboutPoint(
        alarm=HI, old=new(limit=1230.0), per_day=2.0, before_per_day=9.0, true_alarms=3,
        nuisance=12,
    )])  # fmt: skip
    extra = {"rollout": "r1", "stage": "canary_line", ABOUT: told(about)}
    looked = order(kind="dry_run", id="d-0", extra=extra)
    await house.comes(sealed(looked), DRY_RUN)
    figures = {
        "alarms": {
            HI: {"now": [7, 60.0], "new": [1, 5.0], "coverage_s": 7200.0},
            "NOT.ASKED": {"now": [1, 1], "new": [1, 1], "coverage_s": 1.0},
        }
    }
    tried = DirectiveReport(directive="d-0", counter=1, status="dry_run", params=figures)
    async with pool.acquire() as connection, connection.transaction():
        await house.rows.tried(connection, "e1", tried)  # type: ignore[arg-type]
    await house.comes(sealed(order(extra=extra, approved_by="li, zhao")))
    await house.relay.carry_out()
    house.restart()
    await house.relay.relay_all()
    assert not house.at_edge
    [shown] = (await house.desk.listed()).items
    [change] = shown.changes
    assert (shown.status, shown.reason, shown.group_people) == ("waiting", "chatter", "li, zhao")
    assert change.old is not None
    assert (change.old.limit, change.new.limit, change.nuisance) == (1230.0, 1236.0, 12)
    assert change.trial is not None
    assert (change.trial.before, change.trial.after, change.trial.hours) == (7, 1, 2.0)

    answer = await house.desk.decide("e1", 1, YES, "wang")
    assert isinstance(answer, DirectiveOut)
    assert (answer.status, house.at_edge) == ("approved", False)
    house.restart()  # killed between the word and the signature
    await house.relay.carry_out()
    assert house.at_edge
    assert house.told == [(1, "relayed", ""), (1, "waiting", ""), (1, "relayed", "")]
    [done] = (await house.desk.listed()).items
    assert (done.status, [c.actor for c in done.consents]) == ("relayed", ["wang"])
    assert done.changes[0].old is not None  # what ran before stays readable
    actions = await pool.fetch("SELECT actor, action, why FROM audit WHERE target = 'd-1'")
    assert [tuple(row) for row in actions] == [("wang", "directive_approved", "curve seen")]


async def test_a_refusal_goes_up_with_its_reason_and_is_final(pool: asyncpg.Pool):
    house = House(pool)
    await house.comes(sealed(order()))
    answer = await house.decides(1, NO)
    assert isinstance(answer, DirectiveOut)
    assert (answer.status, answer.code) == ("refused", "refused_by_person")
    assert house.way.said[-1].params == {"by": "wang", "reason": NO.reason}
    late = await house.decides(1, YES, "sun")
    assert isinstance(late, Rejected)
    assert late.code == "directive_not_waiting"
    await house.relay.relay_all()
    assert not house.at_edge


async def test_four_eyes_are_two_people(pool: asyncpg.Pool):
    house = House(pool, four_eyes=True)
    await house.comes(sealed(order()))
    first = await house.decides(1, YES, "wang")
    assert isinstance(first, DirectiveOut)
    assert (first.status, first.needed, house.at_edge) == ("waiting", 2, False)
    for alias in ("wang", "Wang@works.example", "wang-admin"):
        again = await house.decides(1, YES, alias)
        assert isinstance(again, Rejected)
        assert again.code == "same_person"
    second = await house.decides(1, YES, "sun")
    assert isinstance(second, DirectiveOut)
    assert (second.status, house.at_edge) == ("approved", True)
    assert await pool.fetchval("SELECT approved_by FROM directive_relay") == "wang, sun"


async def test_one_of_two_may_still_refuse(pool: asyncpg.Pool):
    house = House(pool, four_eyes=True)
    await house.comes(sealed(order()))
    await house.decides(1, YES, "wang")
    await house.decides(1, NO, "sun")
    assert house.told[-1] == (1, "refused", "refused_by_person")
    assert not house.at_edge


async def test_too_late_and_overtaken_is_too_late(pool: asyncpg.Pool):
    house = House(pool)
    await house.comes(sealed(order()))
    await house.comes(sealed(order(new(limit=1233.0), id="d-2", counter=2)))
    overtaken = await house.decides(1, YES)
    assert isinstance(overtaken, Rejected)
    assert overtaken.code == "superseded"
    items = {each.counter: each.newer for each in (await house.desk.listed()).items}
    assert items == {1: 2, 2: None}
    house.clock.advance(HOUR)
    late = await house.decides(2, YES)
    assert isinstance(late, Rejected)
    assert late.code == "expired"
    assert (2, "refused", "expired") in house.told
    assert not house.at_edge


async def test_a_return_to_the_sites_own_settings_never_waits(pool: asyncpg.Pool):
    house = House(pool)
    await house.comes(sealed(order()))
    back = order(new(limit=1230.0), id="d-2", counter=2, kind="rollback")
    await house.comes(sealed(back))
    assert house.at_edge
    answer = await house.decides(1, YES)
    assert isinstance(answer, Rejected)
    assert answer.code in ("superseded", "directive_not_waiting")


async def applied(house: House, counter: int) -> None:
    report = DirectiveReport(
        directive=f"d-{counter}", counter=counter, status="applied", settings_version=counter
    )
    async with house.pool.acquire() as connection, connection.transaction():
        await house.store.applied(connection, "e1", report)  # type: ignore[arg-type]


async def rewritten(house: House, limit: float) -> None:
    """The engineer writes another limit into the site's files, and the brain starts with it."""
    plain = house.alarms[HI]
    house.alarms[HI] = replace(plain, setting=replace(plain.setting, limit=limit))
    house.restart()
    await house.store.follow_site()


BOTH = [new(limit=1236.0), new(HI2, limit=1246.0)]
"""What is in force, and carried along, besides something new."""


async def test_what_would_undo_the_engineers_own_edit_is_shown(pool: asyncpg.Pool):
    house = House(pool)
    await house.comes(sealed(order()))
    await house.decides(1, YES)
    await applied(house, 1)
    await house.store.follow_site()
    await house.comes(sealed(order(*BOTH, id="d-2", counter=2)))

    async def changes(counter: int) -> dict[str, tuple[float | None, float | None]]:
        [item] = [i for i in (await house.desk.listed()).items if i.counter == counter]
        return {c.alarm: (c.old.limit if c.old else None, c.new.limit) for c in item.changes}

    assert await changes(2) == {HI2: (1240.0, 1246.0)}, "what runs already is no change"
    await rewritten(house, 1232.0)
    assert await changes(2) == {HI: (1232.0, 1236.0), HI2: (1240.0, 1246.0)}
    alarms = AlarmStore(pool)
    assert await alarms.settings() == await house.rows.settings() == {}
    assert await ShadowReads(pool).settings() == {}
    await rewritten(house, 1230.0)  # as it was: the edge has dropped the tuning for good
    assert await changes(2) == {HI: (1230.0, 1236.0), HI2: (1240.0, 1246.0)}
    await house.decides(2, YES)
    await applied(house, 2)
    assert (await house.rows.settings())[HI].limit == 1236.0


async def test_an_edge_that_found_the_edit_first_is_believed(pool: asyncpg.Pool):
    house = House(pool, auto=True)
    await house.comes(sealed(order()))
    await applied(house, 1)
    for edge, alarms in (("e2", [HI]), ("e1", [HI2, 7, "x" * 999]), ("e1", HI)):
        dropped = DirectiveReport(
            directive="d-1", counter=1, status="superseded", params={"alarms": alarms},
            settings_version=1,
        )  # fmt: skip
        async with pool.acquire() as connection, connection.transaction():
            await house.store.applied(connection, edge, dropped)  # type: ignore[arg-type]
    assert HI in await house.rows.settings()
    dropped = structs.replace(dropped, params={"alarms": [HI]})
    async with pool.acquire() as connection, connection.transaction():
        await house.store.applied(connection, "e1", dropped)  # type: ignore[arg-type]
    assert await house.rows.settings() == {}
    await house.comes(sealed(order(*BOTH, id="d-2", counter=2)))
    assert house.told[-1] == (2, "waiting", "")


async def test_an_edit_is_not_undone_by_the_way_where_directives_pass_by_themselves(
    pool: asyncpg.Pool,
):
    house = House(pool, auto=True)
    await house.comes(sealed(order()))
    await applied(house, 1)
    await rewritten(house, 1232.0)
    await house.comes(sealed(order(*BOTH, id="d-2", counter=2)))
    assert house.told[-1] == (2, "waiting", "")
    back = order(id="d-3", counter=3, kind="rollback")
    await house.comes(sealed(back))
    assert house.told[-1] == (3, "waiting", "")
    proposed = About(points=[AboutPoint(alarm=HI)])
    asked = order(*BOTH, id="d-4", counter=4, extra={ABOUT: told(proposed)})
    await house.comes(sealed(asked))
    assert house.told[-1] == (4, "relayed", "")


async def test_another_term_puts_what_the_store_knows_as_newest(pool: asyncpg.Pool):
    house = House(pool, auto=True)
    await house.comes(sealed(order()))
    deposed = house.relay
    house.restart()
    await house.comes(sealed(order(new(limit=1233.0), id="d-2", counter=2)))
    newest = house.wire.values.pop((E1.directive_bucket, SETTINGS))
    house.wire.values[BRAIN1.directive_bucket, SETTINGS] = encode({"e1": sealed(order())})
    for relay in (deposed, house.relay):
        relay._begin_term()
        await relay.relay_all()
        assert house.wire.values.pop((E1.directive_bucket, SETTINGS)) == newest
        await relay.carry_out()
        assert not house.at_edge, "once a term"
