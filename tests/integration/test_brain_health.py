"""Andon's own troubles as alarms of the list, readiness, and counters, on a running brain."""

from __future__ import annotations

from typing import Any

import httpx

from factory_brain.application.system_alarms import SystemAlarms
from factory_brain.bootstrap import Brain
from tests.support.brain_world import FakeEdge, log_in, transition, until

pytest_plugins = ("tests.support.brain_fixtures",)
DRIVER = "system.f1.e1.driver_failed"


async def row(web: httpx.AsyncClient, alarm: str) -> dict[str, Any] | None:
    rows = (await web.get("/api/alarms")).json()["rows"]
    return next((each for each in rows if each["alarm"] == alarm), None)


async def acknowledge(web: httpx.AsyncClient, shown: dict[str, Any], key: str) -> dict[str, Any]:
    item = {"alarm": shown["alarm"], "occurrence": shown["occurrence"], "version": shown["version"]}
    answer = await web.post(
        "/api/alarms/ack", json={"items": [item], "comment": "seen"},
        headers={"Idempotency-Key": key},
    )  # fmt: skip
    return answer.json()["results"][0]


async def test_a_condition_is_raised_sounds_is_acknowledged_returns_and_comes_again(
    brain: Brain, web: httpx.AsyncClient
) -> None:
    await log_in(web)
    await brain.system.set("f1.e1", "driver_failed", True, {"subject": "plc"})
    shown = await row(web, DRIVER)
    assert shown is not None
    assert (shown["state"], shown["edge"], shown["tag"], shown["system"], shown["priority"]) == (
        "unacknowledged", "e1", "system", True, 2,
    )  # fmt: skip
    assert shown["name"]["en"] == "f1.e1: data source failed (plc)"
    banner = (await web.get("/api/alarms")).json()["banner"]
    assert banner["horn"] is True
    assert any("数据源中断" in text["zh"] for text in banner["system"])
    detail = (await web.get(f"/api/alarms/{DRIVER}")).json()
    assert "driver" in detail["response"]["action"]["en"]

    assert (await acknowledge(web, shown, "health-0001"))["accepted"] is True
    again = await acknowledge(web, shown, "health-0002")
    assert again["code"] == "Bad_ConditionBranchAlreadyAcked"
    held = await row(web, DRIVER)
    assert held is not None
    assert (held["state"], held["acked_by"]) == ("acknowledged", "admin")
    assert (await web.get("/api/alarms")).json()["banner"]["horn"] is False
    audit = await brain.pool.fetchrow("SELECT * FROM audit WHERE action = 'acknowledge_system'")
    assert (audit["actor"], audit["target"]) == ("admin", f"{DRIVER}#1")

    await brain.system.set("f1.e1", "driver_failed", False, {})
    assert await row(web, DRIVER) is None
    await brain.system.set("f1.e1", "driver_failed", True, {})
    fresh = await row(web, DRIVER)
    assert fresh is not None
    assert (fresh["occurrence"], fresh["state"]) == (f"{DRIVER}#2", "unacknowledged")
    stale = await acknowledge(web, shown, "health-0003")
    assert stale["code"] == "not_seen"
    # It went, and nobody has said that it was seen: it stays until somebody does.
    await brain.system.set("f1.e1", "driver_failed", False, {})
    left = await row(web, DRIVER)
    assert left is not None
    assert left["state"] == "rtn_unacknowledged"
    assert (await acknowledge(web, left, "health-0004"))["accepted"] is True
    assert await row(web, DRIVER) is None
    # What can wait is shown and does not sound.
    await brain.system.set("f1.mes", "link_failed", True, {})
    assert await row(web, "system.f1.mes.link_failed") is not None
    assert (await web.get("/api/alarms")).json()["banner"]["horn"] is False
    # No figure of the plant has counted any of it.
    assert (await web.get("/api/kpi")).json()["performance"]["annunciations"] == 0


async def test_conditions_outlive_a_restart_and_show_without_a_database(
    brain: Brain, web: httpx.AsyncClient
) -> None:
    await log_in(web)
    await brain.system.set("f1.brain", "disk_full", True, {"free_gb": 1})
    live, store = brain.live, brain.system._store
    anew = SystemAlarms("f1", brain.clock, store, brain.system._audit, live)
    await anew.refresh()
    assert [c.code for c in anew.conditions] == ["disk_full"]
    await brain.pool.execute("ALTER TABLE system_condition RENAME TO gone")
    try:
        await brain.system.set("f1.brain", "database_unwritable", True, {})
        shown = await row(web, "system.f1.brain.database_unwritable")
        assert shown is not None
        assert shown["priority"] == 1
        assert (await acknowledge(web, shown, "health-0009"))["code"] == "not_stored"
        assert await row(web, "system.f1.brain.disk_full") is not None
        answer = await web.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"]["database"] == "not_writable"
        assert (await web.get("/healthz")).json() == {"ok": True}
    finally:
        await brain.pool.execute("ALTER TABLE gone RENAME TO system_condition")


async def test_readiness_and_counters_need_no_login_and_name_nobody(
    brain: Brain, edge: FakeEdge, web: httpx.AsyncClient
) -> None:
    async def ready() -> bool:
        return (await web.get("/readyz")).status_code == 200

    await until(ready)
    told = (await web.get("/readyz")).json()
    assert told["checks"] == dict.fromkeys(("database", "migrations", "bus", "consumers"), "ok")
    await edge.send(transition(1, active=True, acked=False, kind="raised"))

    async def counted() -> str | None:
        text = (await web.get("/metrics")).text
        return (
            text if 'andon_brain_ingest_events_total{site="f1",lane="live"} 1\n' in text else None
        )

    text = await until(counted)
    assert "admin" not in text
    assert 'andon_brain_commit_lag_seconds_bucket{site="f1",le="+Inf"} 1' in text
    assert 'andon_brain_edge_online{site="f1",edge="e1"} 1' in text
    assert 'andon_brain_consumer_behind{site="f1",consumer="links"}' in text
    assert "# TYPE andon_brain_db_connections gauge" in text
    for line in text.splitlines():
        assert line.startswith("#") or float(line.rpartition(" ")[2]) >= 0
    await brain.pool.execute("UPDATE alembic_version SET version_num = '0001'")
    answer = await web.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["migrations"].startswith("at_0001_not_")
