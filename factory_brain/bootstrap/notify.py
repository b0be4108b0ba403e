"""Wires notifications: from the journal by ladders to people's channels, and their answers back."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from factory_brain.adapters.apprise_channels import AppriseChannels
from factory_brain.adapters.outward import Outside, Outward
from factory_brain.adapters.postgres.device_people import DevicePeople
from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.link_feed import LinkFeed
from factory_brain.adapters.postgres.notify_reads import NotifyRows
from factory_brain.adapters.postgres.pools import SHORT_S
from factory_brain.application.notify.cases import Cases
from factory_brain.application.notify.confirmed import Confirmed
from factory_brain.application.notify.desk import NotifyDesk
from factory_brain.application.notify.directory import Directory
from factory_brain.application.notify.letters import Links
from factory_brain.application.notify.planning import Planning
from factory_brain.application.notify.ports import Acknowledge, SetSystem
from factory_brain.application.notify.sending import Sending
from factory_brain.application.notify.speaking import Speaking
from factory_brain.application.watched_channels import WatchedChannels
from factory_brain.web.parts import NotifyParts
from shared.errors import Rejected
from shared.postgres.audit import audit
from shared.postgres.pool import connect_pool
from shared.telemetry import logger

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain

CODE = "notification_failed"
POOL = 3
EVERYWHERE = ("", "0.0.0.0", "::")
"""What a server listens at; nobody can open it."""
log = logger("notify")


async def wire(brain: Brain) -> NotifyParts:
    """Run the ladders of the site; they follow the site's files."""
    site, clock, service, settings = brain.site, brain.clock, brain.service, brain.settings
    outside = Outside(
        settings.site, site.bindings.endpoints, settings.endpoint_urls, settings.secrets_dir
    )
    outward = Outward(outside, clock)
    channels = AppriseChannels(outward)
    service.on_close("notify-outward", outward.close)
    service.on_close("notify-channels", channels.close)
    own = own_url(settings.http_host, settings.http_port)
    if site.notify.reaches_out:
        brain.when_started.append(channels.warm)
        if not site.notify.console_url:
            log.warning(
                "notification_links_by_own_address", url=own,
                mend="give `console_url` in notify.yaml: the address at which telephones reach it",
            )  # fmt: skip
    # Connections of its own: an acknowledgement that waits for a planning round's rows must not
    # hold what that round still has to read.
    pool = await connect_pool(
        settings.database_url, size=POOL, name=f"{settings.site}-notify", transaction_s=SHORT_S
    )
    service.on_close("notify-database", pool.close)
    store, find = NotifyRows(pool), brain.alarms.get
    directory = Directory(site, clock, store)
    links = Links(site, clock, store, find, _acknowledge(brain), own)
    planning = Planning(clock, store, directory, brain.alarms.several)
    system = _system(brain)
    cases = Cases(site, clock, store, planning, directory, find, system)
    watched = WatchedChannels(channels, brain.ingest, clock)
    brain.meters.more.append(watched.tell)
    sending = Sending(clock, store, directory, watched, links, system)
    confirmed = Confirmed(site, clock, store)
    cases.on_planned.append(sending.wake)
    sending.on_unreached.append(cases.wake)
    feed = Feed(brain.pool, "notify")
    if site.notify.rules:
        # From now on, not from when somebody first leads: what is raised in between counts. With
        # no rules there is nothing to begin: those that come later tell of what comes after them.
        await feed.behind()
    brain.ingest.on_commit.append(feed.wake)
    reader = LinkFeed(
        brain.pool, feed, (cases.put,), (cases.wake,), lambda: bool(site.notify.rules)
    )
    brain.desk.on_occurrence.append(cases.changed)
    brain.heard_elsewhere.append(cases.changed)
    brain.annunciation.confirmed = confirmed.recently
    _speak(brain)
    service.run("notify-feed", brain.leading(reader.run))
    service.run("notify-cases", brain.leading(cases.run))
    service.run("notify-send", brain.leading(sending.run))
    service.run("notify-confirmed", confirmed.run)
    service.run("notify-prune", brain.leading(confirmed.prune_for_ever))

    def wake() -> None:
        cases.wake()
        sending.wake()

    desk = NotifyDesk(clock, store, directory, planning, links, audit, wake)
    return NotifyParts(desk, site)


def own_url(host: str, port: int) -> str:
    """Where this brain is reached, as far as it can know."""
    if host in EVERYWHERE:
        host = _own_address()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _own_address() -> str:
    """The address of the way out of this machine; its name where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # chooses a way; nothing is sent
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _speak(brain: Brain) -> None:
    speaking = Speaking(brain.clock, brain.broadcaster.send, brain.site.alarms)
    brain.ingest.on_occurrence.append(speaking.on_occurrence)
    brain.heard_elsewhere.append(speaking.on_occurrence)
    brain.service.run("notify-speak", speaking.run)


def _system(brain: Brain) -> SetSystem:
    """The condition `notification_failed` of one person or ladder."""

    async def set_failed(name: str, active: bool, params: dict[str, Any]) -> None:
        source = f"{brain.settings.site}.{name}"
        async with brain.alarms.transaction() as tx:
            if not active and not await tx.fetchval(
                "SELECT active FROM system_condition WHERE source = $1 AND code = $2", source, CODE
            ):
                return
            await brain.alarms.set_system(tx, source, CODE, active, params, brain.clock.now_ms())
        await brain._refresh_system()  # pyright: ignore[reportPrivateUsage]

    return set_failed


def _acknowledge(brain: Brain) -> Acknowledge:
    """The desk, asked with the rights that the person has now."""
    people = DevicePeople(brain.pool, lambda asset, area: brain.site.assets.within(asset, area))

    async def acknowledge(
        alarm: str, occurrence: str, version: int, person: str, comment: str
    ) -> Rejected | None:
        user = await people.user(person)
        if user is None or not user.may("acknowledge", await brain.desk.asset_of(occurrence)):
            return Rejected("not_allowed_here", {"alarm": alarm, "action": "acknowledge"})
        return await brain.desk.acknowledge(alarm, occurrence, version, person, comment)

    return acknowledge
