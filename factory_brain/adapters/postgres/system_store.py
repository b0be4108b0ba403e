"""The product's own conditions in PostgreSQL: on or off, since when, acknowledged by whom.

Called by the system alarms. Rows are switched here and by `AlarmStore.set_system`, alike.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.application.ports import Audit
from factory_brain.application.system_alarms import Condition
from shared.errors import StoreError

_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
_READ = (
    "SELECT source, code, active, params, episode, coalesce(raised_at, at) AS raised_at, "
    "returned_at, acked_by, acked_at FROM system_condition "
    "WHERE active OR (episode > 0 AND acked_at IS NULL) ORDER BY at LIMIT 2000"
)


class SystemStore:
    """Reads and writes `system_condition`."""

    def __init__(self, alarms: AlarmStore) -> None:
        self._alarms = alarms

    async def read(self) -> list[Condition]:
        """All that are on, or went and were not acknowledged."""
        try:
            rows = await self._alarms.pool.fetch(_READ, timeout=2)
        except _FAULTS as error:
            raise StoreError(f"system conditions cannot be read: {error}") from error
        return [Condition(**dict(row)) for row in rows]

    async def put(
        self, source: str, code: str, active: bool, params: dict[str, Any], at: int
    ) -> None:
        """Switch one on or off; raises StoreError."""
        try:
            async with self._alarms.transaction() as tx:
                await self._alarms.set_system(tx, source, code, active, params, at)
        except _FAULTS as error:
            raise StoreError(f"system condition cannot be written: {error}") from error

    async def acknowledge(
        self, occurrence: Condition, actor: str, at: int, comment: str, audit: Audit
    ) -> bool:
        """Record who acknowledged an episode, with its audit entry; False if it was done."""
        try:
            async with self._alarms.transaction() as tx:
                tag = await tx.execute(
                    "UPDATE system_condition SET acked_by = $4, acked_at = $5 WHERE source = $1 "
                    "AND code = $2 AND episode = $3 AND acked_at IS NULL",
                    occurrence.source, occurrence.code, occurrence.episode, actor, at,
                )  # fmt: skip
                done = tag.endswith(" 1")
                if done:
                    data = {
                        "code": occurrence.code, "source": occurrence.source,
                        "before": "unacknowledged", "after": "acknowledged",
                    }  # fmt: skip
                    if comment:
                        data["comment"] = comment
                    name = occurrence.occurrence
                    await audit(tx, at, actor, "acknowledge_system", name, data)
        except _FAULTS as error:
            raise StoreError(f"acknowledgement cannot be written: {error}") from error
        return done
