"""Passages written: as reported, and as reckoned from the numbers of a station's tags.

Called in the transaction of a report, of the journal's feed, or of the samples themselves; asks
nobody who may.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import asyncpg

from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.application.units.ports import Passage, Relation
from factory_brain.domain.samples import Columns
from factory_brain.domain.units.spans import FAR
from factory_brain.domain.units.stays import Reading, Stay, stays
from shared.clock import Clock
from shared.postgres.pool import Connection
from shared.site.process import Role, StationSpec, UnitTags
from shared.site.site import Site

TAG = "tag"
_PUT = (
    "INSERT INTO unit_passage AS p (station, unit, entered_at, left_at, batch, asset, source, "
    "attributes, reported_at) SELECT s, u, e, l, b, a, o, x::jsonb, $9 FROM unnest($1::text[], "
    "$2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::jsonb[]) "
    "AS r (s, u, e, l, b, a, o, x) ON CONFLICT (station, unit, entered_at) DO UPDATE SET "
    "left_at = coalesce(excluded.left_at, p.left_at), "
    "batch = coalesce(nullif(excluded.batch, ''), p.batch), "
    "attributes = p.attributes || excluded.attributes, reported_at = excluded.reported_at "
    "WHERE (coalesce(excluded.left_at, p.left_at), coalesce(nullif(excluded.batch, ''), p.batch), "
    "p.attributes || excluded.attributes) IS DISTINCT FROM (p.left_at, p.batch, p.attributes)"
)
# A number that is said again says nothing: only its changes leave the database.
_READINGS = (
    "SELECT at, tag_no, value FROM (SELECT at, tag_no, value, lag(value) OVER "
    "(PARTITION BY tag_no ORDER BY at) AS last FROM sample_raw WHERE tag_no = ANY($1::integer[]) "
    "AND at >= $2 AND at <= $3 AND quality = 0 AND value IS NOT NULL) r "
    "WHERE value IS DISTINCT FROM last ORDER BY at"
)
# Said so, the planner expects a sample to be good and walks the index to the first one; by the two
# columns it expects hardly any, reads them all and sorts, while a new day has no statistics.
_GOOD = "CASE WHEN quality = 0 THEN value END IS NOT NULL"
_BEFORE = (
    "SELECT n.no AS tag_no, s.value FROM unnest($1::integer[]) AS n (no), LATERAL (SELECT value "
    f"FROM sample_raw WHERE tag_no = n.no AND at < $2 AND {_GOOD} ORDER BY at DESC LIMIT 1) s"
)
_NEXT = (
    "SELECT max(coalesce((SELECT at FROM sample_raw WHERE tag_no = n.no AND at > $2 "
    f"AND {_GOOD} ORDER BY at LIMIT 1), $3)) FROM unnest($1::integer[]) AS n (no)"
)
_SAME = "WHERE station = $1 AND source = 'tag'"
_NEWEST = (
    f"SELECT unit, entered_at, left_at, batch, attributes FROM unit_passage {_SAME} "
    "AND entered_at <= $2 ORDER BY entered_at DESC LIMIT 1"
)


class UnitStore:
    """Implements `UnitWrites`, and follows the samples."""

    def __init__(self, alarms: AlarmStore, site: Site, clock: Clock) -> None:
        self._alarms, self._site, self._clock = alarms, site, clock

    def transaction(self) -> AbstractAsyncContextManager[asyncpg.Connection]:
        """A transaction that commits at the end of the block."""
        return self._alarms.transaction()

    async def put(self, tx: Connection, passages: Sequence[Passage], at: int) -> int:
        """Record what was reported; a repetition changes nothing, a leaving completes."""
        rows = list({(p.station, p.unit, p.entered_at): p for p in passages}.values())
        if not rows:
            return 0
        tag = await tx.execute(
            _PUT, [p.station for p in rows], [p.unit for p in rows], [p.entered_at for p in rows],
            [p.left_at for p in rows], [p.batch for p in rows], [p.asset for p in rows],
            [p.source for p in rows], [dict(p.attributes) for p in rows], at,
        )  # fmt: skip
        return int(tag.rpartition(" ")[2])

    async def relate(self, tx: Connection, relations: Sequence[Relation]) -> int:
        """Record genealogy; a repetition changes nothing."""
        if not relations:
            return 0
        tag = await tx.execute(
            "INSERT INTO unit_relation (parent, child, kind, at, station, source) SELECT * FROM "
            "unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[]) "
            "ON CONFLICT DO NOTHING",
            [r.parent for r in relations], [r.child for r in relations],
            [r.kind for r in relations], [r.at for r in relations],
            [r.station for r in relations], [r.source for r in relations],
        )  # fmt: skip
        return int(tag.rpartition(" ")[2])

    async def on_samples(self, tx: Connection, batches: list[Columns]) -> None:
        """Samples were stored: reckon the stays anew that they may have changed."""
        naming: dict[str, StationSpec] = {
            tag: station for station in self._site.stations.values() if station.unit
            for tag in station.unit.roles().values()
        }  # fmt: skip
        if not naming:
            return
        touched: dict[str, tuple[int, int, set[str]]] = {}
        for batch in batches:
            for index, tag in enumerate(batch.names):
                times = [
                    at for own, at in zip(batch.tags, batch.times, strict=True) if own == index
                ] if tag in naming else []  # fmt: skip
                # A batch's tag may be of several stations.
                for station in _named_by(tag, self._site.stations.values()) if times else ():
                    low, high, tags = touched.get(station, (FAR, -1, set[str]()))
                    touched[station] = min(low, *times), max(high, *times), tags | {tag}
        for name in sorted(touched):  # in one order: two brains never wait for each other
            await self._again(tx, self._site.stations[name], *touched[name])

    async def _again(
        self, tx: Connection, station: StationSpec, low: int, high: int, tags: set[str]
    ) -> None:
        assert station.unit is not None
        await tx.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"units {station.id}")
        numbers = {
            row["tag"]: row["no"] for row in await tx.fetch(
                "SELECT tag, no FROM tag_name WHERE tag = ANY($1)",
                list(station.unit.roles().values()),
            )
        }  # fmt: skip
        # What stood before is as it was told, and a value holds until the tag's next one: what
        # these samples can change lies from `low` to `reach`, however long the unit is there.
        own = [numbers[tag] for tag in tags if tag in numbers]
        reach: int = await tx.fetchval(_NEXT, own, high, FAR) or FAR
        begun = _stay(await tx.fetchrow(_NEWEST, station.id, low - 1))
        if begun is not None and begun.left_at is not None and begun.left_at < low:
            begun = None
        found = await self._stays(tx, station.unit, numbers, (low, reach), begun)
        if found and found[-1].left_at is None and reach < FAR:
            there = _stay(await tx.fetchrow(_NEWEST, station.id, reach))
            if there is not None and _is_in_it(there, found[-1].unit, reach):
                found[-1] = replace(found[-1], left_at=there.left_at)
            else:  # nobody has told yet when it leaves
                reach = FAR
                found = await self._stays(tx, station.unit, numbers, (low, reach), begun)
        since = min([low, *(stay.entered_at for stay in found)])
        await self._replace(tx, station, since, reach + 1, found)

    async def _stays(
        self, tx: Connection, tags: UnitTags, numbers: Mapping[str, int], during: tuple[int, int],
        begun: Stay | None,
    ) -> list[Stay]:  # fmt: skip
        roles: dict[int, list[Role]] = {}
        for role, tag in tags.roles().items():
            if tag in numbers:
                roles.setdefault(numbers[tag], []).append(role)
        rows = await tx.fetch(_READINGS, list(roles), *during)
        readings: list[Reading] = [
            (row["at"], role, row["value"]) for row in rows for role in roles[row["tag_no"]]
        ]
        before = await tx.fetch(_BEFORE, list(roles), during[0])
        stood: dict[Role, float] = {
            role: row["value"] for row in before for role in roles[row["tag_no"]]
        }
        return stays(readings, tags, stood, begun)

    async def _replace(
        self, tx: Connection, station: StationSpec, since: int, until: int, found: Iterable[Stay]
    ) -> None:
        """The station's stays that begin in [since, until) are these and no others."""
        now = [
            Passage(
                stay.unit, station.id, station.asset, stay.entered_at, stay.left_at, stay.batch,
                TAG, {"recipe": stay.recipe} if stay.recipe else {},
            )
            for stay in found
        ]  # fmt: skip
        old = {
            (r["unit"], r["entered_at"]): (r["left_at"], r["batch"], r["attributes"])
            for r in await tx.fetch(
                f"SELECT unit, entered_at, left_at, batch, attributes FROM unit_passage {_SAME} "
                "AND entered_at >= $2 AND entered_at < $3", station.id, since, until,
            )
        }  # fmt: skip
        new = {(p.unit, p.entered_at): (p.left_at, p.batch, p.attributes) for p in now}
        gone = [key for key, what in old.items() if new.get(key) != what]
        if gone:
            await tx.execute(
                f"DELETE FROM unit_passage {_SAME} AND (unit, entered_at) IN "
                "(SELECT * FROM unnest($2::text[], $3::bigint[]))",
                station.id, [unit for unit, _ in gone], [at for _, at in gone],
            )  # fmt: skip
        fresh = [p for p in now if old.get((p.unit, p.entered_at)) != new[p.unit, p.entered_at]]
        await self.put(tx, fresh, self._clock.now_ms())


def _named_by(tag: str, stations: Iterable[StationSpec]) -> list[str]:
    return [s.id for s in stations if s.unit is not None and tag in s.unit.roles().values()]


def _stay(row: asyncpg.Record | None) -> Stay | None:
    if row is None:
        return None
    recipe = row["attributes"].get("recipe", "")
    return Stay(row["unit"], row["entered_at"], row["left_at"], row["batch"], recipe)


def _is_in_it(stay: Stay, unit: str, at: int) -> bool:
    return stay.unit == unit and (stay.left_at is None or stay.left_at > at)
