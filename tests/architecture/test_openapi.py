"""The OpenAPI documents say everything: words, rights, problems, and examples that are true."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import pytest
from pydantic import BaseModel

import shared.web
from shared.web.openapi_words import EXAMPLES, WORDS
from shared.web.problem import MEDIA_TYPE
from shared.web.route_rights import OPEN, route_rights

APPS = {"brain": "factory_brain.web.app", "cloud": "group_cloud.web.app"}


def application(tier: str) -> Any:
    return importlib.import_module(APPS[tier]).openapi_app()


def operations(tier: str) -> dict[str, dict[str, Any]]:
    document = application(tier).openapi()
    assert document["openapi"].startswith("3.1")
    return {
        f"{verb.upper()} {path}": operation
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    }


def test_every_operation_has_words_in_both_languages_and_no_words_are_left_over() -> None:
    known = operations("brain") | operations("cloud")
    assert set(known) - set(WORDS) == set(), "add them to shared/web/openapi_words.py"
    assert set(WORDS) - set(known) == set()
    assert all(" / " in each["summary"] and each["tags"] for each in known.values())


@pytest.mark.parametrize("tier", APPS)
def test_every_operation_says_who_may_and_which_problems_come(tier: str) -> None:
    found = operations(tier)
    guarded = {f"{r.method} {r.path}" for r in route_rights(application(tier)) if r.kind != OPEN}
    assert {name for name, each in found.items() if "security" in each} == guarded & set(found)
    for name, operation in found.items():
        refusals = {s: a for s, a in operation["responses"].items() if s >= "400"}
        if "/api/" in name:
            assert {"422", "429", "500", "503"} <= set(refusals), name
            assert all(MEDIA_TYPE in each["content"] for each in refusals.values()), name
        if name in guarded:
            assert "401" in refusals, name


def models() -> dict[str, type[BaseModel]]:
    found: dict[str, type[BaseModel]] = {}
    for each in pkgutil.iter_modules(shared.web.__path__):
        if each.name.startswith("dto"):
            module = importlib.import_module(f"shared.web.{each.name}")
            found |= {
                name: kind for name, kind in vars(module).items()
                if isinstance(kind, type) and issubclass(kind, BaseModel)
            }  # fmt: skip
    return found


def test_every_example_is_what_its_route_would_take() -> None:
    known = models()
    for name, example in EXAMPLES.items():
        assert known[name].model_validate(example, strict=False), name
    shown = application("brain").openapi()["components"]["schemas"]
    assert shown["AckRequest"]["examples"] == [EXAMPLES["AckRequest"]]


@pytest.mark.parametrize("tier", APPS)
def test_the_document_is_the_same_each_time(tier: str) -> None:
    assert application(tier).openapi() == application(tier).openapi()
