"""Carries out a command step: sends it, and finds out what became of it.

A lost answer is asked for by id, then read back; a command is never sent again blindly. Writes
nothing itself: what it returns is journalled by the run's owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from factory_brain.application.playbooks.ports import Devices
from shared.clock import Clock
from shared.playbook.journal import Phase
from shared.playbook.model import CommandSpec

AGAIN = ("held_by_higher_priority", "other_epoch", "other_boot", "fenced")
"""Refusals that say "surely not done, ask me again": sending under a new id is safe."""
AGAIN_EVERY_S = 0.5
AGAIN_LEAST_MS = 2_000
"""A command with less time left is not sent anew."""
UNREACHABLE_MS = 60_000
"""How long a lost answer is asked for before the plant is read back instead."""
LOOK_MS = 2_000
INTERLOCKS = ("interlock", "require")
Renew = Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be journalled of a command; or, with `look_at`, when to ask again."""

    phase: Phase = "unknown"
    data: Mapping[str, Any] | None = None
    look_at: int | None = None


@dataclass(frozen=True, slots=True)
class Sending:
    """One command of one run."""

    run: str
    path: str
    spec: CommandSpec
    drill: bool = False


class Commands:
    """The command executor."""

    def __init__(self, devices: Devices, clock: Clock) -> None:
        self._devices, self._clock = devices, clock

    def intent(
        self, spec: CommandSpec, device: str, attempt: int, data: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What is committed before a command is sent; `data`: args, require, verify."""
        now = self._clock.now_ms()
        return {
            **data, "device": device, "op": spec.op, "began": now, "attempt": attempt, "again": 0,
            "expires_at": now + spec.expires, "epoch": self._devices.epoch(device),
        }  # fmt: skip

    async def execute(self, sending: Sending, data: Mapping[str, Any], renew: Renew) -> Outcome:
        """Send what was committed; `renew` commits the intent of a new sending before it."""
        return await self._settled(sending, data, await self._send(sending, data), renew, "done")

    async def _settled(
        self, sending: Sending, data: Mapping[str, Any], result: Mapping[str, Any], renew: Renew,
        phase: Phase,
    ) -> Outcome:  # fmt: skip
        """What an answer means; one that says "surely not done" is asked for anew in its time."""
        while result["outcome"] == "refused" and result.get("reason") in AGAIN:
            if int(data["expires_at"]) - self._clock.now_ms() < AGAIN_LEAST_MS:
                break
            # Without an epoch nothing has gone out yet: the edge has only now been heard.
            await asyncio.sleep(AGAIN_EVERY_S if data["epoch"] else 0)
            again = int(data.get("again", 0)) + 1
            data = {**data, "again": again, "epoch": self._devices.epoch(data["device"])}
            await renew(data)
            result = await self._send(sending, data)
        if result["outcome"] == "unsendable":
            return Outcome("failed", {**data, "kind": "edge_unreachable"})
        return self._outcome(data, result, phase)

    async def _send(self, sending: Sending, data: Mapping[str, Any]) -> Mapping[str, Any]:
        left = int(data["expires_at"]) - self._clock.now_ms()
        if left <= 0:
            return {"outcome": "expired", "reason": "too_late"}
        spec = sending.spec
        return await self._devices.send(
            command_id(sending.run, sending.path, data), data["device"], data["op"], data["args"],
            left, data["require"], data["verify"], spec.verify.within if spec.verify else 0,
            sending.run, data["epoch"], sending.drill,
        )  # fmt: skip

    async def reconcile(
        self, sending: Sending, data: Mapping[str, Any], read_back: bool | None, renew: Renew
    ) -> Outcome:
        """Find out what became of a command that was begun."""
        now = self._clock.now_ms()
        result = await self._devices.query(
            command_id(sending.run, sending.path, data), data["device"]
        )
        outcome = result["outcome"]
        if outcome == "never_seen" and result.get("epoch") != data["epoch"]:
            # An edge that has lost its journal has not seen it either: that proves nothing.
            outcome, result = "unknown", {"outcome": "unknown", "reason": "other_epoch"}
        if outcome == "never_seen" and now < int(data["expires_at"]):
            # The same edge epoch has surely not seen it: the same id once more.
            result = await self._send(sending, data)
            outcome = result["outcome"]
        if outcome == "never_seen":
            result = {"outcome": "expired", "reason": "never_arrived"}
        elif outcome in ("unreachable", "unsendable", "unknown"):
            return self._unknown(sending.spec, data, result, read_back)
        return await self._settled(sending, data, result, renew, "reconciled")

    def _unknown(
        self, spec: CommandSpec, data: Mapping[str, Any], result: Mapping[str, Any],
        read_back: bool | None,
    ) -> Outcome:  # fmt: skip
        now = self._clock.now_ms()
        in_progress = result["outcome"] == "unknown" and result.get("reason") == "in_progress"
        until = int(data["began"])
        if in_progress:  # the edge is at it: it may begin until then, and verify after that
            until = int(data["expires_at"]) + (spec.verify.within if spec.verify else 0)
        asked_long = now >= until + UNREACHABLE_MS
        may_tell = result["outcome"] != "unknown" or in_progress
        if may_tell and not asked_long:
            return Outcome(look_at=now + LOOK_MS)
        if spec.on_unknown == "reconcile" and read_back is True:
            return Outcome("reconciled", {**data, "by": "read_back"})
        # With `on_unknown: ask` the interpreter asks a person about this very failure.
        reason = str(result.get("reason", ""))
        return Outcome("failed", {**data, "kind": "command_unknown", "reason": reason})

    @staticmethod
    def _outcome(data: Mapping[str, Any], result: Mapping[str, Any], settled: Phase) -> Outcome:
        outcome, reason = result["outcome"], result.get("reason", "")
        told = {
            **data, "outcome": outcome, "reason": reason, "params": result.get("params", {}),
            "before": result.get("before"), "readback": result.get("readback"),
        }  # fmt: skip
        if outcome == "done":
            return Outcome(settled, told)
        if outcome in ("unknown", "unreachable"):
            return Outcome("unknown", told)
        kind = "interlock" if reason in INTERLOCKS else outcome
        kind = "verify_failed" if reason == "verify_failed" else kind
        return Outcome("failed", {**told, "kind": kind})


def command_id(run: str, path: str, data: Mapping[str, Any]) -> str:
    """`run:path:attempt`: what the edge's journal knows the command by.

    After a sure refusal `.2`, `.3` follow: counted, not drawn, so that a run that is repeated from
    an older database asks for the same ids again and is answered from the edge's journal.
    """
    again = int(data.get("again", 0))
    return f"{run}:{path}:{int(data.get('attempt', 1))}" + (f".{again + 1}" if again else "")
