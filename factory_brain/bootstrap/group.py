"""Wires what this factory and the group tell each other beside events: mail, fleet, playbooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_brain.adapters.postgres.group_playbook_store import PgGroupPlaybooks
from factory_brain.adapters.postgres.likeness_store import PgLikenessStore
from factory_brain.adapters.postgres.mail_store import PgMailStore
from factory_brain.adapters.postgres.waiting_store import PgWaiting
from factory_brain.application.directive_relay import DirectiveRelay
from factory_brain.application.fleet_report import FleetReporter
from factory_brain.application.flood_likeness import FloodLikenesses
from factory_brain.application.group_mail import GroupMail
from factory_brain.application.playbooks.from_group.desk import GroupPlaybooks
from factory_brain.application.playbooks.from_group.ports import Ground
from factory_brain.application.waiting_directives import Outside, WaitingDirectives
from factory_brain.domain.directive_gate import Plant
from shared.messages.bodies import Body
from shared.postgres.audit import audit
from shared.security import load_public
from shared.web.dto_floods import FactoryLikenessList
from shared.web.safe_link import safe_link

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain


def waiting(brain: Brain, plant: Plant, relay: DirectiveRelay) -> WaitingDirectives:
    """Let people decide on directives; returns what the routes call."""
    rows = PgWaiting(brain.pool)
    brain.ingest.on_directive.append(rows.tried)
    outside = Outside(audit, brain.uplink.say)
    desk = WaitingDirectives(
        plant, rows, brain.clock, outside, brain.site.info.directives.four_eyes
    )
    desk.on_decided = relay.wake
    return desk


async def playbooks(brain: Brain) -> GroupPlaybooks:
    """Take the group's playbooks as this site allows; returns what the routes call."""
    settings, site = brain.settings, brain.site
    ground = Ground(
        site, settings.playbooks_from_group or site.info.playbooks_from_group,
        load_public(settings.release_key_file), brain.clock, PgGroupPlaybooks(brain.pool),
        brain.shelf, brain.playbook_parts.drafts, brain.uplink.say, audit,
    )  # fmt: skip
    desk = GroupPlaybooks(ground, brain.bus)
    await desk.listen()
    brain.service.run("group-playbooks", brain.leading(desk.run))
    return desk


async def floods(brain: Brain) -> FloodLikenesses:
    """Keep what the group says floods resemble, and show it in the incident."""
    found = FloodLikenesses(
        brain.settings.site, brain.bus, brain.clock, load_public(brain.settings.release_key_file),
        PgLikenessStore(brain.pool), brain.alarms.transaction,
    )  # fmt: skip

    async def show(changed: FactoryLikenessList) -> None:
        brain.broadcaster.send("flood_likeness", changed.model_dump_json().encode())

    found.on_change.append(show)
    brain.incident_parts.story.likeness = found.of
    await found.listen()
    brain.service.run("flood-likeness", brain.leading(found.run))
    return found


async def wire(brain: Brain) -> GroupMail:
    """Read the group's mail and report the fleet; returns what the routes call."""
    settings, uplink = brain.settings, brain.uplink
    mail = GroupMail(
        settings.site, brain.bus, brain.clock, load_public(settings.release_key_file),
        PgMailStore(brain.pool), brain.alarms.transaction, uplink.say, audit,
    )  # fmt: skip

    async def show() -> None:
        data = (await mail.listed()).model_dump_json().encode()
        brain.broadcaster.send("group_messages", data)

    mail.on_change.append(show)
    await mail.listen()

    async def send(body: Body) -> None:
        async with brain.alarms.transaction() as tx:
            await uplink.fence(tx)
            await uplink.say(tx, "fleet_report", body)

    outbox = brain.outbox.view("live")
    console = safe_link(settings.identity.public_url or brain.site.notify.console_url)
    reporter = FleetReporter(settings.site, brain.fleet, outbox, brain.clock, send, console)
    brain.service.run("group-mail", brain.leading(mail.run))
    brain.service.run("fleet-report", brain.leading(reporter.run))
    return mail
