"""What triggers read: what is due, which queued run comes next, incidents and events that are new.

Statements and rows only, for `trigger_store.py`; no row is written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from factory_brain.application.playbooks.trigger_ports import Emitted, Fired, Held, Moved, Waiting
from factory_brain.domain.triggers.firing import Firing
from factory_brain.domain.triggers.throttle import Window
from shared.postgres.pool import Connection

LIVE = "ended_at IS NULL AND status <> 'queued'"
INCIDENTS, EMITTED = "incidents", "emitted"
FIRED = (
    "SELECT id, playbook, trigger, key, at, outcome, run, alarm, occurrence, why, decided_at "
    "FROM trigger_fired "
)
_AFTER = f"coalesce((SELECT through FROM trigger_seen WHERE name = '{INCIDENTS}'), -1)"
_OF_KEY = f"FROM run l WHERE l.playbook = r.playbook AND l.key = r.key AND {LIVE}"
_FIRST = (
    "FROM trigger_fired f JOIN run r ON r.id = f.id WHERE f.outcome = 'queued' "
    "AND r.status = 'queued'"
)
WAITING = (
    "SELECT DISTINCT ON (r.playbook, r.key) r.id AS run, r.playbook, r.digest, r.key, "
    f"(SELECT count(*) {_OF_KEY})::int AS live, "
    f"coalesce((SELECT array_agg(l.slot) {_OF_KEY}), '{{}}') AS slots {_FIRST} "
    "ORDER BY r.playbook, r.key, f.n"
)
RESTLESS = (
    "SELECT EXISTS (SELECT 1 FROM trigger_held WHERE due <= $1) "
    "OR EXISTS (SELECT 1 FROM trigger_window WHERE due <= $1) "
    f"OR EXISTS (SELECT 1 {_FIRST} AND NOT EXISTS (SELECT 1 {_OF_KEY})) "
    f"OR EXISTS (SELECT 1 FROM incident WHERE changed > {_AFTER}) "
    "OR EXISTS (SELECT 1 FROM emitted WHERE (xid, n) > (SELECT coalesce(max(through), 0), "
    f"coalesce(max(says::bigint), 0) FROM trigger_seen WHERE name = '{EMITTED}'))"
)
_CHANGED = (
    "SELECT i.id, i.changed, i.status, i.priority, i.asset, i.alarms, i.first_at, i.last_at, "
    "i.first_out, i.flood, i.owner, t.status AS told, t.priority AS urgent "
    "FROM incident i LEFT JOIN trigger_incident t USING (id) "
    "WHERE i.changed > $1 ORDER BY i.changed LIMIT $2"
)
_EMITTED = (
    "SELECT e.n, e.xid, e.id, e.at, e.type, e.data, coalesce((r.context->>'chain')::int, 0) "
    "AS chain FROM emitted e LEFT JOIN run r ON r.id = e.run "
    "WHERE (e.xid, e.n) > ($1, $2) AND e.xid < $3 ORDER BY e.xid, e.n LIMIT $4"
)
WAKE = (
    "UPDATE run SET news = news + 1, wake_at = least(wake_at, $2) WHERE id IN "
    "(SELECT run FROM trigger_fired WHERE occurrence = ANY($1) AND run IS NOT NULL) "
    f"AND {LIVE} RETURNING id"
)
_STATE = "o.transition->'state'->>"
_JOINED = (
    "SELECT count(*) AS n, "
    f"bool_and({_STATE}'active' = 'false') AS cleared, max(o.returned_at) AS cleared_at, "
    f"bool_and({_STATE}'acked' = 'true' OR a.at IS NOT NULL) AS acked, max(a.at) AS acked_at, "
    f"bool_and({_STATE}'shelf' <> 'U') AS shelved, "
    f"bool_and({_STATE}'suppressed' = 'true') AS suppressed, "
    "max((o.transition->>'source_time')::bigint) AS changed_at "
    "FROM (SELECT DISTINCT j.occurrence FROM trigger_fired f JOIN trigger_fired j "
    "ON j.run = f.id AND j.outcome = 'attached' WHERE f.occurrence = $1) m "
    "JOIN occurrence o ON o.occurrence = m.occurrence LEFT JOIN LATERAL "
    "(SELECT min(k.at) AS at FROM fact k WHERE k.occurrence = o.occurrence "
    "AND k.action = 'acknowledge' AND k.result IS DISTINCT FROM 'refused') a ON true"
)


def held(row: asyncpg.Record) -> Held:
    """A held firing."""
    return Held(
        row["id"], row["playbook"], row["trigger"], row["occurrence"], row["due"],
        Firing.of_data(row["firing"]),
    )  # fmt: skip


def window(row: asyncpg.Record) -> Window:
    """What was gathered."""
    firing = row["firing"]
    return Window(
        row["since"], row["until"], row["count"], row["due"],
        None if firing is None else Firing.of_data(firing),
    )  # fmt: skip


def fired(row: asyncpg.Record) -> Fired:
    """What a firing came to."""
    return Fired(**{name: row[name] for name in Fired.__dataclass_fields__})


def waiting(row: asyncpg.Record) -> Waiting:
    """The next queued run of a key."""
    return Waiting(
        row["run"], row["playbook"], row["digest"], row["key"], row["live"], tuple(row["slots"])
    )


async def incidents(tx: Connection, limit: int) -> list[Moved]:
    """Incidents that changed since; at the first look, from where they stand now."""
    after = await tx.fetchval(
        "INSERT INTO trigger_seen AS s (name, through, says) SELECT $1, "
        "coalesce(max(changed), 0), '' FROM incident ON CONFLICT (name) "
        "DO UPDATE SET through = s.through RETURNING through",
        INCIDENTS,
    )
    rows = await tx.fetch(_CHANGED, after, limit)
    return [
        Moved(
            row["id"], row["changed"], row["status"], row["priority"], row["last_at"],
            None if row["told"] is None else (row["told"], row["urgent"]),
            {
                "id": row["id"], "incident": row["id"], "asset": row["asset"],
                "priority": row["priority"], "status": row["status"], "alarms": row["alarms"],
                "flood": row["flood"], "raised_at": row["first_at"],
                "occurrence": next(iter(row["first_out"]), None), "value": row["alarms"],
            },
        )
        for row in rows
    ]  # fmt: skip


async def emitted(
    tx: Connection, seen: tuple[int, str] | None, limit: int
) -> tuple[list[Emitted], tuple[int, str] | None]:
    """What transactions wrote that have all ended, in their order; and how far that is.

    A database that was restored elsewhere counts its transactions anew: then all that is there is
    looked at once more, and the firings' ids say which were answered.
    """
    row = await tx.fetchrow(
        "SELECT pg_snapshot_xmin(s)::text::bigint AS oldest, pg_snapshot_xmax(s)::text::bigint "
        "AS next FROM pg_current_snapshot() s"
    )
    assert row is not None
    xid, n = (seen[0], int(seen[1] or 0)) if seen is not None else (0, 0)
    if xid >= row["next"]:
        xid, n = 0, 0
    rows = await tx.fetch(_EMITTED, xid, n, row["oldest"], limit)
    found = [Emitted(r["id"], r["at"], r["type"], r["data"], r["chain"]) for r in rows]
    return found, (rows[-1]["xid"], str(rows[-1]["n"])) if rows else None


async def joined_states(pool: asyncpg.Pool, occurrence: str) -> Mapping[str, Any] | None:
    """What all alarms are that joined an occurrence's runs; None if none has joined."""
    row = await pool.fetchrow(_JOINED, occurrence)
    if row is None or not row["n"]:
        return None
    since = row["changed_at"]
    return {
        "cleared": (row["cleared_at"] or since) if row["cleared"] else None,
        "acknowledged": (row["acked_at"] or since) if row["acked"] else None,
        "shelved": since if row["shelved"] else None,
        "suppressed": since if row["suppressed"] else None,
    }
