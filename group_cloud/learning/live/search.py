"""The search for better settings of one running factory, with the factories of its owner behind it.

Run in a process of its own by the limit trainer. It is rebuilt from the tables every time, learns
from judged days and recorded faults only, and proposes what the one-sided gate lets through.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import numpy.typing as npt

from group_cloud.application.limit_trainer import Wanted
from group_cloud.domain.guardrails import Guardrails
from group_cloud.domain.limit_evidence import (
    DAY_MS,
    CountedDay,
    PointEvidence,
    SiteEvidence,
    Span,
    known_faults,
    teaching_days,
)
from group_cloud.domain.limit_proposals import Bar, Bettered, LimitFound
from group_cloud.learning.limits.bank import FAULT, JUDGED, DayCounts, FaultVerdicts, PointBank
from group_cloud.learning.limits.evidence import LimitProposal
from group_cloud.learning.limits.optimizer import Optimizer, PointInfo, Tuning
from group_cloud.learning.limits.rails import Rails
from group_cloud.learning.live.lattice import Filters, Placed, filters_of, placed
from shared.alarm.grid import Grid
from shared.alarm.point import Setting
from shared.alarm.shadow import bounds_of

COMMISSIONING = 4
"""Counted days that say where a tag usually stands."""
RECENT = 14
"""Days whose alarms make the forecast."""
TREND_DAYS = 60
DAY_SIGMAS = 3.0
"""As the guardrails ask of limits around the usual value."""
Floats = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Factory:
    """One factory with its optimiser."""

    site: SiteEvidence
    optimizer: Optimizer
    places: dict[str, Placed]
    points: dict[str, PointEvidence]


def search(own: SiteEvidence, others: Sequence[SiteEvidence], wanted: Wanted) -> list[LimitFound]:
    """Better settings for the factory's points, in the order in which they suppose each other."""
    filters = filters_of(_grids((own, *others)))
    group = [made for each in others if (made := _factory(each, filters)) is not None]
    known = _factory(own, filters, tuple(made.optimizer for made in group))
    if known is None:
        return []
    rows = [(name, at) for name in known.points if (at := _now(known, name)) is not None]
    if not rows:
        return []
    names, current = [name for name, _ in rows], np.array([at for _, at in rows])
    bounds = np.array([_allowed(known, name, wanted) for name in names])
    found: list[LimitFound] = []
    for each in known.optimizer.propose(names, current, bounds):
        at = int(current[names.index(each.point)])
        supposes = tuple(sorted(before.point.alarm for before in found))
        found.append(_found(known, each, at, supposes))
    return found


def _grids(sites: Iterable[SiteEvidence]) -> Iterator[Grid]:
    for point in (point for site in sites for point in site.points):
        with suppress(ValueError):
            yield Grid.from_dict(point.grid)


def _factory(
    site: SiteEvidence, filters: Filters, group: tuple[Optimizer, ...] = ()
) -> _Factory | None:
    infos: list[PointInfo] = []
    places: dict[str, Placed] = {}
    for point in site.points:
        usual = _usual(point)
        if usual is None:
            continue
        try:
            put = placed(Grid.from_dict(point.grid), *usual, filters)
        except ValueError:
            continue
        name = str(point.point)
        places[name] = put
        infos.append(PointInfo(name, point.key, point.tag_class, usual[1], put.grid))
    if not infos:
        return None
    faults = known_faults(site)
    # Until a factory has recorded a fault of its own, the group speaks with its whole weight.
    base = Tuning(rails=Rails(filters=filters))
    tuning = base if faults else replace(base, group_weight=1.0)
    made = _Factory(
        site, Optimizer(infos, group, tuning), places,
        {str(p.point): p for p in site.points if str(p.point) in places},
    )  # fmt: skip
    for name in made.points:
        _learn(made, name, faults)
    return made


def _usual(point: PointEvidence) -> tuple[float, float] | None:
    """Mean and spread of the tag in its first counted days."""
    first = [
        (day.mean, day.sigma) for day in point.days
        if day.usable and day.mean is not None and day.sigma
    ][:COMMISSIONING]  # fmt: skip
    if not first:
        return None
    return median(mean for mean, _ in first), median(sigma for _, sigma in first)


