"""Writes runs' journals: one commit for all that several runs have to write at this moment.

Every row stands under the fence of its run's owner; what acts by a row (notifications, webhooks,
events, an incident's figures) rides in the same commit. Called by `run_store.py` alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg
import msgspec

from factory_brain.application.playbooks.ports import (
    FencedError,
    Rest,
    RunRecord,
    UnstorableError,
)
from shared.playbook.journal import Effect
from shared.postgres.pool import Connection
from shared.redaction import clean

MOST = 200
"""Runs that share one commit at most."""
_FAULTS = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError, TimeoutError)
_CONTENT = (
    asyncpg.DataError, asyncpg.ProgramLimitExceededError, RecursionError, UnicodeError
)  # fmt: skip
"""What another try would not mend."""
_WRITE = (
    "WITH want AS (SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) "
    "AS w(id, fence, news)), "
    "held AS (SELECT r.id, r.news, w.news < 0 OR r.news = w.news AS ok FROM run r "
    "JOIN want w ON r.id = w.id AND r.fence = w.fence ORDER BY r.id FOR UPDATE OF r), "
    "noted AS (INSERT INTO journal (run, path, attempt, phase, data, at, n) "
    "SELECT run, path, attempt, phase, data::jsonb, at, n FROM "
    "unnest($4::text[], $5::text[], $6::int[], $7::text[], $8::text[], $9::bigint[], "
    "$10::bigint[]) AS j(run, path, attempt, phase, data, at, n) "
    "JOIN held h ON h.id = j.run AND h.ok "
    # A command that is sent anew after a sure refusal has a new intent of the same try.
    "ON CONFLICT (run, path, attempt, phase) DO UPDATE SET data = excluded.data, "
    "at = excluded.at, n = excluded.n WHERE excluded.phase = 'intent'), "
    "freed AS (UPDATE run SET status = f.status, wake_at = f.wake_at, asks = f.asks::jsonb, "
    "watch = f.watch::jsonb, ended_at = f.ended_at, owner = NULL, lease_until = 0 FROM "
    "unnest($11::text[], $12::text[], $13::bigint[], $14::text[], $15::text[], $16::bigint[]) "
    "AS f(id, status, wake_at, asks, watch, ended_at) JOIN held h ON h.id = f.id AND h.ok "
    "WHERE run.id = f.id), "
    "asked AS (UPDATE run SET asks = a.asks::jsonb FROM unnest($17::text[], $18::text[]) "
    "AS a(id, asks) JOIN held h ON h.id = a.id AND h.ok WHERE run.id = a.id) "
    "SELECT id, news, ok FROM held"
)


class Incidents(Protocol):
    """The incidents, as a run's steps change them."""

    async def set(
        self, tx: Connection, run: RunRecord, path: str, data: Mapping[str, Any], at: int
    ) -> None:
        """Change the incident of a run's occurrence."""
        ...

    async def late(self, tx: Connection, now: int) -> int:
        """Say what waited for its incident; how much."""
        ...


@dataclass(slots=True)
class Order:
    """What one run has to write."""

    run: RunRecord
    effects: Sequence[Effect]
    now: int
    n: int
    news: int | None
    rest: Rest | None
    asks: Sequence[Mapping[str, Any]] | None = None
    """The open questions of a run that is not given back yet, if they are others now."""

    @property
    def rides(self) -> bool:
        """Whether more than journal rows are to be written."""
        return any(effect.kind in _RIDERS for effect in self.effects)

    @property
    def alone(self) -> bool:
        """Whether it may have to wait for a lock of others."""
        return any(effect.kind == "incident" for effect in self.effects)


