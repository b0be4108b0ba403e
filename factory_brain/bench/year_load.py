"""A year of alarms, made up, and how long its questions take.

The journal gets a year of daily partitions and is counted by the product's own roll-up.
"""

from __future__ import annotations

import time
from typing import Any

from factory_brain.adapters.postgres.alarm_history import AlarmHistory
from factory_brain.adapters.postgres.partitions import DAY_MS, EVENTS
from factory_brain.adapters.postgres.rollups import Retention, Rollups
from factory_brain.bench.store_loads import World

ALARMS = 200
_EVENTS = """
INSERT INTO event (source, epoch, lane, received_at, seq, id, type, time, late, alarm, occurrence,
    body)
SELECT 'f1.e1', 'year', 'live', at, n, 'y-' || n, 'alarm', at, false, alarm, 'y-' || n / 2,
    json_build_object('t', 'alarm', 'kind', kind, 'alarm', alarm, 'occurrence', 'y-' || n / 2,
        'annunciate', kind = 'raised', 'priority', 2, 'tag', 'TT-' || n / 2 % $4)
FROM (SELECT n, $1::bigint + (n - $2::bigint) * $5::bigint AS at,
        'Y.TT-' || n / 2 % $4::bigint || '.HI' AS alarm,
        CASE WHEN n % 2 = 0 THEN 'raised' ELSE 'returned' END AS kind
    FROM generate_series($2::bigint, $2::bigint + $3::bigint - 1) n) made
"""
_OCCURRENCES = """
INSERT INTO occurrence (occurrence, alarm, edge, transition, order_key, raised_at, returned_at,
    received_at, late, open)
SELECT occurrence, alarm, 'e1', '{}'::jsonb, '', min(time), max(time), min(received_at), false,
    false
FROM event WHERE epoch = 'year' GROUP BY 1, 2
"""


async def year(world: World, days: int, a_day: int) -> dict[str, Any]:
    """A year's questions of one tag's alarm, each asked ten times."""
    now = world.clock.now_ms()
    today = EVENTS.start(now)
    partitions = world.alarms.partitions
    starts = [today - n * DAY_MS for n in range(days, 0, -1)]
    await partitions.ensure(EVENTS, starts)
    step = DAY_MS // (a_day + 1)
    for number, start in enumerate([*starts, today]):
        rows = a_day if start != today else max((now - today) // step, 0)
        await world.pool.execute(
            _EVENTS, start, number * a_day, rows, ALARMS, step, timeout=120
        )  # fmt: skip
    await world.pool.execute(_OCCURRENCES, timeout=300)
    await world.pool.execute("ANALYZE event, occurrence", timeout=300)
    began = time.monotonic()
    counted = await Rollups(world.pool, partitions, Retention()).alarm_days(now)
    rollup_s = time.monotonic() - began
    history, alarms = AlarmHistory(world.pool), ["Y.TT-7.HI"]
    since, until = today - days * DAY_MS, today + DAY_MS
    took: dict[str, list[float]] = {"days_ms": [], "occurrences_ms": [], "journal_ms": []}
    found: dict[str, int] = {}
    for _ in range(10):
        for name, ask in (
            ("days_ms", history.days(alarms, since, until)),
            ("occurrences_ms", history.occurrences(alarms, since, until, 500)),
            ("journal_ms", _journal(world, alarms[0], since, until)),
        ):
            began = time.monotonic()
            found[name] = len(await ask)
            took[name].append((time.monotonic() - began) * 1e3)
    total = await world.pool.fetchval("SELECT count(*) FROM event WHERE epoch = 'year'")
    return {
        "days": days, "events": total, "partitions": days + 4, "days_counted": counted,
        "count_all_days_s": round(rollup_s, 2), "rows_found": found,
        **{name: round(sorted(each)[len(each) // 2], 2) for name, each in took.items()},
    }  # fmt: skip


async def _journal(world: World, alarm: str, since: int, until: int) -> list[Any]:
    """Every transition of the year from the partitions themselves, not from any summary."""
    return await world.pool.fetch(
        "SELECT time, occurrence, body FROM event WHERE alarm = $1 AND time >= $2 AND time < $3",
        alarm, since, until,
    )  # fmt: skip
