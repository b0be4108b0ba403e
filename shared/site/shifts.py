"""`shifts` of `site.yaml`: when one crew hands over to the next, by the wall clock of the site."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.site.fields import Model, Names, Token

TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class ShiftSpec(Model):
    """One shift; it lasts until the next one starts."""

    id: Token
    name: Names
    start: TimeOfDay = Field(examples=["08:00"])

    @property
    def time(self) -> tuple[int, int]:
        """Hour and minute of its start."""
        hour, _, minute = self.start.partition(":")
        return int(hour), int(minute)


WHOLE_DAY = ShiftSpec(id="day", name=Names(zh="全天", en="Whole day"), start="00:00")
"""Where a site names no shifts."""


def check_shifts(shifts: list[ShiftSpec]) -> list[ShiftSpec]:
    """No two shifts of one name or start; raises ValueError."""
    for what in ("id", "start"):
        seen: set[str] = set()
        for shift in shifts:
            value: str = getattr(shift, what)
            if value in seen:
                raise ValueError(f"two shifts have the same {what}, {value!r}")
            seen.add(value)
    return shifts
