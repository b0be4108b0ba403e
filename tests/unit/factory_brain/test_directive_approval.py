"""Directives that want a person: nothing passes before the word, everything after it once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from factory_brain.application.directive_relay import RelayEntry, RelayStatus
from shared.messages.directives import read
from shared.security import verifies
from tests.unit.factory_brain.test_directive_relay import (
    FACTORY,
    HI,
    SITE,
    World,
    new,
    order,
    signed,
)


class TestApproval:
    async def test_without_automatic_approval_it_waits_for_a_person(self):
        world = World(auto=False)
        [told] = await world.sent(signed(order()), signed(order()))
        assert (told.status, world.at_edge) == ("waiting", None)
        await world.relay.carry_out()
        world.restart()
        await world.relay.relay_all()
        assert world.at_edge is None, "nobody has said so"
        answer = await world.approve(1)
        assert (answer.status, answer.approved_by) == ("relayed", "wang")
        assert [r.status for r in world.ledger.reports] == ["waiting", "relayed"]
        assert world.at_edge is not None
        await world.relay.carry_out()
        assert len(world.ledger.reports) == 2

    async def test_what_was_approved_is_passed_on_after_a_restart_and_without_the_group(self):
        world = World(auto=False)
        await world.sent(signed(order()))
        entry = world.ledger.entries["e1", 1]
        world.ledger.entries["e1", 1] = replace(entry, status="approved", approved_by="wang")
        world.restart()
        world.bus.values.clear()
        await world.relay.carry_out()
        passed = world.at_edge
        assert passed is not None
        assert verifies(FACTORY.public_key(), passed.approval_signature, passed.payload)

    @pytest.mark.parametrize("status", ["waiting", "approved"])
    async def test_what_waits_too_long_expires(self, status: RelayStatus):
        world = World(auto=False)
        await world.sent(signed(order()))
        entry = world.ledger.entries["e1", 1]
        world.ledger.entries["e1", 1] = replace(entry, status=status)
        world.clock.advance(3_600_000)
        await world.relay.carry_out()
        assert world.at_edge is None
        told = [(r.status, r.code) for r in world.ledger.reports]
        assert told == [("waiting", ""), ("refused", "expired")]

    async def test_a_newer_one_supersedes_what_waits(self):
        world = World(auto=False)
        await world.sent(signed(order(1)), signed(order(2)))
        assert (await world.approve(1)).status == "approved"
        assert world.at_edge is None, "the newer one carries it too"
        assert (await world.approve(2)).status == "relayed"
        await world.relay.carry_out()
        assert world.ledger.entries["e1", 1].code == "superseded"
        assert [r.counter for r in world.ledger.reports if r.status == "refused"] == []

    async def test_a_rollback_to_what_ran_here_never_waits_and_ends_what_does(self):
        world = World(auto=False)
        await world.sent(signed(order(1)))
        back = SITE.alarms[HI].setting
        own = new(
            back.limit, deadband=back.deadband, on_delay_s=back.on_delay_ms / 1000,
            off_delay_s=back.off_delay_ms / 1000,
        )  # fmt: skip
        await world.sent(signed(order(2, own, kind="rollback")))
        assert world.ledger.entries["e1", 2].status == "relayed"
        assert (await world.approve(1)).code == "superseded"
        passed = world.at_edge
        assert passed is not None
        assert read(passed.payload).counter == 2

    async def test_what_a_person_refused_meanwhile_is_not_passed_on(self):
        world = World(auto=False)
        await world.sent(signed(order()))
        world.auto = True
        entry, get = world.ledger.entries["e1", 1], world.ledger.get

        async def late(edge: str, counter: int) -> RelayEntry | None:
            found = await get(edge, counter)
            world.ledger.entries["e1", 1] = replace(entry, status="refused", code="by_person")
            return found

        world.ledger.get = late  # type: ignore[method-assign]
        world.restart()
        await world.relay.relay_all()
        assert world.at_edge is None
        assert world.ledger.entries["e1", 1].code == "by_person"
