"""Commands from above: void when late, fenced per device, journalled, written once, answered.

Called by the uplink for every request on the node's command subject. The same id again returns the
stored result; it never writes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge_node.application.actuation import Actuation, Order, Outcome
from edge_node.application.journal import Journal
from edge_node.application.records import Change, CommandEntry, Emit, PutCommand, PutFence, event
from edge_node.application.reflexes import with_outcome
from shared.clock import Clock
from shared.ids import uuid7
from shared.messages.bodies import CommandRecord
from shared.messages.control import Command, CommandQuery, CommandRequest, CommandResult
from shared.telemetry import logger

log = logger("command")
STORE_WAIT_S = 2.0
KEEP = 4_000


class CommandHandler:
    """The edge's side of the command journal."""

    def __init__(
        self, actuation: Actuation, journal: Journal, clock: Clock, epoch: str, boot: str,
        known: dict[str, CommandEntry],
        simulated: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._actuation, self._journal, self._clock = actuation, journal, clock
        self._epoch, self._boot = epoch, boot
        self._simulated = simulated
        self._known = {k: e for k, e in known.items() if e.origin == "command"}
        self._fences: dict[str, int] = {}
        self._running: dict[str, asyncio.Task[CommandEntry]] = {}

    def interrupted(self) -> Change:
        """After a start: intents without a result are unknown from now on, and said so."""
        rows: Change = []
        for name, entry in self._known.items():
            if not entry.outcome:
                after = with_outcome(entry, Outcome("unknown", "interrupted_by_restart"))
                self._known[name] = after
                rows += [PutCommand(after), self._record(after)]
        return rows

    async def handle(self, request: CommandRequest) -> CommandResult:
        """Answer a command or a query."""
        if request.command is not None:
            return await self._command(request.command)
        if request.query is not None:
            return self._query(request.query)
        return CommandResult(id="", outcome="refused", reason="empty_request", epoch=self._epoch)

    def _query(self, query: CommandQuery) -> CommandResult:
        if query.id in self._running:
            return CommandResult(
                id=query.id, outcome="unknown", reason="in_progress", epoch=self._epoch
            )
        entry = self._known.get(query.id)
        if entry is None:
            return CommandResult(id=query.id, outcome="never_seen", epoch=self._epoch)
        return self._answer(entry)

    async def _command(self, command: Command) -> CommandResult:
        if (entry := self._known.get(command.id)) is not None:
            return self._answer(entry)
        task = self._running.get(command.id)
        if task is None:
            task = asyncio.create_task(self._execute(command))
            self._running[command.id] = task
            task.add_done_callback(lambda _: self._running.pop(command.id, None))
        # Shielded: a lost connection must not cancel a write that has begun.
        return self._answer(await asyncio.shield(task))

    def _order(self, command: Command) -> Order:
        return Order(
            id=command.id, device=command.device, operation=command.operation, args=command.args,
            origin="command", require=tuple(command.require), verify=command.verify,
            verify_within_ms=command.verify_within_ms,
            deadline_mono=command.token.mono + command.expires_ms,
        )  # fmt: skip

    def _stale(self, command: Command) -> Outcome | None:
        if command.epoch != self._epoch:
            return Outcome("refused", "other_epoch", {"epoch": self._epoch})
        if command.token.boot != self._boot:
            return Outcome("refused", "other_boot", {"boot": self._boot})
        newest = self._fences.get(command.device, 0)
        if command.fence < newest:
            return Outcome("refused", "fenced", {"fence": newest})
        return self._real(command)

    def _real(self, command: Command) -> Outcome | None:
        """Refuses a drill where devices are real: as of now, for the site may have changed."""
        if command.drill and not self._simulated():
            return Outcome("refused", "drill_not_on_real_devices")
        return None

    async def _execute(self, command: Command) -> CommandEntry:
        order = self._order(command)
        entry = CommandEntry(
            id=command.id, device=command.device, operation=command.operation, args=command.args,
            origin="command", at=self._clock.now_ms(), boot=self._boot,
        )  # fmt: skip
        refused = self._stale(command)
        if refused is None:
            self._fences[command.device] = command.fence
            checked = self._actuation.check(order)
            refused = checked if isinstance(checked, Outcome) else None
        if refused is not None:
            return await self._finish(entry, refused)
        rows: Change = [PutCommand(entry), PutFence(command.device, command.fence)]
        stored = self._journal.write(rows, urgent=True)
        if not await self._journal.durable(stored, STORE_WAIT_S):
            return await self._finish(entry, Outcome("refused", "journal_degraded"))
        if (refused := self._real(command)) is not None:
            return await self._finish(entry, refused)
        return await self._finish(entry, await self._actuation.perform(order))

    async def _finish(self, entry: CommandEntry, outcome: Outcome) -> CommandEntry:
        """Store the result before anybody is told."""
        entry = with_outcome(entry, outcome)
        self._known[entry.id] = entry
        while len(self._known) > KEEP:
            del self._known[next(iter(self._known))]
        log.info(
            "command_ended", command=entry.id, device=entry.device, operation=entry.operation,
            outcome=entry.outcome, reason=entry.reason or None,
        )  # fmt: skip
        stored = self._journal.write([PutCommand(entry), self._record(entry)], urgent=True)
        await self._journal.durable(stored, STORE_WAIT_S)
        return entry

    def _record(self, entry: CommandEntry) -> Emit:
        body = CommandRecord(
            command=entry.id, device=entry.device, operation=entry.operation,
            outcome=entry.outcome, reason=entry.reason, before=entry.before,
            readback=entry.readback,
        )  # fmt: skip
        kind = f"command.{entry.outcome}"
        return Emit(event(uuid7(self._clock), kind, self._clock.now_ms(), body))

    def _answer(self, entry: CommandEntry) -> CommandResult:
        return CommandResult(
            id=entry.id, outcome=entry.outcome, reason=entry.reason, params=entry.params,
            before=entry.before, readback=entry.readback, epoch=self._epoch,
        )  # fmt: skip
