"""The group's rows: which faults the health gate holds against a point, what is kept how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from group_cloud.adapters.postgres.record_store import RecordStore
from group_cloud.adapters.postgres.rollout_health import RolloutHealth
from group_cloud.application.ports import RolloutRow
from group_cloud.application.rollout.figures import MOST, gate_of
from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout_plan import Change, Plan
from group_cloud.domain.rollout_policy import Policy
from shared.alarm.point import Setting
from shared.postgres.pool import Connection, Pool, connect_pool
from tests.support.servers import PostgresForTests

T = 1_700_000_000_000
HI = "FUR-01.TT-101.HI"
POINT = Point("f1", "e1", HI)


@pytest.fixture(scope="module")
def url(postgres: PostgresForTests, cloud_template: str) -> Iterator[str]:
    yield asyncio.run(postgres.copy(cloud_template, "group_rows"))
    asyncio.run(postgres.drop("group_rows", owner=False))


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Pool]:
    made = await connect_pool(url, size=2)
    yield made
    await made.close()


@pytest.fixture
async def db(pool: Pool) -> AsyncIterator[Connection]:
    async with pool.acquire() as made:
        await made.execute("TRUNCATE fault, shadow_count, alarm_point CASCADE")
        await stands(made, HI, "FUR-01", "LINE-A")
        await stands(made, "CMP-01.PT-1.HI", "CMP-01", "LINE-B")
        await made.execute(
            "INSERT INTO shadow_count (site, edge, alarm, day, revision, since, until, coverage, "
            "digest, named, body, activations, standing, received_at) VALUES "
            "('f1', 'e1', $1, $2, 1, $3, $3, 1, '', '{}', $4, '', '', $3)",
            HI, T // 86_400_000, T, {"engineer_only": [[T + 100, 0]]},
        )  # fmt: skip
        yield made


async def stands(db: Connection, alarm: str, asset: str, process: str) -> None:
    await db.execute(
        "INSERT INTO alarm_point (site, alarm, edge, asset, process, asset_class, tag_class, "
        "priority, names, version, kind, side) VALUES ('f1', $1, 'e1', $2, $3, '', '', 2, '{}', "
        "'1', 'limit', 'HI')",
        alarm, asset, process,
    )  # fmt: skip


async def missed(db: Connection, line: str, asset: str, alarms: list[str] | None = None) -> bool:
    await db.execute("DELETE FROM fault")
    await db.execute(
        'INSERT INTO fault (site, id, revision, asset, line, start, "end", cause, actor, '
        "recorded_at, alarms, incident, withdrawn, received_at) VALUES "
        "('f1', 'fault-1', 1, $1, $2, $3, $4, 'leak', 'wang', $4, $5, '', false, $4)",
        asset, line, T, T + 60_000, alarms or [],
    )  # fmt: skip
    found = await RolloutHealth().watched(db, POINT, T, T + 120_000)
    return found.missed == ("fault-1",)


async def test_a_fault_without_alarms_counts_against_its_own_line(db: Connection) -> None:
    assert await missed(db, "LINE-A", "FUR-01")
    assert await missed(db, "LINE-A", "FUR-02")  # its line, wherever on it
    assert await missed(db, "FUR-01", "FUR-01")  # of an asset that lies in no line
    assert await missed(db, "", "FUR-01")
    assert not await missed(db, "LINE-B", "CMP-01")
    assert not await missed(db, "", "CMP-01")


async def test_a_fault_recorded_beside_the_point_counts_unless_it_lay_in_another_line(
    db: Connection,
) -> None:
    await stands(db, "FUR-02.TT-1.HI", "FUR-02", "LINE-A")
    await stands(db, "AREA-1.UT-1.HI", "AREA-1", "")
    assert await missed(db, "", "FUR-02")  # its neighbour on the line
    assert await missed(db, "", "AREA-1")  # a place of no line: it may be the point's parent
    assert not await missed(db, "", "FUR-02", ["CMP-01.PT-1.HI"])
    assert not await missed(db, "", "CMP-01")


async def test_the_worst_of_a_large_roll_out_is_shown_though_it_comes_last(
    db: Connection,
) -> None:
    assert await missed(db, "LINE-A", "FUR-01")
    old = Setting(1.0)
    quiet = [Point("f1", "e1", f"A{i:03}.HI") for i in range(MOST + 5)]
    changes = tuple(Change(each, "LINE", old, old) for each in [*quiet, POINT])
    plan = Plan(
        id="r", state="canary_line", policy_name="", policy=Policy(), changes=changes,
        proposals=(), created_at=T, created_by="li", expires_at=T + DAY,
    )  # fmt: skip
    row = RolloutRow(
        directive="d", plan="r", stage="canary_line", kind="settings", proposals=(), site="f1",
        edge="e1", counter=1, status="applied", changes={e.point.alarm: old for e in changes},
        payload=b"", signature=b"", expires_at=T + DAY, at=T,
    )  # fmt: skip
    health = RolloutHealth()
    figures, more = await gate_of(health, db, plan, [row], None, T + 120_000)
    assert (len(figures), more) == (MOST, 6)
    assert [(each.alarm, each.verdict) for each in figures[:1]] == [(HI, "missed")]
    assert (figures[0].missed, figures[0].faults) == (["fault-1"], 1)
    spans = [(POINT, T, T + 120_000), (quiet[0], T, T + 60_000)]
    assert await health.watched_many(db, spans) == [await health.watched(db, *e) for e in spans]
    assert await health.shadowed_many(db, spans) == [await health.shadowed(db, *e) for e in spans]


async def test_and_against_the_whole_site_where_nobody_knows_better(
    db: Connection,
) -> None:
    assert await missed(db, "", "")
    assert await missed(db, "LINE-X", "somewhere")  # no alarm point stands there
    await db.execute("DELETE FROM alarm_point WHERE alarm = $1", HI)
    assert await missed(db, "LINE-B", "CMP-01")  # nor is it known where the point itself stands


async def test_a_fault_that_names_its_alarms_counts_against_those(db: Connection) -> None:
    assert await missed(db, "LINE-B", "CMP-01", [HI])
    assert not await missed(db, "LINE-A", "FUR-01", ["CMP-01.PT-1.HI"])


DAY = 86_400_000
BEFORE = T + 5_000
"""What was over before this is forgotten."""
OLD, NEW = T, T + 10_000


async def fill(pool: Pool) -> None:
    for name, at in (("old", OLD - 20 * DAY), ("new", NEW)):
        day, ten = at // DAY, at // 600_000
        await pool.execute("INSERT INTO stat_day VALUES ($1, $2, 1, 1, 1, 1, 1, 1, 1, 1, 1)",
                           name, day)  # fmt: skip
        await pool.execute("INSERT INTO stat_alarm VALUES ($1, $2, 'A', 1, 1, 1)", name, day)
        await pool.execute("INSERT INTO stat_ten VALUES ($1, $2, 1)", name, ten)
    for name, raised, returned in (
        ("over", OLD - 2, OLD), ("stands", OLD - 2, 0), ("long", OLD - 2, NEW), ("late", NEW, NEW),
    ):  # fmt: skip
        await pool.execute(
            "INSERT INTO group_occurrence VALUES ('f1', $1, 'A', '', '', 1, 1, $2, $3, 0, true, "
            "true)",
            name, raised, returned,
        )  # fmt: skip
    for name, status, opened, closed in (
        ("over", "closed", OLD, OLD), ("joined", "merged", OLD, None), ("open", "open", OLD, None),
        ("lately", "closed", OLD, NEW), ("new", "closed", NEW, NEW),
    ):  # fmt: skip
        await pool.execute(
            "INSERT INTO group_incident (site, id, revision, status, merged_into, opened_at, "
            "closed_at, priority, asset, alarms, standing, unacked, flood, cause, outcome, owner, "
            "received_at, body) VALUES ('f1', $1, 1, $2, '', $3, $4, 1, '', 1, 0, 0, false, '', "
            "'', '', $3, '{}')",
            name, status, opened, closed,
        )  # fmt: skip
    for name, ended, received in (
        ("over", OLD, OLD), ("new", NEW, NEW), ("long ago, unsaid", 0, OLD), ("unsaid", 0, NEW),
    ):  # fmt: skip
        await pool.execute(
            "INSERT INTO playbook_outcome (site, run, playbook, status, received_at, version, "
            "release, variant, alarm, occurrence, started_at, ended_at, drill, body) VALUES "
            "('f1', $1, 'b', 'success', $3, 1, '', '', '', '', 0, $2, false, '{}')",
            name, ended, received,
        )  # fmt: skip


async def test_what_was_over_long_ago_is_forgotten_and_nothing_else(pool: Pool) -> None:
    await fill(pool)

    async def left(table: str, column: str) -> list[str]:
        rows = await pool.fetch(f"SELECT {column} AS name FROM {table} ORDER BY 1")
        return [row["name"] for row in rows]

    async def all_left() -> dict[str, list[str]]:
        return {
            "days": await left("stat_day", "site"), "alarms": await left("stat_alarm", "site"),
            "tens": await left("stat_ten", "site"),
            "occurrences": await left("group_occurrence", "occurrence"),
            "incidents": await left("group_incident", "id"),
            "runs": await left("playbook_outcome", "run"),
        }  # fmt: skip

    kept = {
        "days": ["new"], "alarms": ["new"], "tens": ["new"],
        "occurrences": ["late", "long", "stands"], "incidents": ["lately", "new", "open"],
        "runs": ["new", "unsaid"],
    }  # fmt: skip
    store = RecordStore(pool)
    await store.prune_total(OLD - 30 * DAY)
    assert {name: len(rows) for name, rows in (await all_left()).items()} == {
        "days": 2, "alarms": 2, "tens": 2, "occurrences": 4, "incidents": 5, "runs": 4,
    }  # fmt: skip
    await store.prune_total(BEFORE)
    assert await all_left() == kept
    await store.prune_total(BEFORE)
    assert await all_left() == kept
