"""Commands to the edges over the bus, under fences and the edge's own clock token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from factory_brain.application.fleet import FleetView
from shared.bus.port import Bus
from shared.errors import ContractError, RetryableTransportError
from shared.messages.codec import decode, encode
from shared.messages.control import Command, CommandQuery, CommandRequest, CommandResult
from shared.messages.subjects import Node
from shared.site.model import DeviceSpec
from shared.telemetry import logger

log = logger("commands")
ANSWER_S = 8.0
"""Beyond a command's own verification: how long its answer may take."""


class Fences(Protocol):
    """Orders the commands to one device."""

    async def fence(self, device: str, epoch: str, least: int = 0) -> int:
        """The next fence of a device in an edge epoch, and above `least`."""
        ...


class EdgeDevices:
    """Implements the engine's `Devices`."""

    def __init__(
        self, site: str, bus: Bus, fleet: FleetView, store: Fences,
        devices: Mapping[str, DeviceSpec],
    ) -> None:  # fmt: skip
        self._site, self._bus, self._fleet, self._store = site, bus, fleet, store
        self._devices = devices
        self._newest: dict[str, int] = {}
        """Fences that edges know of and this database may not: it may be from a backup."""

    def epoch(self, device: str) -> str:
        """The epoch of the device's edge; empty while it is not heard."""
        clock = self._fleet.token(self._devices[device].edge)
        return clock[1] if clock is not None else ""

    async def send(
        self, command_id: str, device: str, operation: str, args: Mapping[str, Any],
        expires_ms: int, require: list[str], verify: str, verify_ms: int, run: str, epoch: str,
        drill: bool = False,
    ) -> Mapping[str, Any]:  # fmt: skip
        """Send one command; `unsendable`: nothing was sent, `unknown`: sent and unanswered."""
        edge = self._devices[device].edge
        await self._fleet.hear((edge,))
        clock = self._fleet.token(edge)
        if clock is None:
            return {"outcome": "unsendable", "reason": "edge_offline"}
        token, current = clock
        if current != epoch:
            return {"outcome": "refused", "reason": "other_epoch"}
        command = Command(
            id=command_id, device=device, operation=operation, args=dict(args), token=token,
            expires_ms=expires_ms, epoch=epoch,
            fence=await self._store.fence(device, epoch, self._newest.pop(device, 0)),
            require=require, verify=verify, verify_within_ms=verify_ms, run=run,
            drill=drill,
        )  # fmt: skip
        result = await self._ask(
            edge, CommandRequest(command=command), ANSWER_S + verify_ms / 1000, "unknown"
        )
        if result["outcome"] == "refused" and result["reason"] == "fenced":
            self._newest[device] = int(result["params"].get("fence", 0))
        return result

    async def query(self, command_id: str, device: str) -> Mapping[str, Any]:
        """Ask the edge what became of a command."""
        edge = self._devices[device].edge
        request = CommandRequest(query=CommandQuery(id=command_id))
        return await self._ask(edge, request, 3.0, "unreachable")

    async def _ask(
        self, edge: str, request: CommandRequest, timeout_s: float, unanswered: str
    ) -> Mapping[str, Any]:
        node = Node(self._site, edge)
        try:
            data = await self._bus.request_down(node, node.command, encode(request), timeout_s)
            result = decode(data, CommandResult)
        except (RetryableTransportError, ContractError) as error:
            log.warning("command_unanswered", edge=edge, error=str(error))
            return {"outcome": unanswered, "reason": "no_answer"}
        return {
            "outcome": result.outcome,
            "reason": result.reason,
            "params": result.params,
            "before": result.before,
            "readback": result.readback,
            "epoch": result.epoch,
        }
