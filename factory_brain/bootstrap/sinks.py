"""Wires northbound sinks: the journal and the samples to the targets of `sinks.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.sink_store import PgSinkStore
from factory_brain.adapters.sinks.registry import open_sink
from factory_brain.application.sinks.forwarder import Forwarder
from factory_brain.application.sinks.forwarding import Forwarding
from shared.site.sinks import SinkSpec

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain

CODE = "sink_behind"


async def wire(brain: Brain) -> Forwarding:
    """Run the site's sinks; they follow its files."""
    site, clock, settings = brain.site, brain.clock, brain.settings
    store = PgSinkStore(brain.pools.upkeep, site, clock)
    brain.ingest.on_samples.append(store.on_samples)

    def journal(name: str) -> Feed:
        spec = site.sinks.get(name)
        begin = spec.begin if spec is not None else "now"
        return Feed(brain.pool, f"sink-{name}", begin=begin)

    async def make(spec: SinkSpec) -> Forwarder:
        sink = await open_sink(spec, settings.secrets_dir, settings.site)
        return Forwarder(spec, sink, journal(spec.id), store, site, clock, brain.epoch)

    rows = await brain.pool.fetch(
        "SELECT source FROM system_condition WHERE code = $1 AND active", CODE
    )
    told = [row["source"].partition(".")[2] for row in rows]
    forwarding = Forwarding(site, clock, store, make, journal, _behind(brain), told)
    await forwarding.prepare()
    brain.meters.more.append(forwarding.tell)
    brain.service.on_close("sinks", forwarding.close)
    brain.service.run("sinks", forwarding.run)
    brain.service.run("sinks-prune", forwarding.prune_for_ever)
    return forwarding


def _behind(brain: Brain) -> Any:
    """The condition `sink_behind` of one sink."""

    async def set_behind(name: str, active: bool, params: dict[str, Any]) -> None:
        source = f"{brain.settings.site}.{name}"
        async with brain.alarms.transaction() as tx:
            await brain.alarms.set_system(tx, source, CODE, active, params, brain.clock.now_ms())
        await brain._refresh_system()  # pyright: ignore[reportPrivateUsage]

    return set_behind
