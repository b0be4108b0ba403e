"""Carries out a command step: intent, send, result; and reconciles what is not known.

A lost answer is asked for by id, then read back; a command is never sent again blindly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from factory_brain.application.playbooks.ports import Devices, RunRecord, RunStore
from shared.clock import Clock
from shared.playbook.model import CommandSpec, Step
from shared.playbook.run import Effect, Phase

AGAIN = ("held_by_higher_priority", "other_epoch", "other_boot", "fenced")
"""Refusals that say "surely not done, ask me again": a new attempt under a new id is safe."""
AGAIN_EVERY_S = 1.0
UNREACHABLE_MS = 60_000
"""How long a lost answer is asked for before the plant is read back instead."""
INTERLOCKS = ("interlock", "require")


class Commands:
    """The command executor."""

    def __init__(self, store: RunStore, devices: Devices, clock: Clock) -> None:
        self._store, self._devices, self._clock = store, devices, clock

    async def execute(
        self, run: RunRecord, path: str, step: Step, device: str | None, args: Mapping[str, Any],
        require: list[str], verify: str,
    ) -> None:  # fmt: skip
        """Send a command and journal what became of it."""
        spec = step.command
        assert spec is not None
        if device is None:
            await self._write(run, path, step, "failed", {"kind": "unbound_device"})
            return
        began = self._clock.now_ms()
        attempt = 1
        while True:
            data = {
                "device": device, "args": dict(args), "began": began, "attempt": attempt,
                "require": require, "verify": verify, "expires_at": began + spec.expires,
                "epoch": self._devices.epoch(device),
            }  # fmt: skip
            await self._write(run, path, step, "intent", data)
            result = await self._send(run, path, attempt, spec, data)
            left = began + spec.expires - self._clock.now_ms()
            if result["outcome"] == "unsendable":
                await self._write(run, path, step, "failed", {**data, "kind": "edge_unreachable"})
                return
            if result["outcome"] != "refused" or result["reason"] not in AGAIN or left < 2_000:
                await self._result(run, path, step, data, result)
                return
            attempt += 1
            await asyncio.sleep(AGAIN_EVERY_S)
            await self._store.renew(run, self._clock.now_ms() + 30_000)

    async def _send(
        self, run: RunRecord, path: str, attempt: int, spec: CommandSpec, data: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        left = int(data["expires_at"]) - self._clock.now_ms()
        if left <= 0:
            return {"outcome": "expired", "reason": "too_late"}
        within = spec.verify.within if spec.verify else 0
        return await self._devices.send(
            command_id(run.id, path, attempt), data["device"], spec.op, data["args"], left,
            data["require"], data["verify"], within, run.id, data["epoch"],
        )  # fmt: skip

    async def reconcile(
        self, run: RunRecord, path: str, step: Step, data: Mapping[str, Any], read_back: bool | None
    ) -> int | None:
        """Find out what became of a command; returns when to look again, None when settled."""
        spec = step.command
        assert spec is not None
        now = self._clock.now_ms()
        attempt = int(data.get("attempt", 1))
        result = await self._devices.query(command_id(run.id, path, attempt), data["device"])
        outcome = result["outcome"]
        if outcome == "never_seen" and result.get("epoch") != data["epoch"]:
            # An edge that has lost its journal has not seen it either: that proves nothing.
            outcome, result = "unknown", {"outcome": "unknown", "reason": "other_epoch"}
        if outcome == "never_seen" and now < int(data["expires_at"]):
            # The same edge epoch has surely not seen it: the same id once more.
            result = await self._send(run, path, attempt, spec, data)
            outcome = result["outcome"]
        if outcome == "never_seen":
            result = {"outcome": "expired", "reason": "never_arrived"}
        elif outcome in ("unreachable", "unsendable", "unknown"):
            open_ended = outcome != "unknown" or result.get("reason") == "in_progress"
            if open_ended and now < int(data["began"]) + UNREACHABLE_MS:
                return now + 2_000
            if spec.on_unknown == "reconcile" and read_back is True:
                await self._write(run, path, step, "reconciled", {**data, "by": "read_back"})
                return None
            await self._write(run, path, step, "failed", {**data, "kind": "command_unknown"})
            return None
        await self._result(run, path, step, data, result, settled="reconciled")
        return None

    async def _result(
        self, run: RunRecord, path: str, step: Step, data: Mapping[str, Any],
        result: Mapping[str, Any], settled: Phase = "done",
    ) -> None:  # fmt: skip
        outcome, reason = result["outcome"], result.get("reason", "")
        told = {
            **data, "outcome": outcome, "reason": reason, "params": result.get("params", {}),
            "before": result.get("before"), "readback": result.get("readback"),
        }  # fmt: skip
        if outcome == "done":
            await self._write(run, path, step, settled, told)
        elif outcome in ("unknown", "unreachable"):
            await self._write(run, path, step, "unknown", told)
        else:
            kind = "interlock" if reason in INTERLOCKS else outcome
            kind = "verify_failed" if reason == "verify_failed" else kind
            await self._write(run, path, step, "failed", {**told, "kind": kind})

    async def _write(
        self, run: RunRecord, path: str, step: Step, phase: Phase, data: Mapping[str, Any]
    ) -> None:
        effect = Effect("settle", path, step, phase, data)
        await self._store.write(run, [effect], self._clock.now_ms())


def command_id(run: str, path: str, attempt: int) -> str:
    """`run:path:attempt`: what the edge's journal knows the command by."""
    return f"{run}:{path}:{attempt}"
