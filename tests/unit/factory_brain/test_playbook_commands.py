"""What became of a command is asked for as long as its edge is still at it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from factory_brain.application.playbooks.commands import UNREACHABLE_MS, Commands, Sending
from shared.clock import ManualClock
from shared.playbook.model import CommandSpec

EXPIRES, WITHIN = 120_000, 90_000


class Edge:
    """An edge that says the same of every command."""

    def __init__(self, **says: Any) -> None:
        self.says = says

    def epoch(self, device: str) -> str:
        return "ep"

    async def send(self, *args: Any) -> Mapping[str, Any]:
        raise AssertionError("sent again")

    async def query(self, command_id: str, device: str) -> Mapping[str, Any]:
        return {"epoch": "ep", **self.says}


def asked_until(**says: Any) -> int:
    """After how many ms it is given up; in steps of a second."""
    clock = ManualClock()
    commands = Commands(Edge(**says), clock)  # type: ignore[arg-type]
    spec = CommandSpec.model_validate({
        "device": "d", "op": "set", "expires": f"{EXPIRES}ms",
        "verify": {"until": "tag('d.x').value > 1", "within": f"{WITHIN}ms"},
    })  # fmt: skip
    data = commands.intent(spec, "d", 1, {"args": {}, "require": [], "verify": ""})

    async def renew(again: Mapping[str, Any]) -> None:
        raise AssertionError("sent again")

    for second in range(1_000):
        found = asyncio.run(commands.reconcile(Sending("r", "/p", spec), data, None, renew))
        if found.data is not None:
            assert (found.phase, found.data["kind"]) == ("failed", "command_unknown")
            return second * 1_000
        clock.advance(1_000)
    raise AssertionError("asked for ever")


def test_an_edge_that_is_at_it_is_waited_for() -> None:
    assert asked_until(outcome="unknown", reason="in_progress") == EXPIRES + WITHIN + UNREACHABLE_MS


def test_an_edge_that_is_away_is_waited_for_a_minute() -> None:
    assert asked_until(outcome="unreachable") == UNREACHABLE_MS
