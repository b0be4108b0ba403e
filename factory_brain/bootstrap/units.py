"""Wires units, batches and the trace: the samples and the journal that tell of them, the routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.incident_reads import PgIncidentReads
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.adapters.postgres.trace_reads import PgTraceReads
from factory_brain.adapters.postgres.unit_feed import UnitFeed
from factory_brain.adapters.postgres.unit_reads import UnitReadsPg
from factory_brain.adapters.postgres.unit_store import UnitStore
from factory_brain.application.details import Details
from factory_brain.application.incidents.story import IncidentStory, IncidentWords
from factory_brain.application.trace.export import TraceExport
from factory_brain.application.trace.signals import Signals
from factory_brain.application.trace.story import TraceStory
from factory_brain.application.trends import Trends
from factory_brain.application.units.questions import UnitQuestions
from factory_brain.application.units.reports import UnitReports
from factory_brain.application.units.turns import Turns
from factory_brain.application.units.words import UnitWords
from factory_brain.web.parts import UnitParts
from shared.postgres.audit import audit
from shared.postgres.pool import Pool, connect_pool

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain
    from shared.web.dto_trace import TraceOut

TURNS = 2
"""Long questions at a time, and connections for them."""
STATEMENT_MS = 10_000
"""What one statement of a question may take."""


async def wire(brain: Brain) -> UnitParts:
    """Follow what tells of units; after the incidents, whose story the trace tells too."""
    site, clock, pool = brain.site, brain.clock, brain.pool
    store, words = UnitStore(brain.alarms, site, clock), UnitWords(site)
    brain.ingest.on_samples.append(store.on_samples)
    reports = UnitReports(site, clock, store, audit)
    feed = Feed(pool, "units")
    brain.ingest.on_commit.append(feed.wake)
    brain.service.run("units-feed", brain.leading(UnitFeed(pool, feed, reports).run))
    asked = await connect_pool(
        brain.settings.database_url, size=TURNS, name=f"{brain.settings.site}-questions",
        statement_ms=STATEMENT_MS,
    )  # fmt: skip
    brain.service.on_close("questions-database", asked.close)
    brain.asked = asked
    reads, samples = UnitReadsPg(asked), SampleStore(asked)
    questions = UnitQuestions(site, clock, reads, samples, words)
    story = _story(brain, asked, reads, samples, questions)
    export = TraceExport(PgTraceReads(pool, clock), clock, _as_pdf)
    turns = Turns((asyncpg.QueryCanceledError,), most=TURNS)
    return UnitParts(reports, questions, reads, story, export, clock, turns)


def _story(
    brain: Brain, asked: Pool, reads: UnitReadsPg, samples: SampleStore, questions: UnitQuestions
) -> TraceStory:
    """Told from connections of its own: whoever asks for much holds up no operator."""
    site, clock, alarms = brain.site, brain.clock, AlarmStore(asked)
    details = Details(site.alarms, site.tags, clock, alarms, alarms, samples, brain.live)
    details.run_entries = brain.details.run_entries
    incidents = IncidentStory(IncidentWords(site), clock, PgIncidentReads(asked), alarms, details)
    trends = Trends(brain.settings.site, site.tags, site.sources, samples, brain.bus, clock)
    signals = Signals(site, samples, trends, questions.words)
    return TraceStory(
        site, clock, alarms, details, incidents, PgTraceReads(asked, clock), reads, questions,
        signals,
    )  # fmt: skip


def _as_pdf(trace: TraceOut, language: str, made_at: int, actor: str) -> bytes:
    """The report; what makes PDFs is loaded with the first one, in its thread."""
    from factory_brain.adapters.trace_pdf import as_pdf

    return as_pdf(trace, language, made_at, actor)
