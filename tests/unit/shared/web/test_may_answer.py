"""What is a route's own in the OpenAPI document stands at the route, not in a list of paths."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from shared.web.auth import session_router
from shared.web.may_answer import may_answer
from shared.web.openapi import describe
from shared.web.problem import MEDIA_TYPE


def answers(**said: Any) -> dict[str, Any]:
    app = FastAPI()

    @app.post("/api/things/{thing}", **said)
    async def change(thing: str) -> dict[str, str]:
        return {"thing": thing}

    describe(app)
    return app.openapi()["paths"]["/api/things/{thing}"]["post"]["responses"]


def test_a_route_says_its_own_problems_itself() -> None:
    plain, own = answers(), answers(responses=may_answer(410, 428))
    assert set(own) - set(plain) == {"410", "428"}
    assert own["428"]["content"] == plain["404"]["content"]
    assert MEDIA_TYPE in own["428"]["content"]
    assert "If-Match" in own["428"]["description"]


def test_an_answer_that_is_no_json_says_its_form() -> None:
    told = answers(responses=may_answer(text="text/csv"))
    assert "text/csv" in told["200"]["content"]


def test_logging_in_may_be_refused() -> None:
    app = FastAPI()
    nothing: Any = None
    app.include_router(session_router(nothing, nothing))
    describe(app)
    assert "401" in app.openapi()["paths"]["/api/session"]["post"]["responses"]
