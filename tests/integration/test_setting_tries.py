"""Tries of settings on a real PostgreSQL: whose they are, what counts as their answer, and when a
question is asked again or forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from typing import Any, cast

import asyncpg
import httpx
import pytest

from group_cloud.adapters.postgres.limit_store import LimitStore
from group_cloud.adapters.postgres.try_store import TryStore
from group_cloud.application.trying import EMPTY_MS, GOOD_MS, KEPT_MS, OPEN_MS, Trying
from group_cloud.web.app import GROUP
from group_cloud.web.routes_proposals import ProposalParts, proposal_router
from shared.alarm.point import Setting
from shared.alarm.shadow import setting_data
from shared.clock import ManualClock
from shared.messages.bodies import AlarmPoints, TrialAnswer
from shared.postgres.accounts import PgAccounts
from shared.web.app import create_base_app
from shared.web.auth import COOKIE
from shared.web.dto_base import Text
from shared.web.dto_tries import TryRequest
from tests.support.total_world import Teller, Total, people, running_total, total_on

pytest_plugins = ("tests.support.total_fixtures",)
NOW = 1_728_000_000_000
PATH = "/api/setting-tries"
WISH = {"site": "tr1", "alarm": "A.HI", "setting": {"limit": 52.0}}


@dataclass
class Desk:
    """The desk of tries of one group, and people who ask it."""

    total: Total
    rows: TryStore
    trying: Trying
    clock: ManualClock
    tokens: dict[str, str]

    def client(self, who: str) -> httpx.AsyncClient:
        nothing = cast(Any, None)
        made: dict[str, Any] = {each.name: nothing for each in fields(ProposalParts)}
        parts = ProposalParts(**made | {"trying": self.trying, "tenants": self.total.tenants})
        app = create_base_app(
            "tries", GROUP, self.clock, PgAccounts(self.total.pool, self.total.clock)
        )
        app.include_router(proposal_router(parts))
        headers = {"Cookie": f"{COOKIE}={self.tokens[who]}"}
        transport = httpx.ASGITransport(app=app)
        return httpx.AsyncClient(
            transport=transport, base_url="http://group", headers=headers, timeout=20
        )

    async def keep(self, **told: Any) -> bool:
        answer = {
            "site": "tr1", "edge": "e1", "alarm": "A.HI", "since": 1, "until": 2, "coverage": 1.0,
            "points": [[0.0, 1.0, 2.0]],
        }  # fmt: skip
        async with self.total.pool.acquire() as tx, tx.transaction():
            connection = cast(asyncpg.Connection, tx)
            return await self.rows.keep(
                connection, TrialAnswer(**answer | told), self.clock.now_ms()
            )


@pytest.fixture
async def desk(total_url: str) -> AsyncIterator[Desk]:
    async with running_total(total_url) as made:
        clock = ManualClock(NOW)
        total = total_on(made.pool, clock)
        await total.pool.execute("DELETE FROM setting_try")
        setting = setting_data(Setting(50.0, 1.0, 0, 0))
        bounds = {"limit_min": 40.0, "limit_max": 60.0, "step": 5.0}
        await Teller(total, "tr1").say((1, AlarmPoints(
            site="tr1", version="v1", part=1, parts=1,
            points={"A.HI": ["e1", "FUR-01", "heat", "furnace", "temperature", 3]},
            names={"A.HI": {"zh": "炉温", "en": "furnace"}},
            tuning={"A.HI": {"setting": setting, "bounds": bounds, "side": "HI", "unit": "°C"}},
        )))  # fmt: skip
        tokens = await _people(total)
        rows = TryStore(total.pool)
        trying = Trying(rows, LimitStore(total.pool), clock, total.tenants.sites)
        yield Desk(total, rows, trying, clock, tokens)


async def _people(total: Total) -> dict[str, str]:
    """New people each time; a tenant of their own for the factory."""
    own = await total.pool.fetchval("SELECT count(*) FROM tenant WHERE id LIKE 'tr-%'")
    for tenant in (f"tr-a{own}", f"tr-b{own}"):
        assert await total.tenants.add(tenant, Text(zh=tenant, en=tenant), "t") is None
    assert await total.tenants.give("tr1", f"tr-a{own}", "t") is None
    held = {"a": f"tr-a{own}", "b": f"tr-b{own}"}
    found = await people(
        total, {f"tr-{who}{own}": [("engineer", tenant)] for who, tenant in held.items()}
    )
    return {who: found[f"tr-{who}{own}"] for who in held}


async def test_a_try_is_seen_by_those_whose_factory_it_is_and_by_no_others(desk: Desk) -> None:
    async with desk.client("a") as mine, desk.client("b") as others:
        asked = await mine.post(PATH, json=WISH)
        assert asked.status_code == 200, asked.text
        name = asked.json()["id"]
        assert (await mine.get(f"{PATH}/{name}")).json()["status"] == "asked"
        refused = await others.get(f"{PATH}/{name}")
        assert (refused.status_code, refused.json()["code"]) == (404, "unknown_try")
        assert "tr1" not in refused.text
        assert (await others.post(PATH, json=WISH)).status_code == 404
        assert (await others.get("/api/tunable-points?site=tr1")).json()["points"] == []
        assert (await mine.get(f"{PATH}/try-none")).status_code == 404


async def test_only_the_factory_that_was_asked_answers_and_only_what_was_asked(desk: Desk) -> None:
    answer = await desk.trying.ask(TryRequest.model_validate(WISH), "anna")
    name = getattr(answer, "id", "")
    [question] = await desk.rows.open(NOW - 1)
    right = {"proposal": name, "digest": question.digest}
    for lie in (
        {"digest": "x"},
        {"site": "tr2"},
        {"edge": "e2"},
        {"alarm": "B"},
        {"proposal": "y"},
    ):
        assert not await desk.keep(**right | lie), lie
    assert (await desk.rows.open(NOW - 1)) == [question], "it is still to be answered"
    assert await desk.keep(**right)
    assert await desk.rows.open(NOW - 1) == []
    shown = await desk.trying.shown(name)
    assert shown is not None
    assert (shown.status, shown.limit_proposed) == ("known", 52.0)


async def test_a_question_is_one_until_its_answer_is_old(desk: Desk) -> None:
    asked: list[int] = []
    desk.trying.on_asked = lambda: asked.append(desk.clock.now_ms())

    async def ask() -> int:
        await desk.trying.ask(TryRequest.model_validate(WISH), "anna")
        return len(asked)

    assert [await ask(), await ask()] == [1, 1]
    desk.clock.advance(OPEN_MS // 2)
    assert await ask() == 2, "no answer has come: it is put again"
    [question] = await desk.rows.open(NOW)
    told = {"proposal": question.proposal, "digest": question.digest}
    assert await desk.keep(**told, points=[])
    desk.clock.advance(EMPTY_MS - 1)
    assert await ask() == 2
    desk.clock.advance(1)
    assert await ask() == 3, "there were no samples: soon again"
    assert await desk.keep(**told)
    desk.clock.advance(GOOD_MS - 1)
    assert await ask() == 3
    desk.clock.advance(1)
    assert await ask() == 4
    found = await desk.rows.get(question.proposal)
    assert found is not None
    assert (found.answered_at, found.body) == (None, None), "the old answer is gone with it"


async def test_what_nobody_asked_for_a_day_is_forgotten(desk: Desk) -> None:
    first = await desk.trying.ask(TryRequest.model_validate(WISH), "anna")
    assert await desk.rows.sites(NOW - 1) == ["tr1"]
    desk.clock.advance(KEPT_MS + 1)
    other = WISH | {"setting": {"limit": 53.0}}
    second = await desk.trying.ask(TryRequest.model_validate(other), "anna")
    names = await desk.total.pool.fetch("SELECT id FROM setting_try")
    assert [row["id"] for row in names] == [getattr(second, "id", "")]
    assert await desk.trying.shown(getattr(first, "id", "")) is None
