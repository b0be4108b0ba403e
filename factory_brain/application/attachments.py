"""Files that people put beside an occurrence or an incident: checked, hashed, kept, taken away.

Content is never interpreted: it is stored as it came and goes out as a download only.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Protocol

from factory_brain.application.ports import Audit, Transaction
from shared.clock import Clock
from shared.errors import Rejected
from shared.ids import uuid7

MAX_BYTES = 8 * 1024 * 1024
MAX_PER_SUBJECT = 20
MAX_NAME = 120
SIGNATURES: dict[str, tuple[bytes, ...]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/webp": (b"RIFF",),
    "application/pdf": (b"%PDF-",),
    "text/plain": (),
    "text/csv": (),
}
"""Allowed kinds, and how a file of the kind begins."""
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\u202a-\u202e\u2066-\u2069]+')


@dataclass(frozen=True, slots=True)
class Subject:
    """What a file belongs to: one of the two."""

    occurrence: str | None = None
    incident: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """One file without its content."""

    id: str
    occurrence: str | None
    incident: str | None
    name: str
    media_type: str
    size: int
    sha256: str
    by: str
    at: int


class Files(Protocol):
    """Where files are kept."""

    def transaction(self) -> Any:
        """A transaction that commits at the end of the block."""
        ...

    async def exists(self, tx: Transaction, /, subject: Subject) -> bool:
        """Whether there is such an occurrence or incident; locks it against other uploads."""
        ...

    async def incident_asset(self, incident: str) -> str | None:
        """Where an incident is; None if there is none."""
        ...

    async def count(self, tx: Transaction, /, subject: Subject) -> int:
        """How many files a subject has."""
        ...

    async def insert(self, tx: Transaction, /, stored: Stored, content: bytes) -> None:
        """Keep one."""
        ...

    async def listed(self, subject: Subject) -> list[Stored]:
        """A subject's files, oldest first."""
        ...

    async def get(self, attachment: str) -> tuple[Stored, bytes] | None:
        """One with its content."""
        ...

    async def remove(self, tx: Transaction, /, attachment: str, by: str, at: int) -> Stored | None:
        """Forget the content; the row stays. None if there is none."""
        ...


class Attachments:
    """Takes, lists, gives out and takes away files."""

    def __init__(self, files: Files, clock: Clock, audit: Audit) -> None:
        self._files, self._clock, self._audit = files, clock, audit

    async def add(
        self, subject: Subject, name: str, media_type: str, content: bytes, actor: str
    ) -> Stored | Rejected:
        """Keep a file; a refusal says why."""
        kind = media_type.partition(";")[0].strip().lower()
        refusal = check(kind, content)
        if refusal is not None:
            return refusal
        stored = Stored(
            id=uuid7(self._clock), occurrence=subject.occurrence, incident=subject.incident,
            name=safe_name(name), media_type=kind, size=len(content),
            sha256=hashlib.sha256(content).hexdigest(), by=actor, at=self._clock.now_ms(),
        )  # fmt: skip
        async with self._files.transaction() as tx:
            if not await self._files.exists(tx, subject):
                return Rejected("unknown_subject")
            if await self._files.count(tx, subject) >= MAX_PER_SUBJECT:
                return Rejected("too_many_attachments", {"most": MAX_PER_SUBJECT})
            await self._files.insert(tx, stored, content)
            await self._log(tx, "attach", stored, actor)
        return stored

    async def asset_of(self, incident: str) -> str:
        """Where an incident is, for the rights; "" (the whole plant) if there is none."""
        return await self._files.incident_asset(incident) or ""

    async def listed(self, subject: Subject) -> list[Stored]:
        """A subject's files."""
        return await self._files.listed(subject)

    async def get(self, attachment: str) -> tuple[Stored, bytes] | None:
        """One with its content."""
        return await self._files.get(attachment)

    async def remove(self, attachment: str, actor: str, *, any_ones: bool) -> Rejected | None:
        """Take one away: one's own, or anybody's with the right to."""
        async with self._files.transaction() as tx:
            stored = await self._files.remove(tx, attachment, actor, self._clock.now_ms())
            if stored is None:
                return Rejected("unknown_attachment", {"attachment": attachment})
            if stored.by != actor and not any_ones:
                raise NotYours(stored.by)
            await self._log(tx, "detach", stored, actor)
        return None

    async def _log(self, tx: Transaction, action: str, stored: Stored, actor: str) -> None:
        data = {
            "attachment": stored.id, "name": stored.name, "sha256": stored.sha256,
            "size": stored.size, "by": stored.by,
        }  # fmt: skip
        target = stored.occurrence or stored.incident or ""
        await self._audit(tx, self._clock.now_ms(), actor, action, target, data)


class NotYours(Exception):
    """Somebody else put it there; raised so that the transaction is undone."""


def check(kind: str, content: bytes) -> Rejected | None:
    """Whether a file is of an allowed kind, is what it says it is, and fits."""
    if not content:
        return Rejected("attachment_empty")
    if len(content) > MAX_BYTES:
        return Rejected("attachment_too_large", {"most_mb": MAX_BYTES // 1024 // 1024})
    begins = SIGNATURES.get(kind)
    if begins is None or (begins and not content.startswith(begins)):
        return Rejected("attachment_kind", {"kinds": ", ".join(SIGNATURES)})
    if not begins and b"\x00" in content:
        return Rejected("attachment_kind", {"kinds": ", ".join(SIGNATURES)})
    return None


def safe_name(name: str) -> str:
    """A file name that no system takes for a path, a device or a script's trick.

    >>> safe_name("../../etc/passwd")
    'etc_passwd'
    >>> safe_name("")
    'file'
    """
    plain = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", name)).strip(" ._")
    plain = re.sub(r"(_*\.\._*)+|_{2,}", "_", plain).strip(" ._")
    return plain[-MAX_NAME:] or "file"
