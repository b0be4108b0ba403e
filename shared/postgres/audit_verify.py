"""Looks through the whole audit chain, and holds it against the anchors that were signed.

Called by `andon audit verify` and by the anchor task; reads only, names every entry at fault.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.postgres.audit import COLUMNS, FORM, entry_hash
from shared.postgres.pool import Connection
from shared.security import verifies

BATCH = 2_000
MOST_FAULTS = 1_000
_READ = ", ".join(f"{c}::text AS {c}" if c in ("before", "after", "data") else c for c in COLUMNS)
_LATER = ("zone", "tier", "site", "address", "before", "after", "why")
"""Columns that form 1 did not have."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The chain's head as it was at a time, signed with the tier's own key."""

    tier: str
    site: str
    id: int
    hash: str
    at: int
    signature: bytes

    @property
    def payload(self) -> bytes:
        """What is signed."""
        return anchor_payload(self.tier, self.site, self.id, self.hash, self.at)


def anchor_payload(tier: str, site: str, entry: int, entry_hash: str, at: int) -> bytes:
    """The bytes under an anchor's signature."""
    return msgspec.json.encode(["andon audit anchor", tier, site, entry, entry_hash, at])


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it was written."""

    kind: str
    """altered, removed, broken, anchor_differs, anchor_gone, anchor_forged."""
    first: int
    last: int
    says: str


@dataclass(slots=True)
class Report:
    """What looking through the chain found."""

    entries: int = 0
    first: int = 0
    last: int = 0
    last_hash: str = ""
    anchors: int = 0
    anchored: int = 0
    """The newest entry that an anchor vouches for."""
    faults: list[Fault] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.faults

    def fault(self, kind: str, first: int, last: int, says: str) -> None:
        """Note a fault; bounded."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(kind, first, last, says))


async def verify_chain(
    connection: Connection, *, after: tuple[int, str] = (0, ""), anchors: Sequence[Anchor] = (),
    key: Ed25519PublicKey | None = None,
) -> Report:  # fmt: skip
    """Check every entry after `after` (id, hash), and that the anchors say the same."""
    report = Report(last=after[0], last_hash=after[1])
    wanted: dict[int, list[Anchor]] = {}
    for anchor in anchors:
        report.anchors += 1
        if key is not None and not verifies(key, anchor.signature, anchor.payload):
            report.fault("anchor_forged", anchor.id, anchor.id, "its signature is not the tier's")
            continue
        wanted.setdefault(anchor.id, []).append(anchor)
    oldest_form = 1
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for row in _rows(connection, after[0]):
            oldest_form = _check(report, row, oldest_form)
            for anchor in wanted.pop(row["id"], ()):
                _hold(report, anchor, row["hash"])
    for entry in sorted(wanted):
        report.fault("anchor_gone", entry, entry, "an anchor names this entry, and it is gone")
    return report


async def _rows(connection: Connection, after: int) -> AsyncIterator[Any]:
    while True:
        rows = await connection.fetch(
            f"SELECT {_READ}, hash FROM audit WHERE id > $1 ORDER BY id LIMIT {BATCH}", after
        )
        for row in rows:
            yield row
        if len(rows) < BATCH:
            return
        after = rows[-1]["id"]


def _check(report: Report, row: Any, oldest_form: int) -> int:
    entry, form = row["id"], row["form"]
    gap = entry != report.last + 1
    if gap:
        report.fault("removed", report.last + 1, entry - 1, "entries are missing here")
    elif row["previous"] != report.last_hash:
        report.fault(
            "broken", entry, entry, "does not follow the entry before: one of the two was "
            "exchanged, put in, or written anew",
        )  # fmt: skip
    if form < oldest_form or form not in (1, FORM):
        report.fault("altered", entry, entry, f"claims form {form} after form {oldest_form}")
    elif row["hash"] != (_first_form(row) if form == 1 else entry_hash([row[c] for c in COLUMNS])):
        report.fault("altered", entry, entry, "its content is not what was hashed")
    elif form == 1 and any(row[c] for c in _LATER):
        report.fault("altered", entry, entry, "has columns that it was written without")
    report.first = report.first or entry
    report.entries, report.last, report.last_hash = report.entries + 1, entry, row["hash"]
    return max(oldest_form, min(form, FORM))


def _first_form(row: Any) -> str:
    content = [row["previous"], row["at"], row["actor"], row["action"], row["target"]]
    data = msgspec.json.decode(row["data"])
    encoded = msgspec.json.encode([*content, data], order="deterministic")
    return hashlib.sha256(encoded).hexdigest()


def _hold(report: Report, anchor: Anchor, found: str) -> None:
    if anchor.hash == found:
        report.anchored = max(report.anchored, anchor.id)
        return
    report.fault(
        "anchor_differs", anchor.id, anchor.id,
        "an anchor signed another hash here: this entry or one before it was written anew",
    )  # fmt: skip
