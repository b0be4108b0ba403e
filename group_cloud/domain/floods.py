"""The memory of floods, as far as it is rules: what is an episode, what compares, when to look.

Pure; used by `application/floods`, and by the learner for the times at which it looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

HORIZONS_MIN = (10, 20, 40, 60, 120, 180)
"""Minutes from the first alarm at which a flood is looked at."""
FEWEST, CAUSES = 12, 4
"""Below so many episodes, or so many causes recorded more than once, everything is unknown: what is
trusted is rehearsed with some causes taken out, and of few there is nothing to take."""
EPISODES = 600
"""Episodes in a memory at the most."""
ALARMS = 500
"""Alarms of one episode at the most: the first."""
MINUTE_MS, DAY_MS = 60_000, 86_400_000
LATE_MS = 5_000
"""So long after a horizon its last alarms may still be on their way."""
PATIENCE_MS = 15 * MINUTE_MS
"""So long an answer waits for a factory that has not told all; then it is given without."""
SPAN_MS = HORIZONS_MIN[-1] * MINUTE_MS
NO_CAUSE = frozenset({"", "unknown"})
"""What people record when they have not found out why."""
BEGIN = 0
"""The horizon of the answer that is given as soon as a flood is told."""


def plausible(at: int, now: int) -> bool:
    """Whether a flood may have begun then: one factory's wrong clock must not stop all others."""
    return 0 < at <= now + DAY_MS


def is_episode(status: str, flood: bool, cause: str, outcome: str, drill: bool) -> bool:
    """Whether an incident is remembered: a flood that is over, with a cause people recorded."""
    over = status == "closed" and flood and not drill
    return over and cause not in NO_CAUSE and outcome in ("true", "nuisance")


def point_of(site: str, alarm: str, asset_class: str, tag_class: str, kind: str, side: str) -> str:
    """The name under which an alarm is held against those of other factories.

    What it watches, by words that factories share: class of the asset, class of the tag, kind of
    condition and side. An alarm without both classes is comparable at its own factory alone.
    """
    if not asset_class or not tag_class:
        return f"@{site}/{alarm}"
    return "/".join((asset_class, tag_class, kind or "limit", side or "-"))


def next_horizon(asked: int) -> int | None:
    """The horizon after the one asked last; -1: none was."""
    return next((h for h in (BEGIN, *HORIZONS_MIN) if h > asked), None)


def reached(first_at: int, horizon: int, told_until: int | None, now: int) -> bool | None:
    """Whether a horizon may be looked at: the factory has told all until then (True), or has been
    waited for long enough (False); None: not yet."""
    end = first_at + horizon * MINUTE_MS
    if told_until is not None and told_until >= end + LATE_MS:
        return True
    return False if now >= end + PATIENCE_MS else None


def too_few(causes: Sequence[str]) -> bool:
    """Whether there is too little to hold a flood against."""
    again = sum(often > 1 for often in Counter(causes).values())
    return len(causes) < FEWEST or again < CAUSES


def superfluous(held: Iterable[tuple[str, int, str]], most: int = EPISODES) -> list[str]:
    """Of (id, begun at, cause) what a full memory gives up: the oldest of the commonest cause."""
    kept = {name: (at, cause) for name, at, cause in held}
    many, gone = Counter(cause for _, cause in kept.values()), list[str]()
    while len(kept) > most:
        top = max(many.values())
        name = min((n for n, (_, c) in kept.items() if many[c] == top), key=lambda n: (kept[n], n))
        many[kept.pop(name)[1]] -= 1
        gone.append(name)
    return gone


@dataclass(frozen=True, slots=True)
class Judged:
    """The last answer about a flood, and what was so."""

    horizon: int
    settled: bool
    known: bool
    cause: str
    nearest: str
    """The nearest cause, also of an answer that was unknown."""
    novel: bool
    """Nobody had recorded that cause before."""

    @property
    def right(self) -> bool:
        """A cause named is the one; unknown is right of a new one."""
        return self.nearest == self.cause if self.known else self.novel


def figures(found: Sequence[Judged]) -> dict[str, int | float | None]:
    """How right the answers were."""
    known = [each for each in found if each.known]
    unknown = [each for each in found if not each.known]
    old = [each for each in found if not each.novel]
    return {
        "judged": len(found),
        "known": len(known),
        "novel": len(found) - len(old),
        "top1": _share(sum(each.nearest == each.cause for each in old), len(old)),
        "right_of_known": _share(sum(each.right for each in known), len(known)),
        "unknown_precision": _share(sum(each.novel for each in unknown), len(unknown)),
        "unknown_recall": _share(sum(each.novel for each in unknown), len(found) - len(old)),
        "minutes_to_known": _median([each.horizon for each in known]),
        "minutes_to_unknown": _median([each.horizon for each in unknown]),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def _median(values: Sequence[int]) -> float | None:
    return float(median(values)) if values else None
