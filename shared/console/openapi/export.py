"""The DTOs as OpenAPI components: the console's types, also those of the event streams.

Called by `andon gen openapi`, which adds the routes. It never decides a shape: `shared/web/dto.py`
does.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from shared.web import dto

_REQUESTS = (dto.Login, dto.AckRequest, dto.OutcomeRequest, dto.AnswerRequest, dto.DecisionRequest)
_COMMON = (dto.Problem, dto.Session)
_BRAIN = (
    dto.AlarmSnapshot, dto.AlarmDelta, dto.AlarmDetail, dto.ActionResult, dto.ItemResult,
    dto.Samples, dto.RunList, dto.Run, dto.Fleet,
)  # fmt: skip
_CLOUD = (dto.FactoryList, dto.ProposalList, dto.Proposal)


def document(title: str, answers: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    """Return an OpenAPI document without paths that names every shape of one tier."""
    # What a server answers always carries its defaults, so they are required there.
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in _REQUESTS),
        *((model, "serialization") for model in (*_COMMON, *answers)),
    ]
    _, schema = models_json_schema(wanted, ref_template="#/components/schemas/{model}")
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": {},
        "components": {"schemas": schema["$defs"]},
    }


def brain() -> dict[str, Any]:
    """The shapes that a factory's brain speaks."""
    return document("Andon brain", _BRAIN)


def cloud() -> dict[str, Any]:
    """The shapes that the group cloud speaks."""
    return document("Andon cloud", _CLOUD)
