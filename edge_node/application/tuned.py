"""What has come down from the tiers above, as the edge keeps it: settings, models, a rehearsal.

Written and read by the directive handler; stored forms, and when one of them is out of date.
"""

from __future__ import annotations

import msgspec

from edge_node.application.records import setting_of
from shared.alarm.definition import Bounds
from shared.alarm.shadow import centre_moved
from shared.messages.directives import AlarmModel


class Tuned(msgspec.Struct, frozen=True):
    """A tuned setting as stored: numbers and the version that brought it."""

    row: list[float]
    version: int
    base: list[float] = []
    """The site's own setting when it was tuned; when people change that, theirs counts again."""
    centre: float | None = None
    """Under `day`: the site's normal value when it was tuned; the limit means nothing without."""

    def superseded(self, written: list[float], bounds: Bounds) -> bool:
        """Whether people have since changed what it was tuned from, or is written around."""
        if self.base and self.base != written:
            return True
        return centre_moved(bounds, setting_of(self.row).filter, self.centre)


class SentModel(msgspec.Struct, frozen=True):
    """A model that has come down, as stored."""

    model: AlarmModel
    version: int


class Begun(msgspec.Struct, frozen=True):
    """A rehearsal that was begun: of one that never ended, the edge has died."""

    directive: str
    counter: int
    name: bytes
