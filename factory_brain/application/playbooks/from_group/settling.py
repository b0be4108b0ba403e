"""Settles one push of the group: refused, waiting for a person, or in force. Once, for good.

Called by the desk for each push of the bag. The gate is `domain/push_gate.py`; a text is linted
with this site's own binding; nothing here writes a binding, an interlock or the site's own inputs.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from factory_brain.application.playbooks.authoring.checking import Checked, check
from factory_brain.application.playbooks.authoring.ports import Draft, Release
from factory_brain.application.playbooks.from_group.ports import GROUP, Ground, Settled
from factory_brain.application.playbooks.from_group.taking_back import TakingBack
from factory_brain.application.playbooks.from_group.telling import become, refuse_unknown
from factory_brain.application.ports import Transaction
from factory_brain.domain.push_gate import (
    Reach,
    authentic,
    deeds,
    drops,
    expired,
    named,
    reach,
    timely,
    unfit,
    widens,
)
from shared.errors import ConfigError, Rejected
from shared.messages.playbook_push import PlaybookPush, SignedPush
from shared.playbook.explain import explain
from shared.playbook.faults import text_faults
from shared.playbook.model import Playbook
from shared.playbook.tuning import outside

WHY_CHARS = 200
"""How much of an exception's words is reported."""


class Settling:
    """Takes pushes one by one."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._back = TakingBack(ground)

    async def settle(self, signed: SignedPush) -> Settled | Rejected | None:
        """One push; None: it was settled before. What takes up no number is a bare refusal."""
        ground = self._ground
        found = authentic(ground.site.info.site, ground.release_key, signed)
        async with ground.shelf.store.transaction() as tx:
            if isinstance(found, Rejected):
                await refuse_unknown(ground, tx, found, {})
                return found
            known = await ground.rows.at(tx, found.counter)
            if known is not None and known.payload == signed.payload:
                return None
            if why := await self._stale(tx, found, known):
                claims = {"push": found.id, "playbook": found.playbook}
                await refuse_unknown(ground, tx, why, claims)
                return why
            settled = await self._first(tx, found, signed.payload)
        await ground.shelf.taken(found.playbook)
        return settled

    async def give_up_on(self, signed: SignedPush, error: Exception) -> Settled | Rejected | None:
        """A push over which the settling stumbled is refused, under its number if it has one."""
        ground = self._ground
        brief = f"{type(error).__name__}: {error}".replace("\0", "")[:WHY_CHARS]
        why = Rejected("push_failed", {"why": brief})
        found = authentic(ground.site.info.site, ground.release_key, signed)
        if isinstance(found, PlaybookPush):
            try:
                async with ground.shelf.store.transaction() as tx:
                    known = await ground.rows.at(tx, found.counter)
                    if known is not None and known.payload == signed.payload:
                        return None  # only what came after its commit has failed
                    if await self._stale(tx, found, known) is None:
                        fresh = self._fresh(found, signed.payload)
                        return await become(ground, tx, fresh, "refused", why=why)
            except Exception as again:
                if not ground.rows.blames(again):
                    raise  # not even its head can be stored: refused as if it had none
        async with ground.shelf.store.transaction() as tx:
            await refuse_unknown(ground, tx, why, {})
        return why

    async def _stale(
        self, tx: Transaction, push: PlaybookPush, known: Settled | None
    ) -> Rejected | None:
        rows = self._ground.rows
        if known is not None or await rows.get(tx, push.id) is not None:
            return Rejected("counter_reused", {"directive": push.id})
        newest = await rows.newest(tx, push.kind == "rollback")
        late = timely(push, newest, self._ground.clock.now_ms())
        return late if late is not None and late.code == "counter_replayed" else None

    async def _first(self, tx: Transaction, push: PlaybookPush, payload: bytes) -> Settled:
        ground, fresh = self._ground, self._fresh(push, payload)
        if expired(push, fresh.at):
            late = Rejected("expired", {"expires_at": push.expires_at})
            return await become(ground, tx, fresh, "refused", why=late)
        if push.kind == "rollback":
            return await self._back.settle(tx, push, fresh)
        if await ground.rows.taken_back(tx, push.id, push.playbook):
            return await become(ground, tx, fresh, "rolled_back", reason=push.reason)
        if ground.policy == "refuse":
            own = Rejected("playbooks_from_group_refused")
            return await become(ground, tx, fresh, "refused", why=own)
        if push.kind == "inputs":
            return await self._inputs(tx, push, fresh)
        return await self._release(tx, push, fresh)

    def _fresh(self, push: PlaybookPush, payload: bytes) -> Settled:
        now = self._ground.clock.now_ms()
        return Settled(
            push.counter, push.id, push.playbook, push.kind, "waiting", payload, now,
            push.expires_at, now,
        )  # fmt: skip

    # a release

    async def _release(self, tx: Transaction, push: PlaybookPush, fresh: Settled) -> Settled:
        ground, shelf = self._ground, self._ground.shelf
        checked = await check(shelf.releases, push.text, f"{push.playbook}.yaml")
        newest = await shelf.store.newest(push.playbook, tx)
        if why := await self._unfit(push, checked, newest):
            return await become(ground, tx, fresh, "refused", why=why)
        assert checked.loaded is not None
        await self._supersede(tx, push)
        before = {"version": newest.version if newest else None}
        author = f"{GROUP}:{push.approved_by}"
        if await self._may_run_at_once(checked.loaded.playbook):
            made = await shelf.release(tx, checked, GROUP, author, push.reason)
            if isinstance(made, Rejected):
                return await become(ground, tx, fresh, "refused", why=made)
            return await become(
                ground, tx, fresh, "applied", version=made.version, before=before,
                reason=push.reason,
            )  # fmt: skip
        draft = await ground.drafts.bring(
            tx, push.playbook, push.text, author, newest.version if newest else None, push.reason
        )
        if isinstance(draft, Rejected):
            return await become(ground, tx, fresh, "refused", why=draft)
        return await become(
            ground, tx, fresh, "waiting", draft=draft.id, before=before, reason=push.reason
        )

    async def _unfit(
        self, push: PlaybookPush, checked: Checked, newest: Release | None
    ) -> Rejected | None:
        if checked.loaded is None or checked.errors:
            codes = [each.code for each in checked.findings if each.severity == "error"]
            loaded = checked.loaded
            if set(codes) == {"site_input"} and loaded is not None:
                return drops(loaded.playbook, self._own(push.playbook))
            document = loaded.document if loaded else await asyncio.to_thread(_keys, push.text)
            return unfit(codes, document)
        book = checked.loaded.playbook
        if why := named(push, book):
            return why
        if newest is not None and newest.version >= book.version:
            return Rejected(
                "version_not_higher", {"version": book.version, "newest": newest.version}
            )
        return drops(book, self._own(push.playbook))

    def _own(self, playbook: str) -> dict[str, Any]:
        """What this site has set itself: its file's values and those of people."""
        of_site = self._ground.site.bindings.inputs.get(playbook, {})
        return {**of_site, **self._ground.shelf.releases.chosen.get(playbook, {})}

    async def _may_run_at_once(self, book: Playbook) -> bool:
        """Without a person: by the site's own will, and only what nobody here has withdrawn."""
        ground = self._ground
        if ground.policy != "accept" or await ground.shelf.is_off(book.playbook):
            return False
        return not await self._widens(book)

    async def _widens(self, book: Playbook) -> bool:
        live = self._ground.shelf.releases.get(book.playbook)
        if live is None or deeds(live.playbook) != deeds(book):
            return True
        after = await asyncio.to_thread(_reach, book)
        return widens(_reach(live.playbook) if live else None, after)

    async def _supersede(self, tx: Transaction, push: PlaybookPush) -> None:
        """One text of the group at a time waits for the review of a playbook."""
        for older in await self._ground.rows.waiting(tx):
            if older.version is None and (older.playbook, older.kind) == (push.playbook, push.kind):
                await self.give_up(tx, older, Rejected("superseded", {"push": push.id}))

    async def give_up(self, tx: Transaction, waiting: Settled, why: Rejected) -> None:
        """What waits for a person need wait no more."""
        await become(self._ground, tx, waiting, "refused", why=why)
        if waiting.draft is not None:
            await self._ground.drafts.drop(tx, waiting.draft, why.code)

    async def sweep(self) -> None:
        """What nobody decided in time is refused: the evidence it rests on has aged."""
        ground = self._ground
        async with ground.shelf.store.transaction() as tx:
            for each in await ground.rows.waiting(tx):
                if each.version is None and ground.clock.now_ms() >= each.expires_at:
                    late = Rejected("expired", {"expires_at": each.expires_at})
                    await self.give_up(tx, each, late)

    # inputs

    async def _inputs(self, tx: Transaction, push: PlaybookPush, fresh: Settled) -> Settled:
        ground = self._ground
        if why := self.inputs_unfit(push):
            return await become(ground, tx, fresh, "refused", why=why)
        await self._supersede(tx, push)
        if ground.policy == "accept":
            return await self.apply_inputs(tx, push, fresh, GROUP, push.reason)
        return await become(ground, tx, fresh, "waiting", reason=push.reason)

    def inputs_unfit(self, push: PlaybookPush) -> Rejected | None:
        """Why these values may not hold here, by the document that is live here."""
        live = self._ground.shelf.releases.get(push.playbook)
        if live is None and push.playbook in self._ground.shelf.off:
            return Rejected("playbook_withdrawn_here")
        if live is None:
            return Rejected("unknown_playbook", {"playbook": push.playbook})
        return outside(live.playbook, push.inputs)

    async def apply_inputs(
        self, tx: Transaction, push: PlaybookPush, settled: Settled, by: str, reason: str
    ) -> Settled:
        """Let the values hold for new runs, wherever this site has none of its own."""
        ground = self._ground
        had = await ground.rows.inputs(tx, push.playbook)
        for name, value in sorted(push.inputs.items()):
            at = ground.clock.now_ms()
            await ground.rows.set_input(tx, push.playbook, name, {"value": value}, push.id, at)
        before = {n: {"value": had[n][0], "push": had[n][1]} for n in push.inputs if n in had}
        kept = sorted(push.inputs.keys() & self._own(push.playbook).keys())
        return await become(
            ground, tx, settled, "applied", by=by, reason=reason, before=before,
            params={"inputs": dict(push.inputs), "kept_local": kept},
        )  # fmt: skip

    # what people do with the draft

    async def bar(self, tx: Transaction, draft: Draft) -> Rejected | None:
        """Why a draft of the group may no longer be released."""
        push = await self._ground.rows.of_draft(tx, draft.id)
        if push is None or push.status == "applied":
            return None
        if push.code == "superseded" or push.status == "rolled_back":
            return Rejected("superseded", {"push": push.id})
        if self._ground.clock.now_ms() >= push.expires_at:
            return Rejected("expired", {"expires_at": push.expires_at})
        return None

    async def moved(
        self, tx: Transaction, draft: Draft, made: Release | None, user: str, note: str
    ) -> None:
        """A person has reviewed the draft of a push."""
        push = await self._ground.rows.of_draft(tx, draft.id)
        if push is None or push.status not in ("waiting", "refused"):
            return
        if made is not None:
            # What ran until now: the factory may have released while this waited for its review.
            shelf = self._ground.shelf
            earlier = await shelf.store.below(made.playbook, made.version, tx)
            # Released, and yet it runs nowhere until somebody puts the playbook back.
            off = await shelf.is_off(made.playbook)
            await become(
                self._ground, tx, push, "waiting" if off else "applied", by=user, reason=note,
                why=Rejected("playbook_withdrawn_here") if off else None, version=made.version,
                before={"version": earlier.version if earlier else None},
            )  # fmt: skip
        elif draft.status in ("rejected", "discarded") and push.status == "waiting":
            no = Rejected("refused_by_person", {"by": user, "reason": note})
            await become(self._ground, tx, push, "refused", by=user, why=no, reason=note)

    async def put_back(self, tx: Transaction, newest: Release, user: str, reason: str) -> None:
        """A withdrawn playbook may run again, and so does what was released of it meanwhile."""
        for each in await self._ground.rows.waiting(tx):
            if each.playbook != newest.playbook or each.version is None:
                continue
            runs = each.version == newest.version
            why = None if runs else Rejected("superseded", {"version": newest.version})
            await become(
                self._ground, tx, each, "applied" if runs else "refused", by=user, why=why,
                reason=reason,
            )  # fmt: skip


def _reach(book: Playbook) -> Reach:
    found = explain(book)
    return reach(book, found.moves, found.tells)


def _keys(text: str) -> Any:
    """The plain document of a text that is no playbook, to look at its keys."""
    try:
        if list(text_faults(text, "push")):
            return None
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ConfigError, ValueError, RecursionError):
        return None
