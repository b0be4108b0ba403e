"""Wires what starts playbooks: the journal's feed, the clock, the alarms that runs leave by."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.run_retention import RunRetention
from factory_brain.adapters.postgres.trigger_store import PgTriggerStore
from factory_brain.application.playbooks.alarm_states import AlarmStates
from factory_brain.application.playbooks.releases import Releases
from factory_brain.application.playbooks.trigger_tidy import TriggerTidy
from factory_brain.application.playbooks.triggers import Triggers

if TYPE_CHECKING:
    from factory_brain.application.playbooks.engine import Engine
    from factory_brain.bootstrap import Brain

FORGET_EVERY_S = 3600.0


def make(brain: Brain, releases: Releases) -> tuple[PgTriggerStore, Triggers]:
    """The triggers, before anything runs."""
    store = PgTriggerStore(brain.pools.plays)
    feed = Feed(brain.pools.plays, "playbooks")
    brain.ingest.on_commit.append(feed.wake)
    triggers = Triggers(brain.site, brain.clock, store, releases, brain.alarms, feed)

    def heard(edge: str) -> bool:
        """An edge that is away says nothing; one that was not heard yet may say something."""
        if brain.fleet.unheard_ms(edge) is None:
            return edge not in brain.fleet.edges
        return brain.fleet.caught_up(edge) or not brain.fleet.online(edge)

    triggers.times.heard = heard
    return store, triggers


def run(brain: Brain, engine: Engine, store: PgTriggerStore, triggers: Triggers) -> AlarmStates:
    """Follow what happens; returns what the engine asks about alarms."""
    states = AlarmStates(brain.clock, brain.alarms, store, engine.poke)
    for heard in (brain.ingest, brain.desk, brain.outcomes):
        heard.on_occurrence.append(states.on_occurrence)
    brain.heard_elsewhere.append(states.on_occurrence)

    async def told(runs: Mapping[str, str]) -> None:
        for alarm in [each.alarm for each in brain.live.occurrences if each.occurrence in runs]:
            shown = brain.live.occurrence(alarm)
            run = runs.get(shown.occurrence) if shown is not None else None
            if shown is not None and run is not None and shown.run is None:
                found = replace(shown, run=run)
                await brain.live.on_occurrence(found, False)
                await states.on_occurrence(found, False)

    triggers.on_told.append(told)
    triggers.on_started.append(engine.wake)
    triggers.on_cancelled.append(engine.poke)
    engine.on_over.append(lambda _: triggers.wake())  # the next one of its key may begin
    brain.details.firings = brain.playbooks.firings
    tidy = TriggerTidy(brain.clock, store)
    brain.meters.more.append(tidy.tell)
    brain.service.run("triggers", triggers.run)
    brain.service.run("runs-alarms", states.run)
    brain.service.run("triggers-prune", brain.leading(tidy.run))
    past = RunRetention(brain.pools.upkeep)

    async def forget() -> None:
        while True:
            before = await brain.rollups.before(brain.clock.now_ms(), brain.settings.event_days)
            await past.forget(before)
            await asyncio.sleep(FORGET_EVERY_S)

    brain.service.run("run-retention", brain.leading(forget))
    return states


def site_taken(releases: Releases) -> Any:
    """What to do when the site's files are others."""

    async def taken(_version: str, _changes: dict[str, Any]) -> None:
        releases.site_taken()

    return taken
