"""Schemathesis over the whole REST interface of a running brain, as administrator and as viewer."""

from __future__ import annotations

import asyncio
import os

import httpx
import pytest

from factory_brain.bootstrap import Brain
from shared.identity.policy import User
from tests.support.api_fuzz import fuzz, listing
from tests.support.brain_world import ALARM, FakeEdge, transition, until
from tests.support.summary import say

pytest_plugins = ("tests.support.brain_fixtures",)
WHOLE = os.environ.get("ANDON_CHAOS") == "whole"
SEED = int(os.environ.get("ANDON_CHAOS_SEED", "20260"))
LOADING = frozenset({"GET /api/kpi/live", "GET /readyz"})
"""May say 503: figures are still being read; the test's edge is no whole plant."""


async def session(brain: Brain, role: str) -> str:
    name = f"fuzz-{role}"
    await brain.accounts.create(name, "correct horse battery", [role])
    return await brain.accounts.open_session(User(name, (role,)), "local")


@pytest.mark.timeout(3600 if WHOLE else 180)
@pytest.mark.parametrize(("role", "examples"), [("administrator", 6), ("viewer", 2)])
async def test_no_request_of_any_kind_breaks_the_brain(
    brain: Brain, edge: FakeEdge, web: httpx.AsyncClient, role: str, examples: int
) -> None:
    await edge.send(transition(1, active=True, acked=False, kind="raised"))
    token = await session(brain, role)
    await brain.accounts.create("victim", "correct horse battery", ["viewer"])

    async def incident() -> str | None:
        return await brain.pool.fetchval("SELECT id FROM incident")

    known = {
        "alarm": ALARM, "occurrence": "occ-1", "username": "victim", "tag": "FUR-01.TT-101",
        "code": "unknown_alarm", "incident": await until(incident),
    }  # fmt: skip
    done = await asyncio.to_thread(
        fuzz, str(web.base_url).rstrip("/"), token, examples=examples * (25 if WHOLE else 1),
        number=SEED, known=known, may_be_unavailable=LOADING,
        hostile=role != "viewer",
    )  # fmt: skip
    say(f"schemathesis-brain-{role}", done.line(role))
    assert done.operations > 60
    assert done.cases >= done.operations
    assert done.failures == {}, listing(done)
