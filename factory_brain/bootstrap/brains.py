"""Wires several brains: leases, this one's part of the sources, what the others have committed."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from factory_brain.adapters.postgres.lease_store import LeaseStore
from factory_brain.adapters.postgres.news_store import NewsStore
from factory_brain.application.brains import Brains, Hold, Me
from factory_brain.application.news import News
from factory_brain.application.ports import Transaction
from factory_brain.application.sources import Sources
from factory_brain.domain.shares import holder_of
from factory_brain.settings import BrainSettings
from shared.lives import own_life
from shared.outbox.receiving import Receiving

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain


def own_name(settings: BrainSettings) -> str:
    """What this brain is called among those of its factory."""
    return settings.brain_name or f"{socket.gethostname()[:40]}:{settings.http_port}"


def own_id(settings: BrainSettings, epoch: str) -> str:
    """This start of it, as the database knows its connections: who wrote what."""
    return holder_of(own_name(settings), epoch)


def make(brain: Brain) -> Brains:
    """The leases, before the first round."""

    async def edges() -> list[str]:
        return await brain.sources.edges()

    me = Me(own_name(brain.settings), brain.epoch, life=own_life())
    return Brains(
        me, LeaseStore(brain.pools.vital), brain.settings.brain_lease, edges,
        lambda: brain.broadcaster.attended,
    )  # fmt: skip


async def wire(brain: Brain, receiving: Receiving) -> Sources:
    """Be ready to consume what comes to this brain; nothing is leased yet."""
    brains = brain.brains
    sources = Sources(brain.settings.site, brain.bus, receiving, lambda: brain.fleet.edges)
    await sources.open()
    brains.on_source.append(sources.add)
    brains.on_source.append(lambda _, hold: _forget(brain, hold))
    brains.on_dead.append(brain.engine.keeping.owners_dead)
    sources.on_taken.append(lambda: _start_due(brain))
    brain.annunciation.attended_elsewhere = brains.attended_elsewhere
    brain.annunciation.claim = brains.claim_horn
    brain.annunciation.elsewhere = lambda: brains.horn_elsewhere(brain.fleet.sounding)
    brain.annunciation.settled = brains.horn_settled
    brain.uplink.leads = lambda: brains.leader.held

    async def fence(tx: Transaction) -> None:
        await LeaseStore.check(tx, brains.leader.name, brains.me, brains.leader.fence)

    brain.uplink.fence = fence
    return sources


def news(brain: Brain) -> News:
    """What this brain does when another one has committed."""
    store = NewsStore(brain.pool, own_id(brain.settings, brain.epoch))
    made = News(store, brain.brains, brain.alarms, brain.live)
    made.on_annunciated.append(brain.live.annunciated)

    async def run_changed(run: str) -> None:
        await brain.playbooks.changed(run)

    async def system(_: str) -> None:
        await brain.system.refresh()

    async def everything() -> None:
        await brain.desk.said.load()
        await brain.warnings.alarms.refresh()
        await brain.system.refresh()

    made.on_key |= {"said": brain.desk.said.changed, "run": run_changed, "system": system}
    made.on_key["early_warning"] = brain.warnings.alarms.changed
    made.on_key["flood_likeness"] = brain.likenesses.changed
    made.on_anew.append(everything)
    made.on_round.append(brain.annunciation.settle)
    return made


def _forget(brain: Brain, hold: Hold) -> None:
    """What was committed and not yet told when a source went is read from the store."""
    hold.on_lost.append(lambda: brain.news.read_anew())


async def _start_due(brain: Brain) -> None:
    """Start what the last owner committed an alarm for and did not live to start."""
    brain.triggers.wake()
    brain.news.read_anew()
