"""What every shape of the REST interface is made of.

Imported by `dto.py` and `dto_group.py`; no rule lives here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Reason = Annotated[str, StringConstraints(min_length=1, max_length=1_000, strip_whitespace=True)]
"""Why somebody did it: two characters may say all (误报), blanks say nothing."""


class Dto(BaseModel):
    """A shape on the wire: unknown fields are refused."""

    # An answer always carries its defaults, so the console's types have them as required.
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class Text(Dto):
    """A text in both languages."""

    zh: str = ""
    en: str = ""


class LaneCounts(Dto):
    """Conservation of one lane: produced = delivered + buffered + dropped + quarantined."""

    produced: int
    delivered: int
    buffered: int
    dropped: int
    quarantined: int
