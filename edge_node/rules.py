"""From a checked site to what this edge runs: tags, alarms, pipeline, devices, drivers.

Called by the bootstrap at start and at every change of the site, and by the check that runs before
a change in a process of its own. No IO beyond reading the site; starts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_node.adapters.children import Drivers
from edge_node.application.actuation import Actuation
from edge_node.application.pipeline import Pipeline
from edge_node.application.reflexes import require_known
from edge_node.application.relay import Relay
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.tags import TagTable
from shared.clock import Clock
from shared.errors import ConfigError
from shared.ids import uuid7
from shared.site.documents import Documents
from shared.site.loader import Check, Site, load_site
from shared.site.version import site_version


@dataclass(frozen=True, slots=True)
class Rules:
    """A checked site as this edge runs it."""

    version: str
    """Of the folder that it was loaded from."""
    site: Site
    tags: TagTable
    book: AlarmBook
    pipeline: Pipeline
    actuation: Actuation
    drivers: Drivers
    relay: Relay

    def on(self, old: Rules) -> Rules:
        """These rules with the drivers and the actuation that run already."""
        return replace(self, drivers=old.drivers, actuation=old.actuation)


def compile_site(
    folder: Path, edge: str, clock: Clock, documents: Documents | None = None,
    drivers: Drivers | None = None, checks: Sequence[Check] = (),
) -> Rules:  # fmt: skip
    """Load and compile one edge's part of a site; raises ConfigError with all that is wrong.

    `drivers`: those that run already, when the site changes under a running engine. `checks`:
    what plug-ins have to say, where they may be loaded.
    """
    whole = load_site(folder, documents, checks, brain=False)
    known = [spec.id for spec in whole.info.edges]
    if edge not in known:
        raise ConfigError(
            f"edge {edge!r} is not in site {whole.info.site!r}",
            where=str(folder / "site.yaml"),
            mend=f"add it to `edges`, or set `edge` to one of {known}",
        )
    site = whole.of_edge(edge)
    tags = TagTable(site.sources.values(), site.tags.values())
    book = AlarmBook(site.alarms.values(), lambda: uuid7(clock))
    pipeline = Pipeline(tags, book, clock, site.charts.values())
    drivers = drivers if drivers is not None else Drivers()
    actuation = Actuation(site.bindings.devices, tags, drivers, clock, pipeline.steady)
    require_known(list(site.reflexes.values()), actuation)
    relay = Relay(tags, drivers.tell, clock, pipeline.steady)
    return Rules(site_version(folder), site, tags, book, pipeline, actuation, drivers, relay)
