"""Check 25: a drill's command moves simulators only; an edge of real devices refuses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge_node.application.actuation import Order, Outcome
from edge_node.application.command_handler import CommandHandler
from shared.clock import ManualClock
from shared.messages.control import Command, CommandRequest, Token

EPOCH, BOOT = "epoch", "boot"


class Kept:
    """A journal that is durable at once."""

    def write(self, rows: Any, urgent: bool = False) -> int:
        return 1

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None

    async def durable(self, stored: int, wait_s: float) -> bool:
        self.meanwhile()
        return True


class Moved:
    """Actuation that notes what it was told to do."""

    def __init__(self) -> None:
        self.orders: list[Order] = []

    def check(self, order: Order) -> None:
        return None

    async def perform(self, order: Order) -> Outcome:
        self.orders.append(order)
        return Outcome("done", "")


@pytest.mark.parametrize(("simulated", "drill", "moves"), [
    (False, False, True), (False, True, False), (True, True, True), (True, False, True)
])  # fmt: skip
async def test_check_25_a_drill_moves_simulators_only(
    simulated: bool, drill: bool, moves: bool
) -> None:
    actuation: Any = Moved()
    journal: Any = Kept()
    handler = CommandHandler(actuation, journal, ManualClock(), EPOCH, BOOT, {}, lambda: simulated)
    command = Command(
        id="r:/steps/a:1", device="FUR-01/burner", operation="set_output", args={"output_pct": 35},
        token=Token(boot=BOOT, mono=0), expires_ms=20_000, fence=1, epoch=EPOCH, drill=drill,
    )  # fmt: skip
    result = await handler.handle(CommandRequest(command=command))
    assert len(actuation.orders) == moves
    assert (result.outcome, result.reason) == (
        ("done", "") if moves else ("refused", "drill_not_on_real_devices")
    )


@pytest.mark.parametrize("when", ["before", "while it is written down"])
async def test_check_25_a_site_that_is_real_from_now_on_is_moved_by_no_drill(when: str) -> None:
    """Devices are taken over without a restart; whether a drill may move them must be, too."""
    actuation: Any = Moved()
    journal, said = Kept(), {"simulated": True}
    kept: Any = journal
    handler = CommandHandler(
        actuation, kept, ManualClock(), EPOCH, BOOT, {}, lambda: said["simulated"]
    )

    def send(name: str) -> CommandRequest:
        return CommandRequest(command=Command(
            id=name, device="FUR-01/burner", operation="set_output", args={"output_pct": 35},
            token=Token(boot=BOOT, mono=0), expires_ms=20_000, fence=1, epoch=EPOCH, drill=True,
        ))  # fmt: skip

    assert (await handler.handle(send("r:/steps/a:1"))).outcome == "done"
    if when == "before":
        said["simulated"] = False
    else:
        journal.meanwhile = lambda: said.update(simulated=False)
    result = await handler.handle(send("r:/steps/b:1"))
    assert (result.outcome, result.reason) == ("refused", "drill_not_on_real_devices")
    assert len(actuation.orders) == 1
