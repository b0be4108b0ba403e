"""Directives as this factory settled them, and the settings that its edges reported applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from factory_brain.application.directive_relay import UNDECIDED, RelayEntry
from factory_brain.application.uplink import Uplink
from shared.alarm.definition import AlarmDefinition
from shared.alarm.shadow import filter_data, setting_data, setting_of
from shared.messages.bodies import DirectiveReport
from shared.messages.codec import decode
from shared.messages.directives import SignedDirective, read, superseded_alarms
from shared.postgres.pool import Connection


def entry_of(row: asyncpg.Record | None) -> RelayEntry | None:
    """A row of the table as an entry."""
    if row is None:
        return None
    return RelayEntry(
        edge=row["edge"],
        counter=row["counter"],
        directive=row["directive"],
        status=row["status"],
        signed=row["payload"],
        at=row["at"],
        code=row["code"] or "",
        params=row["params"],
        approved_by=row["approved_by"],
    )


class PgRelayStore:
    """Implements `RelayStore`; reports go up in the transaction that records the entry."""

    def __init__(
        self, pool: asyncpg.Pool, uplink: Uplink, definitions: Mapping[str, AlarmDefinition]
    ) -> None:
        self._pool, self._uplink, self._definitions = pool, uplink, definitions

    async def follow_site(self) -> None:
        """At a start: what people rewrote in the site's files since it was tuned is tuned no more.

        For good, as on the edge: who writes the old number again means the number, not the tuning.
        """
        rows = await self._pool.fetch("SELECT alarm, setting FROM alarm_setting")
        now = [(r["alarm"], self._site(r["alarm"], setting_of(r["setting"]).filter)) for r in rows]
        await self._pool.executemany(
            # Tuned before this was kept: taken as rewritten by nobody, from here on it is known.
            "UPDATE alarm_setting SET site = coalesce(site, $2), "
            "superseded = superseded OR site IS NOT NULL "
            "WHERE alarm = $1 AND site IS DISTINCT FROM $2",
            [each for each in now if each[1] is not None],
        )

    async def superseded(self) -> frozenset[str]:
        """Alarms that a directive has tuned and that people have rewritten since."""
        rows = await self._pool.fetch("SELECT alarm FROM alarm_setting WHERE superseded")
        return frozenset(row["alarm"] for row in rows)

    async def newest_passed(self, edge: str) -> RelayEntry | None:
        """What was let pass to an edge last."""
        return entry_of(
            await self._pool.fetchrow(
                "SELECT * FROM directive_relay WHERE edge = $1 AND status = 'relayed' "
                "ORDER BY counter DESC LIMIT 1",
                edge,
            )
        )

    def _site(self, alarm: str, name: str) -> dict[str, float | None] | None:
        """What the site's files say of an alarm that is tuned under this filter."""
        definition = self._definitions.get(alarm)
        if definition is None:
            return None
        around = {"centre": definition.bounds.centre} if name == "day" else {}
        return {**setting_data(definition.setting), **around}

    async def get(self, edge: str, counter: int) -> RelayEntry | None:
        """The entry of one number."""
        return entry_of(
            await self._pool.fetchrow(
                "SELECT * FROM directive_relay WHERE edge = $1 AND counter = $2", edge, counter
            )
        )

    async def newest(self, edge: str) -> RelayEntry | None:
        """The entry with the highest number of an edge."""
        return entry_of(
            await self._pool.fetchrow(
                "SELECT * FROM directive_relay WHERE edge = $1 ORDER BY counter DESC LIMIT 1", edge
            )
        )

    async def undecided(self) -> list[RelayEntry]:
        """Entries that wait for the factory's approval, or have it and are not passed on yet."""
        rows = await self._pool.fetch(
            "SELECT * FROM directive_relay WHERE status = ANY($1) ORDER BY at", list(UNDECIDED)
        )
        return [entry for row in rows if (entry := entry_of(row)) is not None]

    async def passed(self, edge: str) -> list[RelayEntry]:
        """What was let pass to an edge, the newest of it."""
        rows = await self._pool.fetch(
            "SELECT * FROM directive_relay WHERE edge = $1 AND status = 'relayed' "
            "ORDER BY counter DESC LIMIT 200",
            edge,
        )
        return [entry for row in rows if (entry := entry_of(row)) is not None]

    async def record(self, entry: RelayEntry | None, report: DirectiveReport | None) -> bool:
        """Store the entry and put the report into the outbox, in one transaction."""
        async with self._pool.acquire() as connection, connection.transaction():
            if entry is not None:
                taken = await connection.fetchval(
                    "INSERT INTO directive_relay (edge, counter, directive, status, code, params, "
                    "payload, approved_by, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
                    "ON CONFLICT (edge, counter) DO UPDATE SET status = $4, code = $5, "
                    "params = $6, payload = $7, approved_by = $8, at = $9 "
                    "WHERE directive_relay.status = ANY($10) RETURNING true",
                    entry.edge, entry.counter, entry.directive, entry.status, entry.code or None,
                    entry.params, entry.signed, entry.approved_by, entry.at, list(UNDECIDED),
                )  # fmt: skip
                if not taken:
                    return False
            if report is not None:
                await self._uplink.say(connection, "directive_report", report)
        return True

    async def applied(self, connection: Connection, edge: str, report: DirectiveReport) -> None:
        """The edge runs a directive's settings now: the console shows them from here on.

        In the transaction that receives the report: told only once, it must not be forgotten.
        """
        if report.status == "superseded":
            await self._dropped(connection, edge, report)
        if report.status != "applied":
            return
        entry = entry_of(
            await connection.fetchrow(
                "SELECT * FROM directive_relay WHERE edge = $1 AND counter = $2",
                edge, report.counter,
            )
        )  # fmt: skip
        if entry is None or entry.directive != report.directive:
            return
        directive = read(decode(entry.signed, SignedDirective).payload)
        rows: list[tuple[Any, ...]] = [
            (
                s.alarm,
                {
                    "limit": s.limit,
                    "deadband": s.deadband,
                    "on_delay_s": s.on_delay_s,
                    "off_delay_s": s.off_delay_s,
                    **filter_data(s.filter),
                },
                report.settings_version or report.counter,
                entry.at,
                self._site(s.alarm, s.filter),
            )
            for s in directive.settings
        ]
        await connection.executemany(
            "INSERT INTO alarm_setting (alarm, setting, version, at, site) "
            "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (alarm) DO UPDATE "
            "SET setting = $2, version = $3, at = $4, site = $5, superseded = false "
            "WHERE alarm_setting.version < $3",
            rows,
        )

    async def _dropped(self, connection: Connection, edge: str, report: DirectiveReport) -> None:
        """The edge has found another setting in its site's files: that one runs there."""
        own = [
            alarm for alarm in superseded_alarms(report.params)
            if (known := self._definitions.get(alarm)) is not None and known.edge == edge
        ]  # fmt: skip
        await connection.execute(
            "UPDATE alarm_setting SET superseded = true "
            "WHERE alarm = ANY($1::text[]) AND version <= $2",
            own, report.settings_version,
        )  # fmt: skip
