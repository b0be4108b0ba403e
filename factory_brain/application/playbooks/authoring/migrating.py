"""Moves a live run to another version of its playbook, when somebody says so and it fits.

Refused when something that has happened has no place, or another verb, in the new text. Whoever has
the run in hand loses it by its fence, and the next owner goes on with the new text.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from factory_brain.application.playbooks.authoring.compare import StepChange, compare
from factory_brain.application.playbooks.authoring.ports import Audit
from factory_brain.application.playbooks.authoring.shelf import Shelf
from factory_brain.application.playbooks.ports import RunRecord
from factory_brain.application.playbooks.releases import Releases
from factory_brain.application.ports import Transaction
from shared.clock import Clock
from shared.errors import Rejected
from shared.playbook.fits import stranger
from shared.playbook.journal import Record
from shared.playbook.loader import Loaded
from shared.playbook.model import CommandSpec, Playbook, Step
from shared.playbook.rehearsal.pace import deadline_at, paced_inputs, scale_of


class MigrationStore(Protocol):
    """Runs, as one that is moved is seen."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction."""
        ...

    async def locked(self, tx: Transaction, run: str) -> RunRecord | None:
        """A run that nobody writes before `tx` ends."""
        ...

    async def seen(self, tx: Transaction, run: str) -> RunRecord | None:
        """A run as it is at this moment."""
        ...

    async def journal(self, tx: Transaction, run: str) -> Mapping[str, Record]:
        """The newest entry of each path."""
        ...

    async def document(self, tx: Transaction, digest: str) -> Any:
        """A released document."""
        ...

    async def move(
        self, tx: Transaction, run: str, target: Loaded, context: Mapping[str, Any],
        deadline_at: int, now: int,
    ) -> None:  # fmt: skip
        """Let the run go on with another document, free for whoever claims it."""
        ...


@dataclass(frozen=True, slots=True)
class Move:
    """What moving a run would come to; nothing is done yet."""

    run: str
    before: int
    after: int
    refused: Rejected | None
    """Why it does not fit."""
    deadline_at: int | None = None
    """When the run would have to be over."""
    steps: tuple[StepChange, ...] = ()
    """What the other version does otherwise."""


class Migrating:
    """Moves runs."""

    def __init__(
        self, store: MigrationStore, shelf: Shelf, releases: Releases, clock: Clock,
        audit: Audit,
    ) -> None:  # fmt: skip
        self._store, self._shelf, self._releases = store, shelf, releases
        self._clock, self._audit = clock, audit

    async def preview(self, run_id: str, version: int) -> Move | Rejected:
        """Whether a run may be moved, and what would be otherwise then."""
        async with self._store.transaction() as tx:
            run = await self._store.seen(tx, run_id)
        if (refused := _immovable(run, run_id, version)) is not None or run is None:
            return refused or Rejected("unknown_run", {"run": run_id})
        target = await self._target(run.playbook, version)
        if isinstance(target, Rejected):
            return Move(run_id, run.version, version, target)
        async with self._store.transaction() as tx:
            old = Playbook.model_validate(await self._store.document(tx, run.digest))
            path = await self._stranger(tx, run, old, target.playbook)
        return Move(
            run_id, run.version, version,
            None if path is None else Rejected(
                "run_not_fitting", {"path": path, "version": version}
            ),
            run.started_at + deadline_at(target.playbook, scale_of(run.context)),
            compare(old, target.playbook).steps,
        )  # fmt: skip

    async def migrate(self, run_id: str, version: int, user: str, reason: str) -> Rejected | None:
        """Move one run."""
        async with self._store.transaction() as tx:
            run = await self._store.seen(tx, run_id)
        if (refused := _immovable(run, run_id, version)) is not None or run is None:
            return refused
        # Judged before the run is locked: a long text must not hold up who is driving the run.
        target = await self._target(run.playbook, version)
        if isinstance(target, Rejected):
            return target
        now = self._clock.now_ms()
        async with self._store.transaction() as tx:
            run = await self._store.locked(tx, run_id)
            if (refused := _immovable(run, run_id, version)) is not None or run is None:
                return refused
            old = Playbook.model_validate(await self._store.document(tx, run.digest))
            if (path := await self._stranger(tx, run, old, target.playbook)) is not None:
                return Rejected("run_not_fitting", {"path": path, "version": version})
            scale = scale_of(run.context)  # what a run has been given already goes by its pace
            new = paced_inputs(target.playbook, self._releases.inputs(target.playbook), scale)
            new |= dict(run.context.get("inputs") or {})
            calls = dict(run.context.get("calls") or {})
            context = {
                **run.context, "inputs": new,
                "calls": self._releases.calls(target.playbook) | calls,
            }  # fmt: skip
            deadline = run.started_at + deadline_at(target.playbook, scale)
            await self._store.move(tx, run_id, target, context, deadline, now)
            said = {
                "before": {"version": run.version, "digest": run.digest},
                "after": {"version": version, "digest": target.digest}, "why": reason,
            }  # fmt: skip
            await self._audit(tx, now, user, "migrate_run", run_id, said)
        return None

    async def _stranger(
        self, tx: Transaction, run: RunRecord, old: Playbook, new: Playbook
    ) -> str | None:
        """The first thing that happened and has no place in the new text."""
        books = {
            name: Playbook.model_validate(await self._store.document(tx, digest))
            for name, digest in dict(run.context.get("calls") or {}).items()
        }
        return _unfit(old, new, books, await self._store.journal(tx, run.id))

    async def _target(self, playbook: str, version: int) -> Loaded | Rejected:
        """The version as a document that runs can pin."""
        release = await self._shelf.store.get(playbook, version)
        live = self._releases.get(playbook)
        if live is not None and live.playbook.version == version:
            return live
        if release is None:
            return Rejected("unknown_version", {"playbook": playbook, "version": version})
        return await self._shelf.fit(release)


def _immovable(run: RunRecord | None, run_id: str, version: int) -> Rejected | None:
    """Why a run is none to move at all."""
    if run is None:
        return Rejected("unknown_run", {"run": run_id})
    if not run.live:
        return Rejected("run_over", {"run": run_id})
    return Rejected("same_version", {"version": version}) if run.version == version else None


def _unfit(
    old: Playbook, new: Playbook, books: Mapping[str, Playbook], journal: Mapping[str, Record]
) -> str | None:
    """The first path of the journal that the new text has no place for, or another verb at."""
    if (path := stranger(new, books, journal)) is not None:
        return path
    was = {step.id: step for step in old.all_steps()}
    now = {step.id: step for step in new.all_steps()}
    for path, record in journal.items():
        undo = path.endswith("/compensate")
        name = path.removesuffix("/compensate").rpartition("/")[2]
        if "/call/" in path or name not in was:
            continue
        before, after = was[name], now.get(name)
        if after is None or before.verb != after.verb:
            return path
        # A command that was begun is settled by the words under which it was begun.
        under_way = record.phase in ("intent", "unknown")
        if under_way and _commanded(before, undo) != _commanded(after, undo):
            return path
    return None


def _commanded(step: Step, undo: bool) -> CommandSpec | None:
    if undo:
        return step.compensate.command if step.compensate else None
    return step.command
