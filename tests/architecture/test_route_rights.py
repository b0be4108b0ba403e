"""No route without a right: each asks for one, or stands in the short list of public ones."""

from __future__ import annotations

import importlib
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI

from shared.identity.policy import POLICY
from shared.web.auth import User, allowed
from shared.web.route_rights import PUBLIC, RIGHT, faults, route_rights

APPS = ("factory_brain.web.app", "group_cloud.web.app")


@pytest.mark.parametrize("module", APPS)
def test_every_route_asks_for_a_right_or_is_public(module: str) -> None:
    rights = route_rights(importlib.import_module(module).openapi_app())
    assert faults(rights) == []
    assert len([each for each in rights if each.kind == RIGHT]) > 10
    assert {each.action for each in rights if each.kind == RIGHT} <= set(POLICY)


def test_a_public_route_that_reads_or_writes_plant_data_would_be_seen() -> None:
    app, inner = FastAPI(), APIRouter(prefix="/api")

    @inner.get("/open")
    async def forgotten() -> None: ...

    @inner.get("/closed")
    async def guarded(_: Annotated[User, Depends(allowed("view"))]) -> None: ...

    app.include_router(inner)
    found = faults(route_rights(app))
    assert "GET /api/open" in found
    assert "GET /api/closed" not in found


def test_the_public_list_stays_short() -> None:
    assert len(PUBLIC) <= 20
