"""What has come down from the tiers above, as the edge keeps it: settings, models, a rehearsal.

Written and read by the directive handler; stored forms, no rules.
"""

from __future__ import annotations

import msgspec

from shared.messages.directives import AlarmModel


class Tuned(msgspec.Struct, frozen=True):
    """A tuned setting as stored: numbers and the version that brought it."""

    row: list[float]
    version: int
    base: list[float] = []
    """The site's own setting when it was tuned; when people change that, theirs counts again."""


class SentModel(msgspec.Struct, frozen=True):
    """A model that has come down, as stored."""

    model: AlarmModel
    version: int


class Begun(msgspec.Struct, frozen=True):
    """A rehearsal that was begun: of one that never ended, the edge has died."""

    directive: str
    counter: int
    name: bytes
