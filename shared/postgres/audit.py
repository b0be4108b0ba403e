"""The audit log: who did what, when, where from, before, after and why, chained by hash.

Written in the transaction of the action itself; `audit_verify.py` checks it. Entries are never
changed: a trigger refuses it, and whoever gets round the trigger breaks the chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from shared.identity.claim import claimed
from shared.identity.where import here
from shared.postgres.pool import Connection

FORM = 2
"""How an entry is hashed; form 1 had fewer columns and hashed them as one JSON list."""
COLUMNS = (
    "form", "previous", "id", "at", "zone", "actor", "action", "target", "tier", "site", "address",
    "before", "after", "why", "data",
)  # fmt: skip
"""What an entry's hash covers, in this order: every column but the hash itself."""
AUDIT_LOCK = 1_635_083_369
IN_HAND, DONE = "andon:in_hand", "andon:done"
"""In place of a request's answer: it is being carried out; something of it has been committed."""
_WHY = ("why", "reason", "comment")


def entry_hash(values: Sequence[str | int | None]) -> str:
    """The hash of an entry's columns; jsonb as PostgreSQL writes it, lengths before the texts."""
    digest = hashlib.sha256()
    for value in values:
        if value is None:
            digest.update(b"-;")
            continue
        data = str(value).encode()
        digest.update(f"{len(data)}:".encode() + data + b";")
    return digest.hexdigest()


async def audit(
    connection: Connection,
    at: int,
    actor: str,
    action: str,
    target: str,
    data: Any,
) -> None:
    """Append to the audit chain within the caller's transaction.

    `data` may name `before`, `after` and `why` (also `reason`, `comment`); they get columns of
    their own. Where it was done from is what `shared/identity/where.py` says of the running task.
    """
    place = here()
    named = data if isinstance(data, Mapping) else {}
    before, after = named.get("before"), named.get("after")
    why = next((str(named[key]) for key in _WHY if named.get(key)), "")
    rest = {k: v for k, v in named.items() if k not in ("before", "after", "why")}
    await connection.execute("SELECT pg_advisory_xact_lock($1)", AUDIT_LOCK)  # one writer at a time
    # jsonb has one way to write a value: the hash is over that, not over what was sent.
    row = await connection.fetchrow(
        "SELECT coalesce((SELECT max(id) FROM audit), 0) + 1 AS id, "
        "coalesce((SELECT hash FROM audit ORDER BY id DESC LIMIT 1), '') AS previous, "
        "$1::jsonb::text AS before, $2::jsonb::text AS after, $3::jsonb::text AS data",
        before, after, rest if named else data,
    )  # fmt: skip
    assert row is not None
    values = (
        FORM, row["previous"], row["id"], at, place.zone, actor, action, target, place.tier,
        place.site, place.address, row["before"], row["after"], why, row["data"],
    )  # fmt: skip
    await connection.execute(
        f"INSERT INTO audit ({', '.join(COLUMNS)}, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, "
        "$9, $10, $11, $12::text::jsonb, $13::text::jsonb, $14, $15::text::jsonb, $16)",
        *values, entry_hash(values),
    )  # fmt: skip
    if (claim := claimed()) is not None:
        # The request of this act has had its effect, whatever becomes of its answer.
        await connection.execute(
            "UPDATE idempotent SET answer = answer || jsonb_build_object($4::text, true) "
            "WHERE key = $1 AND username = $2 AND route = $3 AND answer ? $5",
            claim.key, claim.username, claim.route, DONE, IN_HAND,
        )  # fmt: skip


async def audit_change(
    connection: Connection,
    at: int,
    actor: str,
    action: str,
    target: str,
    *,
    before: Any,
    after: Any,
    why: str = "",
    **more: Any,
) -> None:
    """Append a change of a setting or of a right: what it was, what it is, and why."""
    await audit(
        connection, at, actor, action, target,
        {"before": before, "after": after, "why": why, **more},
    )  # fmt: skip
