"""Wires incidents: what follows the journal, what people do, what rows and streams show."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.incident_reads import PgIncidentReads
from factory_brain.adapters.postgres.incident_store import PgIncidentStore
from factory_brain.adapters.postgres.incident_told import IncidentTold
from factory_brain.application.incidents.correlator import Correlator
from factory_brain.application.incidents.desk import IncidentDesk, Labelling
from factory_brain.application.incidents.rules import SiteRules
from factory_brain.application.incidents.story import IncidentStory, IncidentWords
from factory_brain.application.incidents.upward import Sweeper, Upward
from factory_brain.application.incidents.view import IncidentView
from factory_brain.web.parts import IncidentParts
from shared.postgres.audit import audit

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain

FORGET_EVERY_S = 3600.0


async def wire(brain: Brain) -> IncidentParts:
    """Start following the journal; returns what the routes call."""
    store, reads = PgIncidentStore(brain.pool, brain.clock), PgIncidentReads(brain.pool)
    rules, words = SiteRules(brain.site), IncidentWords(brain.site)
    upward = Upward(brain.site, brain.clock, IncidentTold(), brain.uplink.forward)
    store.on_put = upward.written
    upward.pushed = brain.alarms.settings
    feed = Feed(brain.pool, "incidents")
    brain.ingest.on_commit.append(feed.wake)
    correlator = Correlator(rules, brain.clock, store, feed)

    def shown() -> set[str]:
        return {each.occurrence for each in brain.live.occurrences}

    view = IncidentView(
        reads, words, brain.broadcaster, Labelling(reads, brain.outcomes),
        brain.live.said_changed, shown,
    )  # fmt: skip
    correlator.on_round.append(view.wake)
    desk = IncidentDesk(brain.site, rules, brain.clock, store, audit)
    desk.on_change.append(view.wake)
    brain.live.understood = view.of
    await view.load()
    brain.service.run("incidents", correlator.run)
    brain.service.run("incident-view", view.run)

    async def forget() -> None:
        while True:
            before = await brain.rollups.before(brain.clock.now_ms(), brain.settings.event_days)
            await store.forget(before)
            await asyncio.sleep(FORGET_EVERY_S)

    brain.service.run("incidents-upward", brain.leading(Sweeper(upward, store).run))
    brain.service.run("incident-retention", brain.leading(forget))
    story = IncidentStory(words, brain.clock, reads, brain.alarms, brain.details)
    return IncidentParts(desk, story)
