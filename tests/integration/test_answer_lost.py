"""A process ends between an act's commit and its answer: the same request is not done twice."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from factory_brain.bootstrap import Brain
from shared.postgres.accounts import IN_HAND_MS
from tests.support.brain_world import log_in

pytest_plugins = ("tests.support.brain_fixtures",)


async def test_an_act_whose_answer_was_lost_is_not_done_again(
    brain: Brain, web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log_in(web)
    asked: dict[str, Any] = {
        "json": {"note": "quiet"}, "headers": {"Idempotency-Key": "hand-over-0001"},
    }  # fmt: skip

    async def ended(*_: Any) -> None:
        raise RuntimeError("the process ends here")

    with monkeypatch.context() as patch:
        patch.setattr(brain.accounts, "remember", ended)
        assert (await web.post("/api/handover", **asked)).status_code == 500
    count = "SELECT count(*) FROM handover"
    assert await brain.pool.fetchval(count) == 1
    await brain.pool.execute("UPDATE idempotent SET at = at - $1", IN_HAND_MS + 1)
    again = await web.post("/api/handover", **asked)
    assert (again.status_code, again.json()["code"]) == (409, "answer_lost")
    assert await brain.pool.fetchval(count) == 1
    # What failed before it had an effect may be asked again under its key.
    asked["headers"] = {"Idempotency-Key": "hand-over-0002"}
    with monkeypatch.context() as patch:
        patch.setattr(brain.desk_parts.handover, "create", ended)
        assert (await web.post("/api/handover", **asked)).status_code == 500
    assert (await web.post("/api/handover", **asked)).status_code < 300
    assert await brain.pool.fetchval(count) == 2
