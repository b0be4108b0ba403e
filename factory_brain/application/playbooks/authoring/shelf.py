"""Which playbooks run here: releases from the folder and the console, withdrawals, site's inputs.

Every act is one transaction with its audit entry; what is live follows from the rows, so each brain
of the site comes to the same. The highest version is live, and only that one.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_brain.application.playbooks.authoring.checking import Checked, check, with_version
from factory_brain.application.playbooks.authoring.inputs import misfit
from factory_brain.application.playbooks.authoring.ports import (
    Audit,
    GivenInput,
    Release,
    ReleaseStore,
    Withdrawn,
)
from factory_brain.application.playbooks.releases import Releases
from factory_brain.application.ports import Transaction
from shared.clock import Clock
from shared.errors import ConfigError, Rejected
from shared.playbook.loader import Loaded, digest_of, load_text
from shared.playbook.signing import fingerprint, genuine, sign, text_digest
from shared.site.loader import Site
from shared.telemetry import logger

log = logger("authoring")
FOLDER = "folder"
PutBack = Callable[[Transaction, Release, str, str], Awaitable[None]]


class Shelf:
    """The releases of one factory."""

    def __init__(
        self, site: Site, clock: Clock, store: ReleaseStore, releases: Releases,
        key: Ed25519PrivateKey, audit: Audit,
    ) -> None:  # fmt: skip
        self._site, self._clock, self.store, self.releases = site, clock, store, releases
        self._key, self._audit = key, audit
        self._public = key.public_key()
        self._in_folder: set[str] = set()
        self.off: dict[str, Withdrawn] = {}
        self.given: dict[str, dict[str, GivenInput]] = {}
        self.refused: dict[str, str] = {}
        """playbook -> the code of why its newest release does not run here."""
        self.on_taken: list[Callable[[], Awaitable[None]]] = []
        """Told when something else is live than before."""
        self.on_put_back: list[PutBack] = []
        """Told in the commit in which a withdrawn playbook may run again."""
        self._turn = asyncio.Lock()
        releases.on_file = self.keep_file

    @property
    def roles(self) -> list[str]:
        """The roles that somebody has here."""
        return list(self._site.info.roster)

    # what is live

    async def open(self) -> None:
        """Take over all releases; after the folder was read."""
        async with self._turn:
            await self._read_said()
            for newest in await self.store.newest_of_all():
                if newest.source == FOLDER and newest.playbook not in self._in_folder:
                    self.releases.withdraw(newest.playbook)  # its file is gone: so was it meant
                    self.refused[newest.playbook] = "not_in_folder"
                else:
                    await self._take(newest)

    async def taken(self, playbook: str) -> None:
        """Something about a playbook was committed, here or by another brain."""
        async with self._turn:
            await self._read_said()
            newest = await self.store.newest(playbook)
            changed = newest is not None and await self._take(newest)
        if changed:
            for told in self.on_taken:
                await told()

    async def all_taken(self) -> None:
        """News were missed: look at everything."""
        for newest in await self.store.newest_of_all():
            if newest.source != FOLDER or newest.playbook in self._in_folder:
                await self.taken(newest.playbook)

    async def _read_said(self) -> None:
        self.off = {k: v for k, v in (await self.store.withdrawn()).items() if v.withdrawn}
        self.given = await self.store.inputs()
        self.releases.tuned = await self.store.tuned()
        self.releases.chosen = {
            playbook: {each.name: each.value for each in values.values()}
            for playbook, values in self.given.items()
        }

    async def _take(self, newest: Release) -> bool:
        """Let a release run, or not; whether that is a change."""
        name, live = newest.playbook, self.releases.get(newest.playbook)
        if name in self.off:
            self.releases.withdraw(name)
            return live is not None
        if live is not None and live.playbook.version == newest.version:
            return False
        found = await self.fit(newest)
        if isinstance(found, Rejected):
            why = self.refused[name] = found.code
            self.releases.faults.append(f"{name} v{newest.version}: {why}")
            log.error("release_refused", playbook=name, version=newest.version, reason=why)
            return False
        self.refused.pop(name, None)
        await self.releases.put(found)
        log.info("playbook_live", playbook=name, version=newest.version, source=newest.source)
        return True

    async def fit(self, release: Release) -> Loaded | Rejected:
        """A release as a document that may run here."""
        name, version = release.playbook, release.version
        if name in self.off:
            return Rejected("already_withdrawn", {"playbook": name})
        if why := self.unsigned(release):
            return Rejected(why, {"playbook": name, "version": version})
        checked = await check(self.releases, release.text, f"{name}.yaml")
        if checked.errors or checked.loaded is None:
            return Rejected("playbook_has_errors", {"errors": max(checked.errors, 1)})
        return checked.loaded

    def unsigned(self, newest: Release) -> str:
        """Why a release must not run as far as signatures say; empty if it may."""
        if newest.signature is None:
            strict = self._site.info.playbooks.releases == "signed"
            return "release_unsigned" if strict or newest.source != FOLDER else ""
        said = (self._site.info.site, newest.playbook, newest.version, newest.text)
        fits = genuine(self._public, newest.signature, *said)
        return "" if fits else "release_signature_invalid"

    # releases

    async def keep_file(self, loaded: Loaded, path: Path) -> str | None:
        """Keep a file of the folder as a release; says why not."""
        book = loaded.playbook
        self._in_folder.add(book.playbook)
        text = (await asyncio.to_thread(path.read_text, "utf-8")).replace("\r\n", "\n")
        signature = await asyncio.to_thread(_beside, path)
        site, version = self._site.info.site, book.version
        if signature is not None:
            if not genuine(self._public, signature, site, book.playbook, version, text):
                return f"{path.name}.sig: 签名无效 / not this site's signature of this version"
        elif self._site.info.playbooks.releases == "signed":
            return f"{path.name}: 缺少签名 / no {path.name}.sig beside it; andon playbook sign"
        async with self.store.transaction() as tx:
            kept = await self.store.get(book.playbook, version, tx)
            if kept is not None:
                return None if _same(kept, loaded, text) else (
                    f"{path.name}: 版本 {version} 已发布过别的内容，请提高 version / version "
                    f"{version} was released with another text: raise `version`"
                )  # fmt: skip
            newest = await self.store.newest(book.playbook, tx)
            if newest is not None and newest.version > version:
                log.warning("file_older_than_live", playbook=book.playbook, version=version)
                return None
            await self._add(
                tx, loaded, text, newest, actor="system", source=FOLDER,
                signed=(FOLDER if signature is None else fingerprint(self._public), signature),
            )  # fmt: skip
        return None

    async def release(
        self, tx: Transaction, checked: Checked, actor: str, author: str, note: str,
        restores: int | None = None,
    ) -> Release | Rejected:  # fmt: skip
        """Sign and keep a text as the next version, within the caller's transaction."""
        if checked.loaded is None or checked.errors:
            return Rejected("playbook_has_errors", {"errors": max(checked.errors, 1)})
        book = checked.loaded.playbook
        newest = await self.store.newest(book.playbook, tx)
        if newest is not None and newest.version >= book.version:
            return Rejected(
                "version_not_higher", {"version": book.version, "newest": newest.version}
            )
        site = self._site.info.site
        signature = sign(self._key, site, book.playbook, book.version, checked.text)
        return await self._add(
            tx, checked.loaded, checked.text, newest, actor=actor, author=author, note=note,
            restores=restores, signed=(fingerprint(self._public), signature),
        )  # fmt: skip

    async def _add(
        self, tx: Transaction, loaded: Loaded, text: str, before: Release | None, *, actor: str,
        signed: tuple[str, bytes | None], source: str = "console", author: str = "",
        note: str = "", restores: int | None = None,
    ) -> Release:  # fmt: skip
        book, now = loaded.playbook, self._clock.now_ms()
        reviewer = actor if source != FOLDER and restores is None else ""
        made = Release(
            book.playbook, book.version, loaded.digest, text, text_digest(text),
            source,  # type: ignore[arg-type]
            author, reviewer, note, restores, *signed, now,
        )  # fmt: skip
        await self.store.add(tx, made)
        was = None if before is None else {"version": before.version, "digest": before.digest}
        said = {
            "before": was, "after": {"version": book.version, "digest": loaded.digest},
            "why": note, "author": author, "source": source, "signed_by": made.signed_by,
        }  # fmt: skip
        said |= {} if restores is None else {"restores": restores}
        await self._audit(tx, now, actor, "release_playbook", book.playbook, said)
        return made

    async def restore(
        self, playbook: str, version: int, user: str, reason: str
    ) -> Release | Rejected:
        """Release an earlier text, which was reviewed then, as a new version."""
        async with self.store.transaction() as tx:
            earlier = await self.store.get(playbook, version, tx)
            newest = await self.store.newest(playbook, tx)
            if earlier is None or newest is None:
                return Rejected("unknown_version", {"playbook": playbook, "version": version})
            if why := self.unsigned(earlier):
                # Nobody of this site is known to have reviewed it; our key must not vouch for it.
                return Rejected(why, {"playbook": playbook, "version": version})
            try:
                text = with_version(earlier.text, newest.version + 1)
            except ValueError:
                return Rejected("no_version_line", {"playbook": playbook})
            checked = await check(self.releases, text, f"{playbook}.yaml")
            made = await self.release(tx, checked, user, earlier.author, reason, version)
        if isinstance(made, Release):
            await self.taken(playbook)
        return made

    # withdrawing, inputs

    async def withdraw(
        self, playbook: str, user: str, reason: str, withdrawn: bool
    ) -> Rejected | None:
        """Keep a playbook from starting runs, or let it again; runs that live go on."""
        now = self._clock.now_ms()
        async with self.store.transaction() as tx:
            newest = await self.store.newest(playbook, tx)
            if newest is None:
                return Rejected("unknown_playbook", {"playbook": playbook})
            was = (await self.store.withdrawn()).get(playbook)
            if (was is not None and was.withdrawn) == withdrawn:
                code = "already_withdrawn" if withdrawn else "not_withdrawn"
                return Rejected(code, {"playbook": playbook})
            said = Withdrawn(withdrawn, user, reason, now)
            await self.store.set_withdrawn(tx, playbook, said)
            live = {"version": newest.version, "digest": newest.digest}
            before, after = (live, None) if withdrawn else (None, live)
            action = "withdraw_playbook" if withdrawn else "put_back_playbook"
            words = {"before": before, "after": after, "why": reason}
            await self._audit(tx, now, user, action, playbook, words)
            for told in () if withdrawn else self.on_put_back:
                await told(tx, newest, user, reason)
        await self.taken(playbook)
        return None

    async def is_off(self, playbook: str) -> bool:
        """Whether people of this site have withdrawn it, whatever this brain has heard of that."""
        said = (await self.store.withdrawn()).get(playbook)
        return said is not None and said.withdrawn

    async def set_input(
        self, playbook: str, name: str, value: Any, user: str, reason: str
    ) -> Rejected | None:
        """Set this site's value for new runs; None: as the site's file says again."""
        loaded = self.releases.get(playbook)
        if loaded is None:
            return Rejected("unknown_playbook", {"playbook": playbook})
        if (refused := misfit(loaded.playbook, name, value)) is not None:
            return refused
        now = self._clock.now_ms()
        async with self.store.transaction() as tx:
            before = self.releases.inputs(loaded.playbook).get(name)
            given = GivenInput(name, value, user, now)
            await self.store.set_input(tx, playbook, given, value is None)
            words = {"before": before, "after": value, "why": reason, "input": name}
            await self._audit(tx, now, user, "set_playbook_input", playbook, words)
        await self.taken(playbook)
        return None


def _same(kept: Release, loaded: Loaded, text: str) -> bool:
    """Whether a file says what was released, if only in other words or by an older program."""
    if kept.sha256 == text_digest(text) or kept.digest == loaded.digest:
        return True
    try:
        return digest_of(load_text(kept.text, "kept").playbook) == loaded.digest
    except ConfigError:
        return False


def _beside(path: Path) -> bytes | None:
    """The signature that lies beside a file; no bytes at all if that is none."""
    try:
        return base64.b64decode(path.with_name(f"{path.name}.sig").read_bytes().strip())
    except FileNotFoundError:
        return None
    except binascii.Error:
        return b""
