"""The main section: the engineers' fixed settings and the learned ones, by the protocol.

Its keys are `total` and `factories` per setting; registered for folders of recorded plants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from group_cloud.learning.backtest.engineer import ENGINEERS, Engineer, live, told
from group_cloud.learning.backtest.history import Point, points_of
from group_cloud.learning.backtest.measure import Minutes, Told, measure
from group_cloud.learning.backtest.plant import Plant, labels_of
from group_cloud.learning.backtest.protocol import FIRST_WEEKS_MIN, Joined, join, settled
from group_cloud.learning.backtest.sections import Job, Section, Shown, register
from group_cloud.learning.limits.optimizer import Optimizer, Tuning

Tell = Callable[[Engineer, Plant, Point], tuple[Minutes, Minutes]]
RAW = "learned_raw"
"""The learned settings where the edge can hold limits against samples only."""
ON_POINT = "_on_point"
"""Engineers' settings as Andon's own alarm point runs them: its deadband also holds a delay."""


def run(job: Job) -> dict[str, Any]:
    """All settings over the scored plants."""
    found: dict[str, Any] = {}
    for engineer in ENGINEERS:
        job.say(engineer.name)
        found[engineer.name] = _fixed(job, engineer, told)
        if engineer.band:
            found[engineer.name + ON_POINT] = _fixed(job, engineer, live)
    found.update(learned(job))
    order = [e.name for e in ENGINEERS] + ["learned"]
    return {name: found[name] for name in [*order, *(n for n in found if n not in order)]}


def _fixed(job: Job, engineer: Engineer, tell: Tell) -> dict[str, Any]:
    each: dict[str, Told] = {}
    young = Told()
    for plant in job.scored:
        episodes = [tell(engineer, plant, p) for p in points_of(plant, ("raw",))]
        each[plant.name] = measure(plant, episodes)
        young += measure(plant, episodes, until=plant.first_scored + FIRST_WEEKS_MIN)
    return {**_rows(each), "first_two_weeks": young.figures()}


def learned(job: Job) -> dict[str, Any]:
    """The learned settings: with all filters, and with what the edge runs today."""
    members: dict[str, Optimizer] = {}
    for plant in job.plants:
        job.say(f"{plant.name}: counting candidates")
        members[plant.name] = settled(job.history(plant), job.tuning)
    found: dict[str, Any] = {}
    for name, filters in (("learned", job.tuning.rails.filters), (RAW, ("raw",))):
        tuning = replace(job.tuning, rails=replace(job.tuning.rails, filters=filters))
        joined = [_join(job, plant, members, name, tuning) for plant in job.scored]
        rows = _rows({j.name: j.told for j in joined})
        young = sum((j.first_weeks for j in joined), Told())
        rows["first_two_weeks"] = young.figures()
        label = labels_of(j.name for j in joined)
        rows["changed_points_per_push"] = {label[j.name]: j.pushes for j in joined}
        rows["slowest_push_s"] = round(max(s for j in joined for s in j.seconds), 2)
        found[name] = rows
    return found


def _join(
    job: Job, plant: Plant, members: dict[str, Optimizer], name: str, tuning: Tuning
) -> Joined:
    late = {scored.name for scored in job.scored}
    # Late joiners are no group for each other, unless every factory takes its turn.
    everyone = len(late) == len(job.plants)
    group = [
        optimizer
        for other, optimizer in members.items()
        if other != plant.name and (everyone or other not in late)
    ]
    job.say(f"{plant.name}: {name}, a group of {len(group)}")
    return join(job.history(plant), group, tuning, job.clock)


def _rows(each: dict[str, Told]) -> dict[str, Any]:
    label = labels_of(each)
    return {
        "total": sum(each.values(), Told()).figures(),
        "factories": {label[name]: one.figures() for name, one in each.items()},
    }


HEAD = ("", "误报/天 false/day", "漏报 missed", "延迟 delay min", "常驻 standing h/day", "AUC")


def show(data: dict[str, Any]) -> list[Shown]:
    """One table over all factories, one by factory."""
    total = tuple(_row(name, rows["total"]) for name, rows in data.items())
    by_factory = tuple(
        _row(f"{factory} {name}", figures)
        for factory in next(iter(data.values()))["factories"]
        for name, rows in data.items()
        for figures in (rows["factories"][factory],)
    )
    young = tuple(_row(name, rows["first_two_weeks"]) for name, rows in data.items())
    return [
        Shown("全部 / all factories", HEAD, total),
        Shown("新厂前两周 / first two weeks of a new factory", HEAD, young),
        Shown("各厂 / by factory", HEAD, by_factory),
    ]


def _row(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    keys: Iterable[str] = ("median_delay_min", "standing_h_per_day", "auc")
    return (
        name,
        _text(figures["false_per_day"]),
        f"{figures['missed']} / {figures['faults']}",
        *(_text(figures[key]) for key in keys),
    )


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"


SETTINGS = register(Section("settings", "plants", run, show, order=0))
