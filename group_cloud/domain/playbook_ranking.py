"""How variants of a playbook compare by what came of their runs, in bounded contexts. Pure.

What is learnt and drawn is the learner's (`learning/bandit.py`); here is what a run is worth, who
competes with whom, and when that is enough to propose. Which version runs is decided by people.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.playbook.model import Playbook
from shared.playbook.tuning import within

MOST_CONTEXTS = 100
"""More are ranked together as `*`, the rarest first."""
MOST_VARIANTS = 20
FLOOR = 0.05
SURE = 0.95
ENOUGH = 8
"""Runs of each side before anything is proposed."""
REST = "*"


class Choice(Protocol):
    """The learner: Thompson sampling per context, deterministic by its seed."""

    def learn_one(self, x: tuple[str, str], y: float | None) -> None:
        """Take (context, variant) and what the outcome was worth."""
        ...

    def chances(self, context: str, variants: Sequence[str]) -> dict[str, float]:
        """How often each would be the best of a draw."""
        ...

    def propose(self, context: str, variants: Sequence[str]) -> dict[str, float]:
        """The same as weights, none below the floor."""
        ...

    def posterior(self, x: tuple[str, str]) -> tuple[float, float]:
        """The two counts of what is known of (context, variant)."""
        ...


NewChoice = Callable[[], Choice]
"""A learner that knows nothing yet."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one run."""

    site: str
    version: int
    variant: str
    success: bool
    resolve_s: float | None
    context: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ranked:
    """One variant in one context."""

    version: int
    variant: str
    runs: int
    succeeded: int
    mean: float
    low: float
    best: float
    weight: float
    resolve_s: float | None


@dataclass(frozen=True, slots=True)
class Ranking:
    """How variants compare in one context, the best first."""

    context: str
    runs: int
    ranked: tuple[Ranked, ...]


@dataclass(frozen=True, slots=True)
class InputMove:
    """A value of a tunable input that did better than the one in use."""

    name: str
    now: Any
    proposed: Any
    least: Any
    most: Any
    runs_now: int
    runs_proposed: int
    best: float


def context_of(asset_class: str, tag_class: str, hour: int) -> str:
    """Where a run belongs: class of the asset, class of what alarmed, third of the day."""
    third = ("00-08", "08-16", "16-24")[max(0, min(hour, 23)) // 8]
    return f"{asset_class or '-'}/{tag_class or '-'}/{third}"


def rank(runs: Sequence[Run], new_choice: NewChoice) -> list[Ranking]:
    """Every context with its variants; all runs together as the last one."""
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.context] = counts.get(run.context, 0) + 1
    kept = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_CONTEXTS]
    grouped: dict[str, list[Run]] = {name: [] for name in kept}
    for run in runs:
        if run.context in grouped:
            grouped[run.context].append(run)
    if runs:
        grouped[REST] = list(runs)
    choice = new_choice()
    return [Ranking(name, len(mine), _ranked(name, mine, choice)) for name, mine in grouped.items()]


def _ranked(context: str, runs: list[Run], choice: Choice) -> tuple[Ranked, ...]:
    arms: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        arms.setdefault((run.version, run.variant), []).append(run)
    keys = sorted(arms, key=lambda key: (-len(arms[key]), key))[:MOST_VARIANTS]
    names = {key: f"{key[0]}/{key[1]}" for key in keys}
    _learn(choice, context, {names[key]: arms[key] for key in keys}, _usual(runs))
    best = choice.chances(context, list(names.values()))
    weights = choice.propose(context, list(names.values()))
    found = []
    for key, name in names.items():
        a, b = choice.posterior((context, name))
        mean = a / (a + b)
        spread = (mean * (1 - mean) / (a + b + 1)) ** 0.5
        mine = arms[key]
        times = [run.resolve_s for run in mine if run.resolve_s is not None]
        found.append(Ranked(
            key[0], key[1], len(mine), sum(run.success for run in mine), round(mean, 4),
            round(max(0.0, mean - 1.645 * spread), 4), round(best[name], 4), weights[name],
            round(statistics.median(times), 1) if times else None,
        ))  # fmt: skip
    return tuple(sorted(found, key=lambda each: (-each.mean, each.version, each.variant)))


def _learn(choice: Choice, context: str, arms: Mapping[str, list[Run]], usual_s: float) -> None:
    for name, runs in arms.items():
        for run in runs:
            choice.learn_one((context, name), worth(run, usual_s))


def _usual(runs: Iterable[Run]) -> float:
    times = [run.resolve_s for run in runs if run.success and run.resolve_s is not None]
    return max(1.0, statistics.median(times)) if times else 1.0


def worth(run: Run, usual_s: float) -> float:
    """Between 0 and 1: nothing without success; half of it is for how soon the plant was well."""
    if not run.success:
        return 0.0
    if run.resolve_s is None:
        return 0.75
    return 0.5 + 0.5 * min(1.0, usual_s / (usual_s + max(0.0, run.resolve_s)) * 2)


def suggested(ranking: Ranking, live: Mapping[str, int]) -> tuple[int, list[str]] | None:
    """(version, factories that run another one), where one is better almost for sure."""
    best = max(ranking.ranked, key=lambda each: each.best, default=None)
    others = [each for each in ranking.ranked if each is not best]
    if best is None or best.variant or best.best < SURE or best.runs < ENOUGH:
        return None
    if not any(each.runs >= ENOUGH for each in others):
        return None
    # Only ever upwards: a factory refuses a version below its own.
    sites = sorted(site for site, version in live.items() if version < best.version)
    return (best.version, sites) if sites else None


def input_moves(book: Playbook, runs: Sequence[Run], new_choice: NewChoice) -> list[InputMove]:
    """Values inside the bounds that were in use somewhere and did better than the usual one."""
    found: list[InputMove] = []
    choice, usual = new_choice(), _usual(runs)
    for name, spec in sorted(book.inputs.items()):
        if spec.tunable is None or spec.type not in ("number", "integer", "duration"):
            continue
        arms: dict[Any, list[Run]] = {}
        for run in runs:
            value = run.inputs.get(name)
            if isinstance(value, (int, float, str)) and within(spec, value):
                arms.setdefault(value, []).append(run)
        keys = sorted(arms, key=lambda key: (-len(arms[key]), str(key)))[:MOST_VARIANTS]
        if len(keys) < 2:
            continue
        names = {str(place): key for place, key in enumerate(keys)}
        _learn(choice, name, {place: arms[key] for place, key in names.items()}, usual)
        best = choice.chances(name, list(names))
        place = max(best, key=lambda each: best[each])
        now, proposed = keys[0], names[place]
        enough = min(len(arms[now]), len(arms[proposed])) >= ENOUGH
        if proposed != now and best[place] >= SURE and enough:
            found.append(InputMove(
                name, now, proposed, spec.tunable.min, spec.tunable.max, len(arms[now]),
                len(arms[proposed]), round(best[place], 4),
            ))  # fmt: skip
    return found
