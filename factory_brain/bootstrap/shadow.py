"""Wires shadow counting: nominations, full rate, the daily job, faults, what labels say of them.

Called once by the brain's bootstrap, after the incidents and the pool for long questions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.shadow_closings import ShadowClosings
from factory_brain.adapters.postgres.shadow_days import ShadowDays
from factory_brain.adapters.postgres.shadow_faults import ShadowFaults
from factory_brain.adapters.postgres.shadow_points import ShadowPoints
from factory_brain.adapters.postgres.shadow_reads import ShadowReads
from factory_brain.adapters.shadow_process import ShadowProcess
from factory_brain.application.shadow.closings import Closings
from factory_brain.application.shadow.counting import Plan, ShadowJob
from factory_brain.application.shadow.faults import FaultDesk
from factory_brain.application.shadow.full_rate import FullRate
from factory_brain.application.shadow.judging import Judging, Reach
from factory_brain.application.shadow.nominating import Nominating, Plant
from factory_brain.application.shadow.questions import Questions
from factory_brain.application.shadow.showing import ShadowView
from factory_brain.application.shadow.trials import Here, TrialDesk
from shared.postgres.audit import audit
from shared.postgres.pool import connect_pool
from shared.security import load_public

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain

CONNECTIONS = 2
LATENESS_DAYS = 3


async def wire(brain: Brain) -> FaultDesk:
    """Count in shadow from now on; returns what the routes of faults call."""
    site, clock = brain.site, brain.clock
    pool = await connect_pool(
        brain.settings.database_url, size=CONNECTIONS, name=f"{brain.settings.site}-shadow"
    )
    brain.service.on_close("shadow-database", pool.close)
    faults = ShadowFaults(pool)
    desk = FaultDesk(site, clock, faults, brain.uplink, audit)
    brain.outcomes.on_label.append(desk.on_label)
    over = ShadowClosings(pool, brain.alarms)
    brain.outcomes.run_of = over.run_of
    feed = Feed(pool, "closings")
    closings = Closings(clock, feed, over, brain.uplink, brain.outcomes.unjudged)
    brain.service.run("closings", brain.leading(closings.run))
    if brain.settings.shadow_points:
        await _count(brain, ShadowPoints(pool), ShadowDays(pool), faults)
    return desk


def view(brain: Brain) -> ShadowView:
    """What people may look at."""
    reads = ShadowReads(brain.pool)
    return ShadowView(brain.site, reads, brain.clock, brain.settings.shadow_points)


async def _count(
    brain: Brain, points: ShadowPoints, days: ShadowDays, faults: ShadowFaults
) -> None:
    settings, site, clock = brain.settings, brain.site, brain.clock
    plant = Plant(
        settings.site, tuple(brain.fleet.edges), site.alarms, settings.shadow_points
    )  # fmt: skip
    release = load_public(settings.release_key_file)
    nominating = Nominating(plant, brain.bus, clock, release, points, audit)
    await nominating.listen()
    brain.service.run("nominations", brain.leading(nominating.run))
    questions = Questions(site.alarms, brain.alarms, brain.fleet.filters)
    process = ShadowProcess()
    brain.service.on_close("shadow-process", process.close)
    full_rate = FullRate(settings.site, site.tags, site.sources, brain.bus, clock)
    plan = Plan(
        settings.site, settings.shadow_every / 1000, settings.sample_days, LATENESS_DAYS,
        settings.shadow_running_day,
    )  # fmt: skip
    job = ShadowJob(plan, clock, points, days, questions, process, brain.uplink, full_rate)
    reach = Reach(settings.site, settings.sample_days, LATENESS_DAYS)
    judging = Judging(
        reach, clock, site.assets, faults, days, questions, process, brain.uplink
    )  # fmt: skip
    job.after.append(judging.round)
    job.on_rest = process.close
    here = Here(settings.site, site.alarms, site.assets, settings.sample_days)
    tries = ShadowProcess()
    brain.service.on_close("trial-process", tries.close)
    trials = TrialDesk(here, brain.bus, clock, release, days, faults, tries, brain.uplink)
    await trials.listen()
    brain.service.run("trials", brain.leading(trials.run))
    brain.service.run("shadow", brain.leading(job.run))
    brain.service.run("shadow-full-rate", brain.leading(job.ask))
