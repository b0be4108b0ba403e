"""Shapes of what floods resemble: at a factory in the incident, at the group with figures.

Advice for people: no shape here starts anything. Times are UTC milliseconds.
"""

from __future__ import annotations

from typing import Literal

from shared.web.dto_base import Dto, Text

LikenessState = Literal["comparing", "known", "unknown"]
LikenessWhy = Literal["", "unlike", "too_few"]


class FloodDone(Dto):
    """A playbook that ran in an earlier flood."""

    playbook: str
    ok: bool | None = None


class FloodLike(Dto):
    """An earlier flood, whose cause people recorded."""

    site: str
    site_name: Text
    incident: str
    at: int
    cause: str
    cause_name: Text | None
    """As the factory calls it where it was recorded."""
    done: list[FloodDone]
    words: str
    """What was said when it was closed."""
    took_min: float
    similarity: float


class FloodLikeness(Dto):
    """What a flood is like: known with the nearest, unknown with why, or still comparing."""

    state: LikenessState
    why: LikenessWhy
    trust: float
    """Probability that the cause named is the right one, by rehearsal on what is remembered."""
    horizon_min: int
    """Minutes of the flood that were looked at."""
    at: int
    remembered: int
    nearest: FloodLike | None


class FactoryLikeness(Dto):
    """SSE `flood_likeness` of a factory: what one incident is told to be like now."""

    incident: str
    likeness: FloodLikeness


class FactoryLikenessList(Dto):
    """SSE `flood_likeness`: those that changed."""

    items: list[FactoryLikeness]


class GroupFlood(Dto):
    """One flood of a factory with the newest answer; SSE `floods` of the group."""

    site: str
    site_name: Text
    incident: str
    begun_at: int
    ended_at: int | None
    answers: int
    complete: bool
    """The factory had told all until then when this was answered."""
    likeness: FloodLikeness | None
    others: list[FloodLike]
    """Next after the nearest, also while that is not trusted; only where one incident is asked."""
    cause: str
    """As recorded at the end; empty: not yet."""
    right: bool | None
    """Whether the answer was right; null while nobody has recorded a cause."""


class GroupFloodList(Dto):
    """GET /api/group/floods: newest first."""

    floods: list[GroupFlood]


class FloodFigures(Dto):
    """GET /api/group/floods/figures: how right the answers were, where a cause was recorded since.

    Shares are null while there is nothing to count.
    """

    remembered: int
    causes: int
    """Different causes among what is remembered."""
    asked: int
    judged: int
    known: int
    """Judged floods that were answered with a cause."""
    novel: int
    """Judged floods whose cause nobody had recorded before."""
    top1: float | None
    """Of floods with a cause recorded before: the nearest had it."""
    right_of_known: float | None
    """Of those answered with a cause: it was that."""
    unknown_precision: float | None
    """Of those answered unknown: the cause was new."""
    unknown_recall: float | None
    """Of those with a new cause: answered unknown."""
    minutes_to_known: float | None
    """Median minutes of flood until it was named."""
    minutes_to_unknown: float | None
