"""Puts the edge's telemetry together: sampler, history with its disk, snippets.

Called by the bootstrap, once the site's rules are known.
"""

from __future__ import annotations

from edge_node.adapters.history_files import HistoryFiles
from edge_node.application.history import History
from edge_node.application.journal import Journal
from edge_node.application.pipeline import Pipeline
from edge_node.application.sampler import Sampler
from edge_node.application.snippets import Around, Snippets
from edge_node.application.system_events import SystemEvents
from edge_node.application.telemetry import Telemetry
from edge_node.settings import EdgeSettings
from shared.alarm.definition import AlarmDefinition
from shared.clock import Clock
from shared.site.reporting import SnippetSpec

HOUR_MS = 3_600_000


def make_telemetry(
    settings: EdgeSettings, pipeline: Pipeline, default: SnippetSpec, journal: Journal,
    system: SystemEvents, clock: Clock,
) -> Telemetry:  # fmt: skip
    """The telemetry of one checked site."""
    age_ms = settings.history_hours * HOUR_MS
    disk = None
    if settings.history_disk_mb:
        disk = HistoryFiles(
            settings.state_dir / "history", clock, settings.history_disk_mb << 20, age_ms
        )
    history = History(pipeline.tags, clock, settings.history_mb << 20, age_ms, disk)
    history.on_disk = lambda fault: system.set("history_disk_failed", bool(fault), reason=fault)
    around = around_of(pipeline, default)
    snippets = Snippets(around, history, clock, settings.snippets_per_minute)
    return Telemetry(
        Sampler(pipeline.tags, clock), history, snippets, journal, clock, pipeline.steady
    )


def around_of(pipeline: Pipeline, default: SnippetSpec) -> Around:
    """What the snippets need of a site; for `Telemetry.renew` as well."""
    units = pipeline.book.units

    def definition(alarm: str) -> AlarmDefinition | None:
        unit = units.get(alarm)
        return unit.definition if unit is not None else None

    def spec_of(alarm: str) -> SnippetSpec:
        found = definition(alarm)
        if found is None or found.snippet is None:
            return default
        return SnippetSpec.model_construct(before=found.snippet[0], after=found.snippet[1])

    return Around(pipeline.tags, definition, pipeline.reads, spec_of)
