"""What is counted in shadow, for people; reads only, by the pool of the routes.

Called by `application/shadow/showing.py`.
"""

from __future__ import annotations

import asyncpg

from factory_brain.adapters.postgres.shadow_points import ShadowPoints
from shared.alarm.point import Setting
from shared.alarm.shadow import setting_of


class ShadowReads(ShadowPoints):
    """Implements `CountedReads`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool)

    async def days(self, since_day: int) -> dict[str, tuple[int, int]]:
        """alarm -> (days counted, how far)."""
        rows = await self._pool.fetch(
            "SELECT alarm, count(*) AS days, max(until) AS until FROM shadow_day "
            "WHERE day >= $1 GROUP BY alarm",
            since_day,
        )
        return {row["alarm"]: (row["days"], row["until"]) for row in rows}

    async def settings(self) -> dict[str, Setting]:
        """alarm -> the setting that a directive has made of it, and that runs."""
        rows = await self._pool.fetch(
            "SELECT alarm, setting FROM alarm_setting WHERE NOT superseded"
        )
        return {row["alarm"]: setting_of(row["setting"]) for row in rows}
