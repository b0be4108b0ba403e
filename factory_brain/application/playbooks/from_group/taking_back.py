"""Takes a push of the group back: the release or the values that were in force before it.

Called by the settling for a push of kind `rollback`. It needs no person: it only goes back to what
this factory has run; and it never undoes what the factory has released since.
"""

from __future__ import annotations

from factory_brain.application.playbooks.authoring.checking import check, with_version
from factory_brain.application.playbooks.authoring.ports import Release, Withdrawn
from factory_brain.application.playbooks.from_group.ports import GROUP, Ground, Settled
from factory_brain.application.playbooks.from_group.telling import become
from factory_brain.application.ports import Transaction
from shared.errors import Rejected
from shared.messages.playbook_push import PlaybookPush


class TakingBack:
    """Goes back."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def settle(self, tx: Transaction, push: PlaybookPush, fresh: Settled) -> Settled:
        """Undo one push, as far as it is in force."""
        ground = self._ground
        taken = await ground.rows.get(tx, push.restores)
        if taken is None or taken.playbook != push.playbook or taken.kind == "rollback":
            nothing = Rejected("nothing_to_take_back", {"push": push.restores})
            return await become(ground, tx, fresh, "refused", why=nothing)
        done: int | Rejected | None = None
        kept = taken.status == "applied" or taken.version is not None
        if kept and taken.status in ("applied", "waiting"):
            undo = self._release if taken.kind == "release" else self._inputs
            done = await undo(tx, push, taken)
        if isinstance(done, Rejected):
            return await become(ground, tx, fresh, "refused", why=done)
        # A text that a person has refused could be written anew, and come alive after all.
        refused = taken.status == "refused" and taken.kind == "release"
        if taken.status in ("waiting", "applied") or refused:
            await become(ground, tx, taken, "rolled_back", reason=push.reason)
            if not kept and taken.draft is not None:
                await ground.drafts.drop(tx, taken.draft, push.reason)
        return await become(ground, tx, fresh, "applied", version=done, reason=push.reason)

    async def _release(
        self, tx: Transaction, push: PlaybookPush, taken: Settled
    ) -> int | Rejected | None:
        shelf, name = self._ground.shelf, taken.playbook
        newest = await shelf.store.newest(name, tx)
        if newest is None or newest.version != taken.version:
            return Rejected("superseded", {"version": newest.version if newest else None})
        before = taken.before.get("version")
        earlier = await shelf.store.get(name, before, tx) if before is not None else None
        if earlier is None:
            said = Withdrawn(True, GROUP, push.reason, self._ground.clock.now_ms())
            await shelf.store.set_withdrawn(tx, name, said)
            await self._ground.audit(
                tx, said.at, GROUP, "withdraw_playbook", name,
                {"before": {"version": newest.version}, "after": None, "why": push.reason},
            )  # fmt: skip
            return None
        if why := shelf.unsigned(earlier):
            # Nobody of this site is known to have reviewed it; our key must not vouch for it.
            return Rejected(why, {"playbook": name, "version": earlier.version})
        try:
            text = with_version(earlier.text, newest.version + 1)
        except ValueError:
            return Rejected("no_version_line", {"playbook": name})
        checked = await check(shelf.releases, text, f"{name}.yaml")
        made = await shelf.release(
            tx, checked, GROUP, earlier.author, push.reason, restores=earlier.version
        )
        return made.version if isinstance(made, Release) else made

    async def _inputs(
        self, tx: Transaction, push: PlaybookPush, taken: Settled
    ) -> int | Rejected | None:
        ground = self._ground
        had = await ground.rows.inputs(tx, taken.playbook)
        mine = [name for name, (_, by) in had.items() if by == taken.id]
        if not mine:
            return Rejected("superseded", {"push": taken.id})
        for name in mine:
            was = taken.before.get(name)
            value, by = ({"value": was["value"]}, was["push"]) if was else ({}, push.id)
            at = ground.clock.now_ms()
            await ground.rows.set_input(tx, taken.playbook, name, value, by, at)
        return None
