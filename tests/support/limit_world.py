"""A made-up factory that counted in shadow: noisy tags, spikes that flood, recorded faults.

Everything is counted by the kernel that runs live; simulated, and the same for the same seed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from group_cloud.domain.evidence import Point
from group_cloud.domain.limit_evidence import (
    DAY_MS,
    CountedDay,
    PointEvidence,
    SiteEvidence,
    Span,
)
from shared.alarm.definition import Bounds
from shared.alarm.excursions import count, verdicts
from shared.alarm.grid import Grid, grid_around
from shared.alarm.point import Setting
from shared.alarm.shadow import bounds_data, setting_data
from shared.messages.bodies import (
    AlarmPoints,
    FaultRecord,
    OutcomeRecord,
    ShadowCounts,
    ShadowVerdicts,
)

FIRST = 20_000
DAYS = 10
STEP_MS = 60_000
NOW = Setting(53.0, 0.0, 0, 0)
BOUNDS = Bounds(limit_min=45.0, limit_max=70.0, deadband_max=5.0)


def signal(
    seed: int, faults: tuple[Span, ...], first: int = FIRST, days: int = DAYS
) -> tuple[np.ndarray, np.ndarray]:
    """50 +- 1 by the minute, with short spikes over the limit and a long rise in every fault."""
    chance = np.random.default_rng(seed)
    times = first * DAY_MS + np.arange(days * DAY_MS // STEP_MS, dtype=np.int64) * STEP_MS
    values = 50 + chance.normal(0, 1, len(times))
    spikes = chance.choice(len(times), days * 40, replace=False)
    values[spikes] += 4.5
    for fault in faults:
        inside = (times >= fault.start + 10 * STEP_MS) & (times <= fault.end)
        values[inside] = 60 + chance.normal(0, 0.5, int(inside.sum()))
    return times, values


def spans(many: int = 3, first: int = FIRST) -> tuple[Span, ...]:
    """Faults of two hours, some days apart."""
    starts = [(first + 1 + 3 * n) * DAY_MS + 8 * 3_600_000 for n in range(many)]
    return tuple(
        Span(f"fault-{n}", at, at + 7_200_000, at + 9_000_000) for n, at in enumerate(starts)
    )


def factory(
    site: str, seed: int, faults: tuple[Span, ...], tags: tuple[str, ...] = ("TT-1", "TT-2"),
    first: int = FIRST, bounds: Bounds = BOUNDS,
) -> SiteEvidence:  # fmt: skip
    """A factory with an alarm on each tag; nobody has judged anything but the faults."""
    points = tuple(
        point(Point(site, "e1", f"FUR.{tag}.HI"), seed + n, faults, first, bounds)
        for n, tag in enumerate(tags)
    )
    return SiteEvidence(site, points, faults, tuple(fault.recorded_at for fault in faults))


def point(
    spot: Point, seed: int, faults: tuple[Span, ...], first: int = FIRST, bounds: Bounds = BOUNDS
) -> PointEvidence:
    """One counted point with its verdicts."""
    times, values = signal(seed, faults, first)
    grid = grid_around(NOW, "HI", bounds, 1.0, ("raw", *bounds.filters), bounds.centre or 0.0)
    days = tuple(_day(times, values, grid, first + n) for n in range(DAYS))
    held = {
        f.id: verdicts(times, values, grid, f.start, f.end).astype("<f4").tobytes() for f in faults
    }
    return PointEvidence(
        point=spot, key=f"heating/{spot.alarm}/HI", tag_class="temperature", side="HI", unit="°C",
        names={"zh": "炉温", "en": "Furnace"}, current=NOW, bounds=bounds_data(bounds, 1.0),
        grid=grid.to_dict(), days=days, verdicts=held,
        labelled=frozenset(first + n for n in range(DAYS)), true_alarms=3, nuisance=20,
    )  # fmt: skip


def _day(times: np.ndarray, values: np.ndarray, grid: Grid, day: int) -> CountedDay:
    since = day * DAY_MS
    found = count(times, values, grid, since=since, until=since + DAY_MS)
    inside = values[(times >= since) & (times < since + DAY_MS)]
    live = grid.index(NOW)
    assert live is not None
    return CountedDay(
        day, since, since + DAY_MS, 1.0, found.activations.astype("<i4").tobytes(),
        found.standing_s.astype("<f4").tobytes(), float(found.activations[live]),
        float(np.median(inside)), 1.0,
    )  # fmt: skip


def unjudged(site: SiteEvidence) -> SiteEvidence:
    """The same counts, and nobody has said anything about any of it."""
    points = tuple(
        replace(p, labelled=frozenset(), verdicts={}, true_alarms=0, nuisance=0)
        for p in site.points
    )
    return SiteEvidence(site.site, points)


# the same as a factory tells it


def told_points(site: SiteEvidence, version: str = "v1", four_eyes: bool = False) -> AlarmPoints:
    """Where its alarm points stand."""
    return AlarmPoints(
        site=site.site, version=version, part=1, parts=1, four_eyes=four_eyes,
        points={
            p.point.alarm: [p.point.edge, "FUR", "heating", "furnace", "temperature", 2]
            for p in site.points
        },
        names={p.point.alarm: dict(p.names) for p in site.points},
        tuning={
            p.point.alarm: {
                "setting": setting_data(p.current), "bounds": dict(p.bounds), "side": "HI",
                "unit": "°C",
            }
            for p in site.points
        },
    )  # fmt: skip


def told_counts(site: SiteEvidence) -> list[ShadowCounts]:
    """All its days."""
    return [
        ShadowCounts(
            site=site.site, edge=p.point.edge, alarm=p.point.alarm, tag_class="temperature",
            side="HI", unit="°C", day=d.day, since=d.since, until=d.until, grid=dict(p.grid),
            activations=d.activations, standing=d.standing, named={"live": [d.told, 0.0]},
            coverage=1.0, mean=d.mean, sigma=d.sigma,
        )
        for p in site.points for d in p.days
    ]  # fmt: skip


def told_faults(
    site: SiteEvidence, revision: int = 1, withdrawn: bool = False
) -> list[FaultRecord]:  # fmt: skip
    """Its record of faults."""
    return [
        FaultRecord(
            site=site.site, id=f.id, revision=revision, asset="FUR", line="L1", start=f.start,
            end=f.end, cause="burner", actor="li", recorded_at=f.recorded_at, withdrawn=withdrawn,
        )
        for f in site.faults
    ]  # fmt: skip


def told_verdicts(site: SiteEvidence) -> list[ShadowVerdicts]:
    """What its candidates would have said of them."""
    return [
        ShadowVerdicts(
            site=site.site, edge=p.point.edge, alarm=p.point.alarm, fault=fault,
            grid=dict(p.grid), delays=delays, coverage=1.0,
        )
        for p in site.points for fault, delays in p.verdicts.items()
    ]  # fmt: skip


def told_labels(site: SiteEvidence) -> list[OutcomeRecord]:
    """A nuisance alarm of each point on each day, judged by a person."""
    return [
        OutcomeRecord(
            site=site.site, edge=p.point.edge, alarm=p.point.alarm,
            occurrence=f"{p.point.alarm}-{day}", tag_class="temperature", side="HI",
            raised_at=day * DAY_MS + 1, returned_at=day * DAY_MS + 2, acked_after_s=1.0,
            label="nuisance", current=setting_data(p.current), bounds=dict(p.bounds),
        )
        for p in site.points for day in sorted(p.labelled)
    ]  # fmt: skip
