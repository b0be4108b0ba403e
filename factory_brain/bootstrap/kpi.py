"""Wires the alarm figures: the journal, the live ones that follow it, what the routes call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_brain.adapters.postgres.kpi_journal import KpiJournal
from factory_brain.application.kpis import LiveFigures
from factory_brain.web.parts import KpiParts

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain


async def wire(brain: Brain) -> KpiParts:
    """Start following the journal."""
    site, journal = brain.site, KpiJournal(brain.pool)
    figures = LiveFigures(journal, lambda: site.kpi, site.info.timezone, brain.clock)
    brain.ingest.on_commit.append(figures.wake)
    brain.ingest.on_annunciated.append(brain.live.annunciated)
    brain.service.run("kpi", figures.run)
    return KpiParts(site, journal, figures, brain.live, brain.clock)
