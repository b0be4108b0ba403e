"""Directives that wait for people, what people said, and what the edges' trials told.

Called by the desk of waiting directives and by the ingest; writes use the caller's transaction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from math import isfinite
from typing import Any

import asyncpg

from factory_brain.adapters.postgres.relay_store import entry_of
from factory_brain.application.directive_relay import UNDECIDED, RelayEntry
from factory_brain.application.directive_words import Trial
from factory_brain.application.waiting_directives import Consent
from shared.alarm.point import Setting
from shared.alarm.shadow import setting_of
from shared.errors import ContractError
from shared.messages.bodies import DirectiveReport
from shared.messages.codec import decode
from shared.messages.directives import DRY_RUN, MAX_SETTINGS, SignedDirective, numbered, read
from shared.postgres.pool import Connection

LATELY = 20
"""Decided ones that are shown."""
KEEP_TRIALS_MS = 60 * 86_400_000


class PgWaiting:
    """Implements `WaitingRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction that commits at the end of the block."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection  # type: ignore[misc]

    async def shown(self) -> list[RelayEntry]:
        """What waits, soonest to expire by its number; then the newest that people decided."""
        rows = await self._pool.fetch(
            "(SELECT * FROM directive_relay WHERE status = ANY($1) ORDER BY at LIMIT 200)",
            list(UNDECIDED),
        )
        done = await self._pool.fetch(
            "SELECT r.* FROM directive_relay r WHERE NOT status = ANY($1) AND EXISTS "
            "(SELECT FROM directive_consent c WHERE (c.edge, c.counter) = (r.edge, r.counter)) "
            "ORDER BY at DESC LIMIT $2",
            list(UNDECIDED), LATELY,
        )  # fmt: skip
        return [entry for row in (*rows, *done) if (entry := entry_of(row)) is not None]

    async def locked(self, tx: Connection, edge: str, counter: int) -> RelayEntry | None:
        """One of them, until the transaction ends."""
        return entry_of(
            await tx.fetchrow(
                "SELECT * FROM directive_relay WHERE edge = $1 AND counter = $2 FOR UPDATE",
                edge, counter,
            )
        )  # fmt: skip

    async def newest(self, tx: Connection | None, edges: Sequence[str]) -> dict[str, int]:
        """The highest number of each edge."""
        rows = await (tx or self._pool).fetch(
            "SELECT edge, max(counter) AS counter FROM directive_relay "
            "WHERE edge = ANY($1::text[]) GROUP BY edge",
            list(edges),
        )
        return {row["edge"]: row["counter"] for row in rows}

    async def consents(
        self, tx: Connection | None, keys: Sequence[tuple[str, int]]
    ) -> list[Consent]:
        """What people said of these, in that order."""
        rows = await (tx or self._pool).fetch(
            "SELECT c.* FROM directive_consent c JOIN unnest($1::text[], $2::bigint[]) "
            "AS k (edge, counter) ON (c.edge, c.counter) = (k.edge, k.counter) "
            "ORDER BY c.at, c.actor",
            [edge for edge, _ in keys], [counter for _, counter in keys],
        )  # fmt: skip
        return [
            Consent(r["edge"], r["counter"], r["actor"], r["accept"], r["reason"], r["at"])
            for r in rows
        ]

    async def consent(self, tx: Connection, said: Consent) -> None:
        """Somebody has said it; whoever agreed may still refuse."""
        await tx.execute(
            "INSERT INTO directive_consent (edge, counter, actor, accept, reason, at) "
            "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (edge, counter, actor) "
            "DO UPDATE SET accept = $4, reason = $5, at = $6",
            said.edge, said.counter, said.actor, said.accept, said.reason, said.at,
        )  # fmt: skip

    async def decided(self, tx: Connection, entry: RelayEntry) -> None:
        """What waited has another status; nothing else of it changes."""
        await tx.execute(
            "UPDATE directive_relay SET status = $3, code = $4, params = $5, approved_by = $6, "
            "at = $7 WHERE edge = $1 AND counter = $2 AND status = 'waiting'",
            entry.edge, entry.counter, entry.status, entry.code or None, entry.params,
            entry.approved_by, entry.at,
        )  # fmt: skip

    async def trials(self, rollouts: Sequence[str]) -> dict[tuple[str, str, str], Trial]:
        """(rollout, edge, alarm) -> what the edge's trial told."""
        rows = await self._pool.fetch(
            "SELECT * FROM directive_trial WHERE rollout = ANY($1::text[])", list(rollouts)
        )
        return {
            (r["rollout"], r["edge"], r["alarm"]): Trial(r["before"], r["after"], r["coverage_s"])
            for r in rows
        }

    async def settings(self) -> dict[str, Setting]:
        """alarm -> the setting that a directive has made of it, and that runs."""
        rows = await self._pool.fetch(
            "SELECT alarm, setting FROM alarm_setting WHERE NOT superseded"
        )
        return {row["alarm"]: setting_of(row["setting"]) for row in rows}

    async def tried(self, connection: Connection, edge: str, report: DirectiveReport) -> None:
        """An edge has replayed its signal: kept in the transaction that receives the report."""
        if report.status != "dry_run":
            return
        entry = entry_of(
            await connection.fetchrow(
                "SELECT * FROM directive_relay WHERE edge = $1 AND counter = $2 AND directive = $3",
                numbered(edge, DRY_RUN), report.counter, report.directive,
            )
        )  # fmt: skip
        found = report.params.get("alarms")
        if entry is None or not isinstance(found, dict):
            return
        try:
            directive = read(decode(entry.signed, SignedDirective).payload)
        except ContractError:
            return
        asked = {each.alarm for each in directive.settings[:MAX_SETTINGS]}
        told = {alarm: _trial(found.get(alarm)) for alarm in sorted(asked)}
        rollout = str(directive.extra.get("rollout") or "")[:64]
        rows = [
            (rollout, edge, alarm, each.before, each.after, each.coverage_s, entry.at)
            for alarm, each in told.items() if each is not None
        ]  # fmt: skip
        await connection.executemany(
            "INSERT INTO directive_trial (rollout, edge, alarm, before, after, coverage_s, at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (rollout, edge, alarm) DO UPDATE "
            "SET before = $4, after = $5, coverage_s = $6, at = $7",
            rows,
        )
        await connection.execute(
            "DELETE FROM directive_trial WHERE at < $1", entry.at - KEEP_TRIALS_MS
        )


def _trial(told: Any) -> Trial | None:
    """What an edge says of one alarm, if it is readable."""
    try:
        before, after = int(told["now"][0]), int(told["new"][0])
        covered = float(told["coverage_s"])
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return None
    sound = 0 <= before < 1 << 31 and 0 <= after < 1 << 31 and isfinite(covered)
    return Trial(before, after, max(0.0, covered)) if sound else None
