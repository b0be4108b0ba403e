"""What the site's models share: durations, ids, the strict model, texts in both languages.

Single values only; used by every model of `shared/site`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from shared.errors import ContractError
from shared.messages.subjects import check_token

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_duration(text: Any) -> int:
    """Milliseconds of `1h30m`, `10s`, `250ms`; raises ValueError."""
    if isinstance(text, int) and not isinstance(text, bool) and text == 0:
        return 0
    if not isinstance(text, str):
        raise ValueError("a duration is written with its unit, for example 10s or 1h30m")
    total, end = 0.0, 0
    for match in _DURATION.finditer(text):
        if match.start() != end:
            break
        total += float(match[1]) * _MS[match[2]]
        end = match.end()
    if not text or end != len(text):
        raise ValueError(f"{text!r} is not a duration; write for example 10s, 250ms or 1h30m")
    return int(total)


Duration = Annotated[int, BeforeValidator(parse_duration)]
"""Milliseconds, written `10s`."""


def _token(name: str) -> str:
    """A subject token; pydantic wraps only ValueError, so a wire fault becomes one here."""
    try:
        return check_token(name)
    except ContractError as fault:
        raise ValueError(str(fault)) from fault


Token = Annotated[str, AfterValidator(_token)]
AssetId = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$")]
TagId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
AlarmId = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Za-z0-9_.-]{0,95}$")]


class Model(BaseModel):
    """A strict, frozen model."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Names(Model):
    """A text in both languages."""

    zh: str
    en: str
