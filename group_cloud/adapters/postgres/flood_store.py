"""Floods, answers and episodes in PostgreSQL; writes run in the caller's transaction.

Called by `application/floods`. What is remembered belongs to the tenant that owns the factory now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from types import CoroutineType
from typing import Any, ParamSpec, TypeVar

import asyncpg
import msgspec

from group_cloud.adapters.postgres.flood_sql import ANSWER_FIELDS, NEWS, OPEN, TELLABLE, add
from group_cloud.application.floods.learning import in_both
from group_cloud.application.floods.ports import (
    Answer,
    Episode,
    Flood,
    Memory,
    Near,
    Raised,
    Tellable,
    Told,
)
from group_cloud.domain.floods import ALARMS, MINUTE_MS, point_of, superfluous
from shared.errors import StoreError, UnstorableError
from shared.messages.floods import MOST

FOLLOWED = 200
LATEST = 1 << 53
"""A later time is none."""
TELLABLE_MOST = 2_000
_EPISODE = (
    "revision", "at", "cause", "cause_names", "done", "words", "took_min", "alarms",
)  # fmt: skip
_OWN = "JOIN factory f ON f.site = e.site WHERE f.tenant = $1 AND NOT e.forgotten"


_BLAMED = (
    asyncpg.DataError, asyncpg.ProgramLimitExceededError, asyncpg.IntegrityConstraintViolationError
)  # fmt: skip
Rest = ParamSpec("Rest")
Found = TypeVar("Found")


def _apart(
    ask: Callable[Rest, Awaitable[Found]],
) -> Callable[Rest, CoroutineType[Any, Any, Found]]:
    """What one record or one tenant is to blame for is told apart from a database that is gone."""

    @wraps(ask)
    async def asked(*args: Rest.args, **more: Rest.kwargs) -> Found:
        try:
            return await ask(*args, **more)
        except _BLAMED as error:
            raise UnstorableError(str(error).partition("\n")[0][:200]) from error
        except asyncpg.QueryCanceledError as error:
            raise StoreError(f"{ask.__name__}: {error}") from error

    return asked


class FloodStore:
    """Implements `application/floods/ports.FloodRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def news(self, limit: int) -> list[Told]:
        """Incidents whose newest revision has not been looked at."""
        found = []
        for row in await self._pool.fetch(NEWS, limit):
            body = row["body"]
            ended = body.get("returned_at") or row["closed_at"]
            first = body.get("first_at") or row["opened_at"]
            found.append(
                Told(
                    row["site"], row["id"], row["revision"], row["status"], row["flood"],
                    row["cause"], row["outcome"], first, ended, body,
                )
            )  # fmt: skip
        return found

    @_apart
    async def follow(self, tx: asyncpg.Connection, /, told: Told, at: int) -> bool:
        """Take note of a revision; whether it is newer than what was noted."""
        goes_on = told.flood and told.status not in ("closed", "merged")
        done = await tx.fetchval(
            "INSERT INTO flood (site, incident, revision, first_at, ended_at, goes_on, begun_at, "
            "asked, settled, cause, number, told) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, -1, false, '', 0, '') "
            "ON CONFLICT (site, incident) DO UPDATE SET revision = $3, first_at = $4, "
            "ended_at = $5, goes_on = $6 WHERE flood.revision < $3 RETURNING true",
            told.site, told.incident, told.revision, told.first_at,
            None if goes_on else told.ended_at or at, goes_on, at,
        )  # fmt: skip
        return bool(done)

    @_apart
    async def happened(
        self, site: str, incident: str, first_at: int, minutes: float
    ) -> list[Raised]:
        """The alarms of a flood, from its first one on, by names that factories share.

        All that came up in the processes that the incident reaches: how a factory groups alarms
        into incidents must not decide what its floods look like.
        """
        body = await self._pool.fetchval(
            "SELECT body FROM group_incident WHERE site = $1 AND id = $2", site, incident
        )
        if body is None:
            return []
        # By the clocks that stamped the alarms; the incident's own times are corrected.
        origin = await self._pool.fetchval(
            "SELECT min(raised_at) FROM group_occurrence WHERE site = $1 "
            "AND occurrence = ANY($2::text[]) AND raised_at > 0",
            site, body.get("occurrences") or [],
        )  # fmt: skip
        origin = first_at if origin is None else origin
        if not 0 < origin < LATEST:
            return []
        rows = await self._pool.fetch(
            "SELECT o.alarm, o.raised_at, o.returned_at, p.asset_class, p.tag_class, p.kind, "
            "p.side FROM group_occurrence o LEFT JOIN alarm_point p ON p.site = o.site "
            "AND p.alarm = o.alarm WHERE o.site = $1 AND o.raised_at BETWEEN $2 AND $3 "
            "AND coalesce(p.process, '') IN (SELECT coalesce(q.process, '') "
            "FROM unnest($4::text[]) AS n(alarm) LEFT JOIN alarm_point q "
            "ON q.site = $1 AND q.alarm = n.alarm) ORDER BY o.raised_at, o.alarm, o.occurrence "
            f"LIMIT {ALARMS}",
            site, origin, origin + int(minutes * MINUTE_MS), body.get("alarms") or [],
        )  # fmt: skip
        return [
            (
                point_of(
                    site, row["alarm"], row["asset_class"] or "", row["tag_class"] or "",
                    row["kind"] or "", row["side"] or "",
                ),
                (row["raised_at"] - origin) / MINUTE_MS,
                # Never before the raise, whatever became of the clock that stamped both.
                (max(row["returned_at"], row["raised_at"]) - origin) / MINUTE_MS
                if row["returned_at"] else None,
            )
            for row in rows
        ]  # fmt: skip

    @_apart
    async def runs(self, site: str, names: Sequence[str]) -> list[asyncpg.Record]:
        """What ran."""
        return await self._pool.fetch(
            "SELECT playbook, success, drill FROM playbook_outcome WHERE site = $1 "
            "AND run = ANY($2::text[]) ORDER BY started_at, run",
            site, list(names),
        )  # fmt: skip

    @_apart
    async def remember(self, tx: asyncpg.Connection, /, episode: Episode, at: int) -> None:
        """Keep an episode, in the place of an older revision of it."""
        sets = ", ".join(f"{name} = excluded.{name}" for name in _EPISODE)
        await tx.execute(
            f"INSERT INTO flood_episode (site, incident, learned_at, forgotten, "
            f"{', '.join(_EPISODE)}) VALUES ($1, $2, $3, false, "
            + ", ".join(f"${n}" for n in range(4, 4 + len(_EPISODE)))
            + f") ON CONFLICT (site, incident) DO UPDATE SET {sets}, forgotten = false "
            "WHERE flood_episode.revision < excluded.revision",
            episode.site, episode.incident, at, episode.revision, episode.at, episode.cause,
            episode.cause_names, episode.done, episode.words, episode.took_min,
            [list(each) for each in episode.alarms],
        )  # fmt: skip

    @_apart
    async def forget(self, tx: asyncpg.Connection, /, site: str, incident: str) -> None:
        """It is none, or none any more."""
        await tx.execute(
            "DELETE FROM flood_episode WHERE site = $1 AND incident = $2", site, incident
        )

    @_apart
    async def tidy(self, tenant: str) -> int:
        """Give up what a full memory gives up."""
        rows = await self._pool.fetch(
            f"SELECT e.site, e.incident, e.at, e.cause FROM flood_episode e {_OWN}", tenant
        )
        names = {f"{row['site']}/{row['incident']}": row for row in rows}
        gone = superfluous((name, row["at"], row["cause"]) for name, row in names.items())
        # The row stays, empty: what was given up once is not learnt again.
        await self._pool.executemany(
            "UPDATE flood_episode SET forgotten = true, alarms = '[]' WHERE site = $1 "
            "AND incident = $2",
            [(names[name]["site"], names[name]["incident"]) for name in gone],
        )
        return len(gone)

    @_apart
    async def judge(self, tx: asyncpg.Connection, /, site: str, incident: str, cause: str) -> None:
        """Note the cause beside the answers, and whether any was recorded before them."""
        await tx.execute(
            "UPDATE flood SET cause = $3 WHERE site = $1 AND incident = $2", site, incident, cause
        )
        await tx.execute(
            "UPDATE flood_answer a SET novel = CASE WHEN $3::text <> '' THEN NOT EXISTS ("
            "SELECT 1 FROM flood_episode e JOIN factory f ON f.site = e.site "
            "WHERE f.tenant = a.tenant AND e.cause = $3::text AND e.learned_at <= a.at "
            "AND (e.site <> $1 OR e.incident <> $2)) END WHERE site = $1 AND incident = $2",
            site, incident, cause,
        )  # fmt: skip

    @_apart
    async def memory(self, tenant: str) -> Memory:
        """What is remembered for a tenant's factories: of those alone."""
        rows = await self._pool.fetch(
            f"SELECT e.site, e.incident, e.revision, e.cause FROM flood_episode e {_OWN} "
            "ORDER BY e.site, e.incident",
            tenant,
        )
        told = msgspec.msgpack.encode([tuple(row) for row in rows])
        version = hashlib.blake2b(told, digest_size=12).hexdigest()
        return Memory(tenant, version, tuple(row["cause"] for row in rows))

    @_apart
    async def episodes(self, tenant: str) -> list[Episode]:
        """All of it, in a fixed order."""
        rows = await self._pool.fetch(
            f"SELECT e.* FROM flood_episode e {_OWN} ORDER BY e.site, e.incident", tenant
        )
        return [_episode(row) for row in rows]

    @_apart
    async def shown(self, tenant: str, near: Sequence[Near]) -> list[dict[str, Any]]:
        """These as answers keep them."""
        alike = {each.name: each.similarity for each in near}
        rows = await self._pool.fetch(
            f"SELECT e.*, f.names FROM flood_episode e {_OWN} "
            "AND e.site || '/' || e.incident = ANY($2::text[])",
            tenant, list(alike),
        )  # fmt: skip
        found = [(_episode(row), row["names"]) for row in rows]
        return [each.shown(alike[each.name], in_both(names or {})) for each, names in found]

    async def open(self) -> list[Flood]:
        """Floods that go on and have no settled answer, of all factories in turn."""
        return [Flood(*row) for row in await self._pool.fetch(OPEN, FOLLOWED)]

    async def tenant_of(self, site: str) -> str:
        """Whose a factory is."""
        return await self._pool.fetchval("SELECT tenant FROM factory WHERE site = $1", site) or ""

    @_apart
    async def answer(self, tx: asyncpg.Connection, /, answer: Answer) -> bool:
        """Keep an answer; whether there was none at that horizon."""
        made = await tx.fetchval(
            add("flood_answer", ANSWER_FIELDS) + " ON CONFLICT DO NOTHING RETURNING true",
            *(getattr(answer, name) for name in ANSWER_FIELDS),
        )
        await tx.execute(
            "UPDATE flood SET asked = greatest(asked, $3), settled = settled OR $4 "
            "WHERE site = $1 AND incident = $2",
            answer.site, answer.incident, answer.horizon, answer.settled,
        )  # fmt: skip
        return bool(made)

    async def tellable(self, since: int) -> list[Tellable]:
        """Floods taken up since then, with their newest answers."""
        rows = await self._pool.fetch(TELLABLE, since, MOST, TELLABLE_MOST)
        return [
            Tellable(
                row["site"], row["incident"], row["first_at"], row["number"], row["told"],
                Answer(**{name: row[name] for name in ANSWER_FIELDS}), row["ours"],
            )
            for row in sorted(rows, key=lambda row: row["site"])
        ]  # fmt: skip

    @_apart
    async def told(self, tx: asyncpg.Connection, /, told: Tellable, digest: str) -> int:
        """Something else is told now; returns its number."""
        number = await tx.fetchval(
            "UPDATE flood SET number = number + 1, told = $3 WHERE site = $1 AND incident = $2 "
            "RETURNING number",
            told.site, told.incident, digest,
        )  # fmt: skip
        return int(number or 0)

    async def prune(self, before: int) -> None:
        """Forget floods whose incidents are gone, not what was learnt of them."""
        await self._pool.execute(
            "DELETE FROM flood l WHERE first_at < $1 AND NOT EXISTS (SELECT 1 FROM "
            "group_incident i WHERE i.site = l.site AND i.id = l.incident)",
            before, timeout=300,
        )  # fmt: skip
        for table in ("flood_answer a", "flood_episode a"):
            empty = "" if table.startswith("flood_answer") else "a.forgotten AND "
            await self._pool.execute(
                f"DELETE FROM {table} WHERE {empty}a.at < $1 AND NOT EXISTS (SELECT 1 FROM flood l "
                "WHERE l.site = a.site AND l.incident = a.incident)",
                before, timeout=300,
            )  # fmt: skip


def _episode(row: asyncpg.Record) -> Episode:
    return Episode(
        row["site"], row["incident"], row["revision"], row["at"], row["cause"],
        row["cause_names"], row["done"], row["words"], row["took_min"],
        [(point, raised, cleared) for point, raised, cleared in row["alarms"]],
    )  # fmt: skip
