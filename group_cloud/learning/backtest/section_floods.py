"""The memory of floods across factories: the group remembers, a factory it never saw asks.

Registered for folders of recorded plants. Episodes are made by replaying the engineer's rule E1;
the fault number is the root cause. Some numbers take turns in being novel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from group_cloud.learning.backtest.engineer import ENGINEERS, told
from group_cloud.learning.backtest.history import points_of
from group_cloud.learning.backtest.measure import auc
from group_cloud.learning.backtest.plant import MINUTE_MS, Plant
from group_cloud.learning.backtest.sections import Job, Section, Shown, register
from group_cloud.learning.flood_models import HORIZONS_MIN
from group_cloud.learning.floods import Alarm, Episode, FloodMemory, Resemblance

TURNS = 4
"""Each fault number is novel in one of this many turns."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said of one flood, and what was so."""

    cause: str
    novel: bool
    said: Resemblance
    after_min: float
    final: Resemblance


def episodes_of(plant: Plant) -> list[Episode]:
    """One episode per fault: the alarms that came up while it lasted."""
    rule = next(engineer for engineer in ENGINEERS if engineer.name == "E1")
    alarms = [
        (float(r), float(c), f"{point.tag}.{point.side}")
        for point in points_of(plant, ("raw",))
        for r, c in zip(*told(rule, plant, point), strict=True)
    ]
    alarms.sort()
    found = []
    for fault in plant.faults:
        inside = tuple(Alarm(p, r, c) for r, c, p in alarms if fault.start <= r <= fault.end)
        if inside:
            found.append(
                Episode(
                    f"{plant.name}/{fault.start:.0f}", plant.name,
                    int(inside[0].raised) * MINUTE_MS, f"idv {fault.kind}", "",
                    fault.end - fault.start, inside,
                )
            )  # fmt: skip
    return found


def ask(memory: FloodMemory, episode: Episode, novel: bool) -> Asked:
    """Look at the flood again and again until there is an answer."""
    seen = [(memory.resembles(episode.alarms, m), float(m)) for m in HORIZONS_MIN]
    final = seen[-1][0]
    answer, after = next((s for s in seen if s[0].settled), seen[-1])
    return Asked(episode.cause, novel, answer, after, final)


def run(job: Job) -> dict[str, Any]:
    """Every scored factory asks the memory of the others, once per turn of novel causes."""
    job.say("floods: episodes")
    episodes = {plant.name: episodes_of(plant) for plant in job.plants}
    late = {plant.name for plant in job.scored}
    everyone = len(late) == len(job.plants)
    causes = sorted({e.cause for found in episodes.values() for e in found})
    by_plant: dict[str, list[Asked]] = {}
    shut: list[Asked] = []
    for plant in job.scored:
        job.say(f"{plant.name}: floods")
        group = [
            e
            for other, found in episodes.items()
            if other != plant.name and (everyone or other not in late)
            for e in found
        ]
        by_plant[plant.name] = in_turns(group, episodes[plant.name], causes)
        memory = FloodMemory()
        for episode in group:
            memory.remember(episode)
        shut += [ask(memory, e, False) for e in episodes[plant.name]]
    if not any(by_plant.values()):
        return {"skipped": "no floods"}
    return {
        "total": figures([a for asked in by_plant.values() for a in asked]),
        "factories": {name: figures(asked) for name, asked in by_plant.items()},
        "all_causes_known": closed(shut),
        "horizons_min": list(HORIZONS_MIN),
        "novel_turns": TURNS,
        "causes": len(causes),
    }


def in_turns(group: list[Episode], asking: list[Episode], causes: list[str]) -> list[Asked]:
    """Every cause asks once as novel, and as a known one in the next turn only: equally many."""
    found = []
    for turn in range(TURNS):
        novel = {c for i, c in enumerate(causes) if i % TURNS == turn}
        known = {c for i, c in enumerate(causes) if i % TURNS == (turn + 1) % TURNS}
        memory = FloodMemory()
        for episode in group:
            if episode.cause not in novel:
                memory.remember(episode)
        found += [ask(memory, e, e.cause in novel) for e in asking if e.cause in novel | known]
    return found


def figures(asked: list[Asked]) -> dict[str, Any]:
    """Half of the floods known to the memory, half novel."""
    known, novel = [a for a in asked if not a.novel], [a for a in asked if a.novel]
    unknown = [a for a in asked if not a.said.known]
    right = [a for a in known if _is_right(a.said, a.cause)]
    answered = [a for a in asked if a.said.known]
    rank = np.unique([round(1 - a.final.trust, 9) for a in asked], return_inverse=True)[1]
    return {
        "floods": len(asked),
        "known": len(known),
        "novel": len(novel),
        "top1": _share(sum(_is_right(a.final, a.cause) for a in known), len(known)),
        "right_and_said": _share(
            sum(_is_right(a.said, a.cause) for a in known if a.said.known), len(known)
        ),
        "top1_at_answer": _share(len(right), len(known)),
        "right_of_answers": _share(
            sum(_is_right(a.said, a.cause) and not a.novel for a in answered), len(answered)
        ),
        "unknown_precision": _share(sum(a.novel for a in unknown), len(unknown)),
        "unknown_recall": _share(sum(not a.said.known for a in novel), len(novel)),
        "novelty_auc": auc(
            [int(r) for r, a in zip(rank, asked, strict=True) if a.novel],
            [int(r) for r, a in zip(rank, asked, strict=True) if not a.novel],
        ),
        "median_min_to_answer": _median([a.after_min for a in asked]),
        "median_min_to_known": _median([a.after_min for a in answered]),
    }


def closed(asked: list[Asked]) -> dict[str, Any]:
    """All causes are in the memory."""
    said = [a for a in asked if a.said.known]
    return {
        "floods": len(asked),
        "top1": _share(sum(_is_right(a.final, a.cause) for a in asked), len(asked)),
        "said_unknown": _share(len(asked) - len(said), len(asked)),
        "right_of_answers": _share(sum(_is_right(a.said, a.cause) for a in said), len(said)),
        "median_min_to_answer": _median([a.after_min for a in said]),
    }


def _is_right(said: Resemblance, cause: str) -> bool:
    return said.nearest is not None and said.nearest.cause == cause


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None


def show(data: dict[str, Any]) -> list[Shown]:
    """One row per factory."""
    if "total" not in data:
        return []
    keys = ("floods", "top1", "right_of_answers", "unknown_precision", "unknown_recall",
            "novelty_auc", "median_min_to_answer")  # fmt: skip
    head = ("", "次 / n", "首位 / top-1", "答对 / right", "未知查准 / precision",
            "未知查全 / recall", "新颖 AUC / novelty", "分钟 / min")  # fmt: skip
    rows = tuple(
        (name, *(str(row[key]) for key in keys))
        for name, row in [("total", data["total"]), *data["factories"].items()]
    )
    known = tuple((name, str(value)) for name, value in data["all_causes_known"].items())
    return [
        Shown("报警泛滥记忆,半数为新 / memory of floods, half of them novel", head, rows),
        Shown("原因都已知 / all causes known", ("", ""), known),
    ]


FLOODS = register(Section("floods", "plants", run, show, order=400))