def _learn(made: _Factory, name: str, faults: list[Span]) -> None:
    point, put = made.points[name], made.places[name]
    at = _now(made, name)
    many = len(put.real)
    made.optimizer.banks[name] = PointBank(many, at or 0)
    taught = set[int]()
    for day in teaching_days(point, made.site):
        counts = DayCounts(day.day, *(put.spread(each) for each in _whole(day)))
        made.optimizer.learn_one((name, counts), JUDGED)
        taught.add(day.day)
    for fault in faults:
        data = point.verdicts.get(fault.id, b"")
        nothing = np.full(many, -1.0, np.float32)
        delays = put.spread(np.frombuffer(data, "<f4")) if data else nothing
        # What a candidate told of a fault is no false alarm of that day.
        counted = (fault.start // DAY_MS in taught) & (delays >= 0)
        lasted = np.maximum((fault.end - fault.start) / 1000 - delays, 0) * counted
        seen = FaultVerdicts(
            fault.id, fault.start / DAY_MS, max(1.0, (fault.end - fault.start) / 1000), delays,
            counted.astype(np.float32), lasted.astype(np.float32),
        )  # fmt: skip
        made.optimizer.learn_one((name, seen), FAULT)


def _whole(day: CountedDay) -> tuple[Floats, Floats]:
    """A day's counters, as of a whole day."""
    scale = DAY_MS / (day.until - day.since)
    told = np.frombuffer(day.activations, "<i4").astype(np.float32)
    stood = np.frombuffer(day.standing, "<f4").astype(np.float32)
    return (told * np.float32(scale)), (stood * np.float32(scale))


def _now(made: _Factory, name: str) -> int | None:
    """The place of the setting that runs; None where it was not counted."""
    point = made.points[name]
    own = Grid.from_dict(point.grid).index(point.current)
    return None if own is None else made.places[name].place(own)


def _allowed(made: _Factory, name: str, wanted: Wanted) -> npt.NDArray[np.bool_]:
    """What may be proposed for a point: its own candidates within the engineer's guardrails, and
    nothing at all where too little is known of what a change would miss."""
    point, put = made.points[name], made.places[name]
    told = sum(1 for delays in point.verdicts.values() if delays)
    if told < wanted.min_faults and not any(
        (twin := other.by_key.get(point.key)) and len(other.banks[twin].faults)
        for other in made.optimizer.group
    ):
        return np.zeros(len(put.real), np.bool_)
    if made.optimizer.banks[name].days < wanted.min_days:
        return np.zeros(len(put.real), np.bool_)
    rails = Guardrails(bounds_of(point.bounds), float(point.bounds.get("step", 0.0)))
    grid, sigma = Grid.from_dict(point.grid), made.optimizer.points[name].sigma
    mine = np.array(
        [
            rails.refuse(point.current, each) is None and _far(each, grid, sigma)
            for each in map(grid.setting, range(len(grid)))
        ],
        np.bool_,
    )
    return put.real & mine[put.own]


def _far(setting: Setting, grid: Grid, sigma: float) -> bool:
    """Whether a limit for deviations is far enough from the normal value that it is held around."""
    return setting.filter != "day" or abs(setting.limit - grid.centre) >= DAY_SIGMAS * sigma


def _found(
    made: _Factory, each: LimitProposal, now: int, supposes: tuple[str, ...]
) -> LimitFound:  # fmt: skip
    point, put, said = made.points[each.point], made.places[each.point], each.evidence
    taught = teaching_days(point, made.site)
    own_now, own_new = int(put.own[now]), int(put.own[each.candidate])
    faults = {fault.id: fault for fault in made.site.faults}
    return LimitFound(
        point=point.point,
        current=each.current,
        proposed=each.proposed,
        now=Bar(said.false_per_day_before, said.missed_before, said.median_delay_min_before,
                said.standing_h_per_day_before),
        then=Bar(said.false_per_day_after, said.missed_after, said.median_delay_min_after,
                 said.standing_h_per_day_after),
        days=len(taught),
        faults=said.faults,
        group_faults=said.group_faults,
        caught=tuple(said.caught),
        lost=tuple(said.lost),
        later=tuple(
            Bettered(fault, faults[fault].start if fault in faults else 0, before, after)
            for fault, before, after in said.later
        ),
        per_day=_per_day(taught, own_new),
        before_per_day=_per_day(taught, own_now),
        trend=tuple(_trend(point, own_now, own_new)),
        fingerprint=_fingerprint(point, taught, known_faults(made.site), (said, supposes)),
        newest_at=taught[-1].until if taught else 0,
        supposes=supposes,
    )  # fmt: skip


def _per_day(days: Sequence[CountedDay], candidate: int) -> float:
    recent = days[-RECENT:]
    told = [float(_whole(day)[0][candidate]) for day in recent]
    return sum(told) / len(told) if told else 0.0


def _trend(point: PointEvidence, now: int, new: int) -> list[tuple[float | None, ...]]:
    """Of each day: its number, mean, sigma, and the alarms now and then."""
    made: list[tuple[float | None, ...]] = []
    for day in [each for each in point.days if each.usable][-TREND_DAYS:]:
        told = _whole(day)[0]
        made.append((day.day, day.mean, day.sigma, float(told[now]), float(told[new])))
    return made


def _fingerprint(
    point: PointEvidence, days: Sequence[CountedDay], faults: Sequence[Span], said: object
) -> str:
    """Of the evidence and of what follows from it: other points' settings bear on it too."""
    state = hashlib.blake2b(repr(said).encode(), digest_size=16)
    for day in days:
        state.update(f"{day.day}:{day.until}".encode() + day.activations + day.standing)
    for fault in faults:
        state.update(f"{fault.id}:{fault.start}:{fault.end}".encode())
        state.update(point.verdicts.get(fault.id, b""))
    return state.hexdigest()
