"""The small values that every part of a playbook is written with: ids, durations, texts.

Used by the models of verbs, triggers and documents; evaluates nothing.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from shared.site.model import parse_duration

Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Condition = Annotated[str, Field(min_length=1, max_length=512)]


def _written(value: int | str) -> str:
    """A duration as it is written, so that a stored document reads back."""
    return f"{value}ms" if isinstance(value, int) else value


_AS_TEXT = PlainSerializer(_written, return_type=str, when_used="json")
_PATTERN = r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"
Duration = Annotated[
    int, BeforeValidator(parse_duration), _AS_TEXT,
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["10s", "5m", "1h30m"]}),
]  # fmt: skip
"""Milliseconds, written `10s`."""


def _duration_or_template(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("${"):
        return value
    return parse_duration(value)


DurationText = Annotated[
    int | str, BeforeValidator(_duration_or_template), _AS_TEXT,
    WithJsonSchema({"anyOf": [
        {"type": "string", "pattern": _PATTERN}, {"type": "string", "pattern": r"^\$\{.+\}$"},
    ]}),
]  # fmt: skip
"""Milliseconds, or a template such as `${inputs.ask_within}` that gives a duration."""


def _as_words(value: Any) -> Any:
    return {"zh": value, "en": value} if isinstance(value, str) else value


class Part(BaseModel):
    """A strict, frozen part of the document."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Words(Part):
    """A text that people read, in both languages (a plain text serves for both)."""

    zh: str
    en: str


_BOTH = {"type": "string"}
Text = Annotated[
    Words, BeforeValidator(_as_words),
    WithJsonSchema({"anyOf": [{"type": "string"}, {
        "type": "object", "required": ["zh", "en"], "additionalProperties": False,
        "properties": {"zh": _BOTH, "en": _BOTH},
    }]}),
]  # fmt: skip
