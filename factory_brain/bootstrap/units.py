"""Wires units, batches and the trace: the samples and the journal that tell of them, the routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.trace_reads import PgTraceReads
from factory_brain.adapters.postgres.unit_feed import UnitFeed
from factory_brain.adapters.postgres.unit_reads import UnitReadsPg
from factory_brain.adapters.postgres.unit_store import UnitStore
from factory_brain.adapters.trace_pdf import as_pdf
from factory_brain.application.trace.export import TraceExport
from factory_brain.application.trace.signals import Signals
from factory_brain.application.trace.story import TraceStory
from factory_brain.application.units.questions import UnitQuestions
from factory_brain.application.units.reports import UnitReports
from factory_brain.application.units.words import UnitWords
from factory_brain.web.routes.units import UnitParts
from shared.postgres.audit import audit

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain


async def wire(brain: Brain) -> UnitParts:
    """Follow what tells of units; after the incidents, whose story the trace tells too."""
    site, clock, pool = brain.site, brain.clock, brain.pool
    store, reads, words = UnitStore(brain.alarms, site, clock), UnitReadsPg(pool), UnitWords(site)
    brain.ingest.on_samples.append(store.on_samples)
    reports = UnitReports(site, clock, store, audit)
    feed = Feed(pool, "units")
    brain.ingest.on_commit.append(feed.wake)
    brain.service.run("units-feed", brain.leading(UnitFeed(pool, feed, reports).run))
    questions = UnitQuestions(site, clock, reads, brain.samples, words)
    kept = PgTraceReads(pool, clock)
    story = TraceStory(
        site, clock, brain.alarms, brain.details, brain.incident_parts.story, kept, reads,
        questions, Signals(site, brain.samples, brain.trends, words),
    )  # fmt: skip
    return UnitParts(reports, questions, reads, story, TraceExport(kept, clock, as_pdf), clock)
