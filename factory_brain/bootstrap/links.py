"""Wires linked systems and devices: webhooks in and out, notices over MQTT."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from factory_brain.adapters.outward import Outside, Outward
from factory_brain.adapters.postgres.delivery_store import DeliveryStore
from factory_brain.adapters.postgres.device_people import DevicePeople
from factory_brain.adapters.postgres.device_store import DeviceStore
from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.hook_store import HookStore
from factory_brain.adapters.postgres.link_feed import LinkFeed
from factory_brain.adapters.postgres.link_incidents import LinkIncidents
from factory_brain.application.desk import fact_lane
from factory_brain.application.links.devices import Devices
from factory_brain.application.links.facts import LinkFacts
from factory_brain.application.links.inbound import Inbound
from factory_brain.application.links.outbound import Outbound
from factory_brain.application.links.overview import LinkOverview
from factory_brain.application.links.ports import Acknowledge, SetSystem
from factory_brain.web.parts import LinkParts
from shared.errors import Rejected
from shared.postgres.audit import audit

if TYPE_CHECKING:
    from factory_brain.adapters.device_broker import DeviceBroker
    from factory_brain.bootstrap import Brain


async def wire(brain: Brain) -> LinkParts:
    """Make the links of the site and run them; they follow the site's files."""
    site, clock, service, settings = brain.site, brain.clock, brain.service, brain.settings
    hooks = HookStore(brain.pool)
    inbound = Inbound(site, clock, hooks, brain.ingest.receive, settings.secrets_dir)
    facts = LinkFacts(site, clock, hooks, lambda edge: brain.outbox.view(fact_lane(edge)), inbound)
    outside = Outside(
        settings.site, site.bindings.endpoints, settings.endpoint_urls, settings.secrets_dir
    )
    poster = Outward(outside, clock)
    service.on_close("links", poster.close)
    deliveries, notices = DeliveryStore(brain.pool), DeviceStore(brain.pool)
    system = _system(brain)
    outbound = Outbound(site, clock, deliveries, poster, system)
    devices = Devices(
        site, clock, notices, await _broker(brain), brain.live, system, _acknowledge(brain)
    )
    brain.desk.on_sent.append(facts.on_sent)
    brain.ingest.on_occurrence.append(devices.on_occurrence)
    brain.desk.on_occurrence.append(devices.on_occurrence)
    brain.heard_elsewhere.append(devices.on_occurrence)
    brain.on_run_ended.append(outbound.run_ended)
    feed = Feed(brain.pool, "links")
    brain.ingest.on_commit.append(feed.wake)
    reader = LinkFeed(
        brain.pool, feed, (outbound.put, devices.put), (outbound.wake, devices.wake),
        lambda: bool(site.links.outbound or site.links.devices),
        LinkIncidents(brain.pool, outbound.put_views).step,
    )  # fmt: skip
    service.run("links-in", inbound.drain_for_ever)  # on every brain: frames are taken once
    service.run("links-in-prune", brain.leading(inbound.prune_for_ever))
    service.run("links-facts", brain.leading(facts.run))
    service.run("links-feed", brain.leading(reader.run))
    service.run("links-out", brain.leading(outbound.run))
    service.run("links-out-prune", brain.leading(outbound.prune_for_ever))
    service.run("links-devices", brain.leading(devices.run))
    service.run("links-devices-state", brain.leading(devices.show_for_ever))
    service.run("links-devices-heard", brain.leading(devices.listen_for_ever))
    service.run("links-devices-prune", brain.leading(devices.prune_for_ever))
    overview = LinkOverview(site, inbound, devices, deliveries, notices, audit)
    return LinkParts(inbound, outbound, devices, overview)


async def _broker(brain: Brain) -> DeviceBroker | None:
    settings = brain.settings
    if not settings.mqtt_url:
        return None
    from factory_brain.adapters.device_broker import BrokerAccess, DeviceBroker

    access = BrokerAccess(settings.mqtt_url, settings.mqtt_user, settings.mqtt_password_file)
    broker = DeviceBroker(access, f"brain-{settings.site}")

    async def connected() -> None:
        """One client of this name at the broker: that of the brain that leads."""
        await broker.open()
        try:
            await asyncio.Event().wait()
        finally:
            await broker.close()

    brain.service.run("devices-broker", brain.leading(connected))
    return broker


def _system(brain: Brain) -> SetSystem:
    """The condition `link_failed` of one link."""

    async def set_failed(link: str, active: bool, params: dict[str, Any]) -> None:
        source = f"{brain.settings.site}.{link}"
        async with brain.alarms.transaction() as tx:
            if not active and not await tx.fetchval(
                "SELECT active FROM system_condition WHERE source = $1 AND code = 'link_failed'",
                source,
            ):
                return
            await brain.alarms.set_system(
                tx, source, "link_failed", active, params, brain.clock.now_ms()
            )
        await brain._refresh_system()  # pyright: ignore[reportPrivateUsage]

    return set_failed


def _acknowledge(brain: Brain) -> Acknowledge:
    """The desk, asked with the rights that the person has now."""
    people = DevicePeople(brain.pool, lambda asset, area: brain.site.assets.within(asset, area))

    async def acknowledge(
        alarm: str, occurrence: str, version: int, person: str, comment: str
    ) -> Rejected | None:
        user = await people.user(person)
        found = brain.live.occurrence(alarm)
        asset = found.transition.asset if found is not None else None
        if user is None or not user.may("acknowledge", asset):  # no asset known: the desk refuses
            return Rejected("not_allowed_here", {"alarm": alarm, "action": "acknowledge"})
        return await brain.desk.acknowledge(alarm, occurrence, version, person, comment)

    return acknowledge