class RunWrites:
    """The one writer of a process."""

    def __init__(self, pool: asyncpg.Pool, incidents: Incidents | None = None) -> None:
        self._pool, self.incidents = pool, incidents
        self._queue: list[tuple[Order, asyncio.Future[int | None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, order: Order) -> int | None:
        """Commit, with whatever else is to be written now; see `RunStore.write`."""
        if order.alone:
            return (await self._commit([order]))[order.run.id]
        future: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._queue.append((order, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain(), name="run-writes")
        return await future

    async def _drain(self) -> None:
        while self._queue:
            batch: list[tuple[Order, asyncio.Future[int | None]]] = []
            later: list[tuple[Order, asyncio.Future[int | None]]] = []
            taken: set[str] = set()
            for item in self._queue:  # one order of a run at a time
                fits = len(batch) < MOST and item[0].run.id not in taken
                (batch if fits else later).append(item)
                taken.add(item[0].run.id)
            self._queue = later
            await self._settle(batch)

    async def _settle(self, batch: list[tuple[Order, asyncio.Future[int | None]]]) -> None:
        try:
            found = await self._commit([order for order, _ in batch])
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, _FAULTS):
                for item in batch:  # one that cannot be stored must not take the others along
                    await self._settle([item])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for order, future in batch:
            if future.done():
                continue
            if order.run.id in found:
                future.set_result(found[order.run.id])
            else:
                future.set_exception(FencedError())

    async def _commit(self, orders: list[Order]) -> dict[str, int | None]:
        try:
            return await self._stored(orders)
        except _CONTENT as error:
            raise UnstorableError(str(error).partition("\n")[0][:200]) from error

    async def _stored(self, orders: list[Order]) -> dict[str, int | None]:
        async with self._pool.acquire() as connection:
            if not any(order.rides for order in orders):
                return await self._rows(connection, orders)
            async with connection.transaction():
                found = await self._rows(connection, orders)
                held = [order for order in orders if found.get(order.run.id) is not None]
                await self._riders(connection, held)
                return found

    async def _rows(self, connection: Connection, orders: list[Order]) -> dict[str, int | None]:
        entries = [
            (o.run.id, e.path, e.attempt, e.phase, _json(dict(e.data)), o.now, o.n + i)
            for o in orders for i, e in enumerate(o.effects)
        ]  # fmt: skip
        rests = [
            (o.run.id, o.rest.status, o.rest.wake_at, _json(list(o.rest.asks)),
             _json(list(o.rest.watch)), o.rest.ended_at)
            for o in orders if o.rest is not None
        ]  # fmt: skip
        asks = [(o.run.id, _json(list(o.asks))) for o in orders if o.asks is not None]
        rows = await connection.fetch(
            _WRITE,
            [o.run.id for o in orders], [o.run.fence for o in orders],
            [-1 if o.news is None else o.news for o in orders],
            *_columns(entries, 7), *_columns(rests, 6), *_columns(asks, 2),
        )  # fmt: skip
        found: dict[str, int | None] = {r["id"]: r["news"] if r["ok"] else None for r in rows}
        if len(orders) == 1 and not found:
            raise FencedError
        return found

    async def _riders(self, connection: Connection, orders: list[Order]) -> None:
        each = [(o, e) for o in orders for e in o.effects]
        notes = [
            (_id(o, e), o.run.id, o.now, e.data["channel"], e.data["to"], clean(e.data["message"]))
            for o, e in each if e.kind == "notify"
        ]  # fmt: skip
        if notes:
            await connection.executemany(
                'INSERT INTO notification (id, run, at, channel, "to", message) '
                "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                notes,
            )
        hooks = [_delivery(o, e) for o, e in each if e.kind == "webhook"]
        if hooks:
            await connection.executemany(
                "INSERT INTO delivery (id, run, path, endpoint, body, schedule, at, due, detach, "
                "attempt, status) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,0,'due') "
                "ON CONFLICT DO NOTHING",
                hooks,
            )
        events = [
            (_id(o, e), o.run.id, e.path, e.data["event"], clean(e.data.get("data", {})), o.now)
            for o, e in each if e.kind == "emit"
        ]  # fmt: skip
        if events:
            await connection.executemany(
                "INSERT INTO emitted (id, run, path, type, data, at) "
                "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                events,
            )
        for o, e in each:
            if e.kind == "incident" and self.incidents is not None:
                await self.incidents.set(connection, o.run, e.path, clean(dict(e.data)), o.now)


_RIDERS = frozenset({"notify", "webhook", "emit", "incident"})


def _id(order: Order, effect: Effect) -> str:
    """The same over a commit that had to be tried twice, and over a database from a backup."""
    return f"{order.run.id}:{effect.path}:{effect.attempt}"


def _delivery(order: Order, effect: Effect) -> tuple[Any, ...]:
    data = effect.data
    schedule = list(data.get("schedule") or [0])
    body = {"type": data["type"], "data": clean(data["data"]), "time": order.now}
    return (
        f"{order.run.id}:{effect.path}", order.run.id, effect.path, data["endpoint"], body,
        schedule, order.now, order.now + schedule[0], bool(data.get("detach")),
    )  # fmt: skip


def _json(value: Any) -> str:
    """As text: an array of jsonb lists would be taken for one of more dimensions."""
    return msgspec.json.encode(clean(value)).decode()


def _columns(rows: list[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * width
