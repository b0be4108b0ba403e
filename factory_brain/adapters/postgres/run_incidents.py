"""What a playbook says of its run's incident: outcome, cause, a note and figures, in one commit.

Called by `run_writes.py` in the transaction of the run's journal; never closes an incident, that is
a person's. What is said before the alarm is in an incident is kept and said as soon as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from factory_brain.adapters.postgres.incident_store import LOCK
from factory_brain.application.playbooks.ports import RunRecord
from shared.clock import Clock
from shared.postgres.audit import audit
from shared.postgres.pool import Connection
from shared.telemetry import logger

log = logger("playbooks")

_OF = (
    "SELECT coalesce(i.merged_into, i.id) FROM incident_member m JOIN incident i "
    "ON i.id = m.incident WHERE m.occurrence = $1"
)
_SET = (
    "UPDATE incident SET outcome = coalesce($2::text, outcome), cause = coalesce($3::text, cause), "
    "changed = nextval('incident_change') WHERE id = $1"
)
FIELDS = ("outcome", "cause", "note")
LATE_MS = 300_000
"""So long an incident is waited for; then it is audited that nobody heard it."""
_LATE = (
    "SELECT w.*, coalesce(i.merged_into, i.id) AS incident FROM incident_word w "
    "LEFT JOIN incident_member m ON m.occurrence = w.occurrence "
    "LEFT JOIN incident i ON i.id = m.incident "
    "WHERE i.id IS NOT NULL OR w.at < $1 ORDER BY w.at LIMIT 100 FOR UPDATE OF w SKIP LOCKED"
)


class RunIncidents:
    """The incidents, as a run's steps change them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def set(
        self, tx: Connection, run: RunRecord, path: str, data: Mapping[str, Any], at: int
    ) -> None:
        """Change the incident of a run: that of its occurrence, or the one that started it."""
        await tx.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        incident = str(run.context.get("incident") or "")
        if run.occurrence is not None:
            incident = await tx.fetchval(_OF, run.occurrence) or incident
        if incident:
            await _say(tx, incident, run.id, run.playbook, path, data, at)
        elif run.occurrence is None:  # about no alarm at all
            await _unheard(tx, run.id, run.playbook, path, data, at)
        else:
            await tx.execute(
                "INSERT INTO incident_word (id, run, playbook, occurrence, path, data, at) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                f"{run.id}:{path}", run.id, run.playbook, run.occurrence, path, dict(data), at,
            )  # fmt: skip

    async def late(self, tx: Connection, now: int) -> int:
        """Say what waited for its incident, in a transaction; how much."""
        if not await tx.fetchval("SELECT EXISTS (SELECT FROM incident_word)"):
            return 0
        await tx.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        rows = await tx.fetch(_LATE, now - LATE_MS)
        for row in rows:
            about = (row["run"], row["playbook"], row["path"], row["data"], row["at"])
            if row["incident"] is None:
                await _unheard(tx, *about)
            else:
                await _say(tx, row["incident"], *about)
        done = [row["id"] for row in rows]
        await tx.execute("DELETE FROM incident_word WHERE id = ANY($1::text[])", done)
        return len(rows)


async def _say(
    tx: Connection, incident: str, run: str, playbook: str, path: str, data: Mapping[str, Any],
    at: int,
) -> None:  # fmt: skip
    words = {name: str(data[name]) for name in ("outcome", "cause") if data.get(name)}
    await tx.execute(_SET, incident, words.get("outcome"), words.get("cause"))
    figures = {name: value for name, value in data.items() if name not in FIELDS}
    said = [str(data["note"])] if data.get("note") else []
    said += [f"{name}: {value}" for name, value in {**words, **figures}.items()]
    await tx.execute(
        "INSERT INTO incident_entry (id, incident, at, lane, kind, params, actor) "
        "VALUES ($1, $2, $3, 'playbook', 'note', $4, $5) ON CONFLICT DO NOTHING",
        f"{run}:{path}", incident, at,
        {**figures, "text": "; ".join(said), "run": run}, f"playbook:{playbook}",
    )  # fmt: skip


async def _unheard(
    tx: Connection, run: str, playbook: str, path: str, data: Mapping[str, Any], at: int
) -> None:
    log.warning("incident_missing", run=run, path=path)
    told = {"path": path, "said": dict(data)}
    await audit(tx, at, f"playbook:{playbook}", "incident_missing", run, told)
