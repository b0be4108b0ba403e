"""Wires the health of the system itself: what is watched, and the rows that tell of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from factory_brain.adapters.postgres.consumers import behind
from factory_brain.adapters.postgres.system_store import SystemStore
from factory_brain.adapters.probes import consumer_probe, database_probe, disk_probe
from factory_brain.application.health import Health, Reading, edge_probe, untold_probe
from factory_brain.application.meters import Meters, More
from factory_brain.application.system_alarms import SystemAlarms
from shared.metrics import Exposition
from shared.postgres.audit import audit
from shared.postgres.migrate import behind_head
from shared.postgres.pool import Pool
from shared.tracing import open_traces
from shared.web.checks import Check, HealthParts

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain

MIGRATIONS = Path(__file__).parents[1] / "adapters" / "postgres" / "migrations"


def make(brain: Brain) -> SystemAlarms:
    """The rows about Andon itself, before anything is read."""
    return SystemAlarms(
        brain.settings.site, brain.clock, SystemStore(brain.alarms), audit, brain.live
    )


def meters(brain: Brain) -> Meters:
    """What a scrape is told; other parts add theirs to `more`."""
    made = Meters(
        brain.settings.site, brain.ingest, brain.fleet, brain.live, brain.broadcaster, brain.system
    )
    made.more.append(_pool(brain.pool))
    return made


async def wire(brain: Brain) -> HealthParts:
    """Start watching; the desk takes acknowledgements of these rows from now on."""
    site, clock = brain.settings.site, brain.clock
    brain.desk.system = brain.system

    async def bus() -> list[Reading]:
        return [Reading(f"{site}.brain", "bus_cut", 0 if brain.bus.connected else 1)]

    probes = (
        edge_probe(brain.fleet, site, clock),
        disk_probe(site, brain.settings.state_dir),
        database_probe(site, brain.positions, clock),
        consumer_probe(site, brain.pool),
        bus,
    )
    brains = brain.brains
    brain.system.judged_elsewhere = lambda: not brains.leader.held and bool(brains.others)
    watch = Health(clock, probes, brain.system.set, lambda: _gone(brain))
    brain.service.run("health", brain.leading(watch.run))
    # Of this process, whether or not it leads.
    told = untold_probe(site, lambda: brain.ingest.telling.untold, clock)
    brain.service.run("health-own", Health(clock, (told,), brain.system.set).run)
    brain.on_run_ended.append(brain.meters.run_ended)
    _trace(brain)
    return HealthParts(
        _checks(brain), brain.meters.text if brain.settings.metrics_open else None,
        brain.settings.readiness_details,
    )  # fmt: skip


def _gone(brain: Brain) -> list[tuple[str, str]]:
    """What is shown of edges, people, ladders, links and sinks that the site no longer has."""
    site = brain.site
    known = {"brain", "unknown", *brain.fleet.edges, *brain.sources.strangers, *site.sinks}
    known |= {*site.links.inbound, *site.links.outbound, *site.links.devices}
    known |= {f"person-{each.id}" for each in site.notify.people}
    known |= {f"ladder-{each.id}" for each in site.notify.ladders}
    return [
        (each.source, each.code) for each in brain.system.conditions
        if each.active and each.source.removeprefix(f"{site.info.site}.") not in known
    ]  # fmt: skip


def _trace(brain: Brain) -> None:
    """Spans from the commit to the frame; nothing where no collector is named."""
    traces = open_traces(brain.settings.otlp_endpoint, "andon-brain", site=brain.settings.site)
    if traces.on:
        brain.ingest.traces = brain.live.traces = traces
        brain.ingest.on_traced.append(brain.live.traced)
        brain.service.on_close("traces", traces.close)


def _pool(pool: Pool) -> More:
    async def tell(out: Exposition) -> None:
        size, idle = pool.get_size(), pool.get_idle_size()
        out.tell(
            "db_connections", "gauge", "Connections of the pool",
            [({"state": "busy"}, size - idle), ({"state": "idle"}, idle)],
        )  # fmt: skip
        lag = await behind(pool)
        out.tell(
            "consumer_behind", "gauge", "Journal positions that a consumer has not done yet",
            [({"consumer": name}, n) for name, n in sorted(lag.items())],
        )  # fmt: skip

    return tell


def _checks(brain: Brain) -> dict[str, Check]:
    async def database() -> str:
        return "" if await brain.positions.writable() else "not_writable"

    async def migrations() -> str:
        return await behind_head(brain.pool, MIGRATIONS)

    async def bus() -> str:
        return "" if brain.bus.connected else "not_connected"

    async def consumers() -> str:
        # Of several brains one may have no source at this moment: it is ready to take one.
        stopped = brain.service.stopped(("brains", "sources")) or brain.sources.stopped
        return "stopped" if stopped else ""

    return {"database": database, "migrations": migrations, "bus": bus, "consumers": consumers}
