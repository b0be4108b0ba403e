"""Wires what this factory and the group tell each other beside events: mail, fleet, playbooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_brain.adapters.postgres.group_playbook_store import PgGroupPlaybooks
from factory_brain.adapters.postgres.mail_store import PgMailStore
from factory_brain.application.fleet_report import FleetReporter
from factory_brain.application.group_mail import GroupMail
from factory_brain.application.playbooks.from_group.desk import GroupPlaybooks
from factory_brain.application.playbooks.from_group.ports import Ground
from shared.messages.bodies import Body
from shared.postgres.audit import audit
from shared.security import load_public

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain


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
    reporter = FleetReporter(settings.site, brain.fleet, outbox, brain.clock, send)
    brain.service.run("group-mail", brain.leading(mail.run))
    brain.service.run("fleet-report", brain.leading(reporter.run))
    return mail
