"""Drafts: written by some, reviewed by somebody else, released by the review.

Called by the routes; every act is one transaction with its remark and its audit entry. Whoever has
saved a draft is one of its authors, and no author reviews it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from factory_brain.application.playbooks.authoring.checking import Checked, check, with_version
from factory_brain.application.playbooks.authoring.ports import (
    LIVE_DRAFTS,
    Audit,
    Draft,
    DraftStatus,
    DraftStore,
    Release,
    Remark,
    RemarkKind,
)
from factory_brain.application.playbooks.authoring.shelf import Shelf
from factory_brain.application.playbooks.authoring.templates import Templates
from factory_brain.application.ports import Transaction
from shared.clock import Clock
from shared.errors import Rejected
from shared.ids import uuid7
from shared.playbook.signing import text_digest

Moved = Callable[[Transaction, Draft, Release | None, str, str], Awaitable[None]]
MOST_LIVE = 200
"""Drafts under way at a site."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a draft is made from."""

    source: str
    playbook: str = ""
    version: int | None = None
    template: str = ""
    text: str = ""
    """With `cacao`: what somebody else's document became."""


class Drafts:
    """The drafts of one factory."""

    def __init__(
        self, clock: Clock, store: DraftStore, shelf: Shelf, templates: Templates, audit: Audit
    ) -> None:
        self._clock, self._shelf, self._audit = clock, shelf, audit
        self.store, self.templates = store, templates
        self.bars: list[Callable[[Transaction, Draft], Awaitable[Rejected | None]]] = []
        """Asked before a release why a draft must not be one."""
        self.on_moved: list[Moved] = []
        """Told in the commit: the draft as it is now, what it became, by whom, why."""

    async def check(self, draft: Draft) -> Checked:
        """What a draft's text is worth here and now."""
        return await check(self._shelf.releases, draft.text, f"{draft.playbook}.yaml")

    async def check_text(self, text: str) -> Checked:
        """What a text that nobody has saved is worth."""
        return await check(self._shelf.releases, text)

    async def create(self, wanted: Wanted, user: str) -> Draft | Rejected:
        """Begin a draft."""
        if await self.store.count_live() >= MOST_LIVE:
            return Rejected("too_many_drafts", {"most": MOST_LIVE})
        found = await self._begin(wanted)
        if isinstance(found, Rejected):
            return found
        playbook, base, text, test = found
        now = self._clock.now_ms()
        draft = Draft(
            uuid7(self._clock), playbook, wanted.source, base, text, test, "open", 1, [user],
            now, now, user,
        )  # fmt: skip
        async with self._shelf.store.transaction() as tx:
            await self.store.put(tx, draft)
            after = {"playbook": playbook, "sha256": text_digest(text)}
            said = {"before": None, "after": after, "source": wanted.source, "base": base}
            await self._audit(tx, now, user, "create_draft", draft.id, said)
        return draft

    async def bring(
        self, tx: Transaction, playbook: str, text: str, author: str, base: int | None, note: str
    ) -> Draft | Rejected:
        """A text of the group, which somebody of this factory is to review."""
        if await self.store.count_live() >= MOST_LIVE:
            return Rejected("too_many_drafts", {"most": MOST_LIVE})
        now = self._clock.now_ms()
        draft = Draft(
            uuid7(self._clock), playbook, "group", base, text, "", "submitted", 1, [author], now,
            now, author,
        )  # fmt: skip
        await self.store.put(tx, draft)
        await self._remark(tx, draft, "submitted", author, note)
        said = {"playbook": playbook, "source": "group", "sha256": text_digest(text), "why": note}
        await self._audit(tx, now, author, "create_draft", draft.id, said)
        return draft

    async def drop(self, tx: Transaction, draft: str, note: str, user: str = "group") -> None:
        """The group's draft need not be reviewed any more."""
        now = await self.store.get(draft, tx)
        if now is not None and now.status in LIVE_DRAFTS:
            await self._move(tx, now, "discarded", "discarded", user, note)

    async def _begin(self, wanted: Wanted) -> tuple[str, int | None, str, str] | Rejected:
        """(playbook, version it comes from, text, test text)."""
        name, store = wanted.playbook, self._shelf.store
        if wanted.source in ("live", "version"):
            newest = await store.newest(name)
            if newest is None:
                return Rejected("unknown_playbook", {"playbook": name})
            version = wanted.version if wanted.source == "version" else newest.version
            taken = await store.get(name, version or 0)
            if taken is None:
                return Rejected("unknown_version", {"playbook": name, "version": version})
            text = _numbered(taken.text, newest.version + 1)
            return name, taken.version, text, await self.templates.test_of(name)
        if wanted.source == "cacao":
            newest = await store.newest(name)
            text = wanted.text if newest is None else _numbered(wanted.text, newest.version + 1)
            return name, None, text, ""
        if wanted.source == "library":
            template = await self.templates.get(wanted.template)
            if template is None:
                return Rejected("unknown_template", {"template": wanted.template})
            newest = await store.newest(template.playbook)
            text = template.text
            if newest is not None:
                text = _numbered(text, newest.version + 1)
            return template.playbook, None, text, template.test
        return name, None, self.templates.blank(name, self._shelf.roles), ""

    async def save(
        self, draft: str, text: str, test: str, user: str, same: Callable[[Draft], None]
    ) -> Draft | Rejected:
        """Keep a text; `same` raises if the draft is not as its reader saw it."""
        text = text.replace("\r\n", "\n")
        checked = await check(self._shelf.releases, text)  # a long text must hold up no release
        async with self._shelf.store.transaction() as tx:
            now = await self.store.get(draft, tx)
            if now is None:
                return Rejected("unknown_draft", {"draft": draft})
            same(now)
            if now.status not in ("open", "rejected"):
                return Rejected("draft_not_open", {"status": now.status})
            book = checked.loaded.playbook if checked.loaded else None
            after = replace(
                now, text=text, test=test, status="open", revision=now.revision + 1,
                playbook=book.playbook if book else now.playbook,
                authors=list(dict.fromkeys([*now.authors, user])),
                changed_at=self._clock.now_ms(), changed_by=user,
            )  # fmt: skip
            await self.store.put(tx, after)
            said = {
                "before": {"sha256": text_digest(now.text)},
                "after": {"sha256": text_digest(text)}, "revision": after.revision,
            }  # fmt: skip
            await self._audit(tx, after.changed_at, user, "save_draft", draft, said)
        return after

    async def submit(
        self, draft: str, user: str, note: str, same: Callable[[Draft], None]
    ) -> Draft | Rejected:
        """Ask for the review of a text that has no errors."""
        async with self._shelf.store.transaction() as tx:
            now = await self._in(tx, draft, ("open",), same)
            if isinstance(now, Rejected):
                return now
            checked = await self.check(now)
            if checked.loaded is None or checked.errors:
                return Rejected("playbook_has_errors", {"errors": max(checked.errors, 1)})
            book = checked.loaded.playbook
            newest = await self._shelf.store.newest(book.playbook, tx)
            if newest is not None and newest.version >= book.version:
                return Rejected(
                    "version_not_higher", {"version": book.version, "newest": newest.version}
                )
            return await self._move(tx, now, "submitted", "submitted", user, note)

    async def reopen(
        self, draft: str, user: str, note: str, same: Callable[[Draft], None]
    ) -> Draft | Rejected:
        """Take a submitted draft back to go on writing."""
        async with self._shelf.store.transaction() as tx:
            now = await self._in(tx, draft, ("submitted", "rejected"), same)
            if isinstance(now, Rejected):
                return now
            return await self._move(tx, now, "open", "reopened", user, note)

    async def discard(
        self, draft: str, user: str, note: str, same: Callable[[Draft], None]
    ) -> Draft | Rejected:
        """Give a draft up; it stays readable."""
        async with self._shelf.store.transaction() as tx:
            now = await self._in(tx, draft, LIVE_DRAFTS, same)
            if isinstance(now, Rejected):
                return now
            return await self._move(tx, now, "discarded", "discarded", user, note)

    async def reject(
        self, draft: str, user: str, note: str, same: Callable[[Draft], None]
    ) -> Draft | Rejected:
        """Send a draft back to its authors."""
        async with self._shelf.store.transaction() as tx:
            now = await self._in(tx, draft, ("submitted",), same)
            if isinstance(now, Rejected):
                return now
            if user in now.authors:
                return Rejected("review_own_draft", {"authors": now.authors})
            return await self._move(tx, now, "rejected", "rejected", user, note)

    async def approve(
        self, draft: str, user: str, note: str, same: Callable[[Draft], None]
    ) -> Draft | Rejected:
        """Release what was reviewed, exactly as it was read."""
        async with self._shelf.store.transaction() as tx:
            now = await self._in(tx, draft, ("submitted",), same)
            if isinstance(now, Rejected):
                return now
            if user in now.authors:
                return Rejected("review_own_draft", {"authors": now.authors})
            for barred in self.bars:
                if why := await barred(tx, now):
                    return why
            made = await self._shelf.release(
                tx, await self.check(now), user, ", ".join(now.authors), note
            )
            if not isinstance(made, Release):
                return made
            done = await self._move(tx, now, "released", "approved", user, note, made)
        await self._shelf.taken(done.playbook)
        return done

    async def say(self, draft: str, user: str, text: str) -> Remark | Rejected:
        """Comment on a draft."""
        async with self._shelf.store.transaction() as tx:
            now = await self.store.get(draft, tx)
            if now is None:
                return Rejected("unknown_draft", {"draft": draft})
            return await self._remark(tx, now, "comment", user, text)

    async def _in(
        self, tx: Transaction, draft: str, wanted: tuple[str, ...], same: Callable[[Draft], None]
    ) -> Draft | Rejected:
        now = await self.store.get(draft, tx)
        if now is None:
            return Rejected("unknown_draft", {"draft": draft})
        same(now)
        if now.status in wanted:
            return now
        if wanted == ("submitted",):
            return Rejected("draft_not_submitted", {"status": now.status})
        return Rejected("draft_not_open", {"status": now.status})

    async def _move(
        self, tx: Transaction, now: Draft, status: DraftStatus, kind: RemarkKind, user: str,
        note: str, made: Release | None = None,
    ) -> Draft:  # fmt: skip
        after = replace(
            now, status=status, revision=now.revision + 1, changed_at=self._clock.now_ms(),
            changed_by=user, released=made.version if made else None,
            playbook=made.playbook if made else now.playbook,
        )  # fmt: skip
        await self.store.put(tx, after)
        await self._remark(tx, after, kind, user, note)
        said = {
            "before": {"status": now.status}, "after": {"status": status}, "why": note,
            "playbook": after.playbook, "sha256": text_digest(now.text),
        }  # fmt: skip
        await self._audit(tx, after.changed_at, user, f"draft_{kind}", now.id, said)
        for told in self.on_moved:
            await told(tx, after, made, user, note)
        return after

    async def _remark(
        self, tx: Transaction, draft: Draft, kind: RemarkKind, user: str, text: str
    ) -> Remark:
        remark = Remark(
            uuid7(self._clock), draft.id, self._clock.now_ms(), user, kind, draft.revision, text
        )
        await self.store.remark(tx, remark)
        return remark


def _numbered(text: str, version: int) -> str:
    """The text under the next version, where a line says one."""
    try:
        return with_version(text, version)
    except ValueError:
        return text
