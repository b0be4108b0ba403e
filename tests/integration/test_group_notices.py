"""Drift notices and the ranking of nuisance live, on a real PostgreSQL: fed once, late things
handled, nothing lost or repeated by a restart, and nothing done but asking people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from group_cloud.adapters.learners import unpacked
from group_cloud.adapters.postgres.nomination_store import NominationStore
from group_cloud.domain.nomination import Spot, choose
from group_cloud.domain.scope import ALL
from shared.clock import ManualClock
from shared.messages.bodies import AlarmPoints, OutcomeRecord
from shared.web.dto_base import Text
from tests.support.notice_world import noticing_on
from tests.support.total_world import (
    DAY,
    Teller,
    Total,
    asking,
    episode,
    people,
    running_total,
    total_on,
)

pytest_plugins = ("tests.support.total_fixtures",)
MINUTE, HOUR = 60_000, 3_600_000
TODAY = 20_000
"""Days since 1970."""
STEADY = (5, 7, 6, 4, 6, 8, 5)


@pytest.fixture
async def total(total_url: str) -> AsyncIterator[Total]:
    async with running_total(total_url) as made:
        yield total_on(made.pool, ManualClock(TODAY * DAY + 3 * HOUR))


async def points(total: Total, site: str, *alarms: str, priority: int = 4) -> None:
    """Alarm points that may be tuned."""
    await Teller(total, site).say((1, AlarmPoints(
        site=site, version="v1", part=1, parts=1,
        points={a: ["e1", "FUR-01", "heat", "furnace", "temperature", priority] for a in alarms},
        names={a: {"zh": f"炉温 {a}", "en": f"furnace {a}"} for a in alarms},
        tuning={a: {"current": {}} for a in alarms},
    )))  # fmt: skip


async def raised(total: Total, site: str, alarm: str, days: dict[int, int]) -> None:
    """Alarms a day, as the ingest folds them."""
    for table, key in (("stat_alarm", alarm), ("stat_day", 4)):
        column = "alarm" if table == "stat_alarm" else "priority"
        rest = "annunciated, standing_ms" + (
            ", acked, ack_ms, acked_1m, acked_10m, returned" if table == "stat_day" else ""
        )
        zeros = ", ".join("0" for _ in rest.split(","))
        await total.pool.executemany(
            f"INSERT INTO {table} AS s (site, day, {column}, raised, {rest}) "
            f"VALUES ($1, $2, $3, $4, {zeros}) ON CONFLICT (site, day, {column}) "
            "DO UPDATE SET raised = s.raised + $4",
            [(site, day, key, count) for day, count in days.items()],
        )


async def plant(total: Total, site: str, now: int) -> None:
    """A is as ever; B tells five times as much in the last days."""
    await points(total, site, "A.HI", "B.HI")
    days = range(TODAY - 60, TODAY)
    await raised(total, site, "A.HI", {d: STEADY[d % 7] for d in days})
    await raised(total, site, "B.HI", {d: STEADY[d % 7] for d in days if d < TODAY - 6})
    await raised(total, site, "B.HI", {d: now for d in days if d >= TODAY - 6})


async def notices(total: Total, site: str) -> list[dict[str, Any]]:
    rows = await total.pool.fetch(
        "SELECT * FROM drift_notice WHERE site = $1 ORDER BY what, alarm", site
    )
    return [dict(row) for row in rows]


async def test_what_has_changed_is_noticed_once_whoever_looks_and_however_often(
    total: Total,
) -> None:
    await plant(total, "nd1", now=30)
    until = total.clock.now_ms()
    both = [noticing_on(total.pool, total.clock, lambda _: until) for _ in range(2)]
    await asyncio.gather(*(each.drift.watch() for each in both))
    found = await notices(total, "nd1")
    assert [(n["what"], n["alarm"], n["edge"], n["state"]) for n in found] == [
        ("alarms", "", "", "open"), ("alarms", "B.HI", "e1", "open"),
    ]  # fmt: skip
    told = found[1]
    assert (told["before"], told["now"]) == (6.0, 30.0)
    assert TODAY - 6 <= told["day"] < TODAY
    assert told["trend"][-1] == [told["day"], 30.0]
    # Another process, more such days: it has been said.
    total.clock.advance(5 * DAY)  # type: ignore[attr-defined]
    await raised(total, "nd1", "A.HI", {d: STEADY[d % 7] for d in range(TODAY, TODAY + 5)})
    await raised(total, "nd1", "B.HI", {d: 30 for d in range(TODAY, TODAY + 5)})
    again = noticing_on(total.pool, total.clock, lambda _: total.clock.now_ms())
    assert await again.drift.watch() == 0
    assert await notices(total, "nd1") == found
    rows = await total.pool.fetch("SELECT feed, day FROM drift_watch WHERE site = 'nd1'")
    assert dict(map(tuple, rows)) == {"rates": TODAY + 4, "labels": TODAY + 1}


async def test_a_day_waits_for_what_a_factory_or_its_edge_still_holds(total: Total) -> None:
    """And it is fed with what came late; but a factory that stays away is not waited for."""
    await plant(total, "nd2", now=6)
    told = {"nd2": TODAY * DAY - 4 * DAY}
    noticing = noticing_on(total.pool, total.clock, told.get)

    async def fed() -> int:
        await noticing.drift.watch()
        found = await total.pool.fetchval(
            "SELECT day FROM drift_watch WHERE site = 'nd2' AND feed = 'rates'"
        )
        return int(found)

    assert await fed() == TODAY - 6, "the last whole day with its two hours of grace"
    told["nd2"] = total.clock.now_ms()
    await total.pool.execute(
        "INSERT INTO fleet_report (site, at, received_at, body) VALUES ('nd2', $1, $1, $2)",
        told["nd2"], {"edges": [{"edge": "e1", "online": True, "oldest_buffered_ms": 3 * DAY}]},
    )  # fmt: skip
    assert await fed() == TODAY - 4
    await raised(total, "nd2", "A.HI", {TODAY - 2: 99})
    await total.pool.execute("DELETE FROM fleet_report WHERE site = 'nd2'")
    assert await fed() == TODAY - 1
    data = await total.pool.fetchval(
        "SELECT data FROM drift_watch WHERE site = 'nd2' AND feed = 'rates'"
    )
    [days] = [s[5] for s in unpacked(data)["streams"] if s[0] == "alarms/A.HI"]
    assert [TODAY - 2, 99 + STEADY[(TODAY - 2) % 7]] in [day[:2] for day in days]
    total.clock.advance(20 * DAY)  # type: ignore[attr-defined]
    assert await fed() == TODAY + 12, "after a week away"


async def _taken_by_part(total: Total, post: Any) -> tuple[int, Any]:
    """One takes a notice of the one tenant where that is allowed, and looks at all of them."""
    await plant(total, "nd4", now=30)
    until = total.clock.now_ms()
    await noticing_on(total.pool, total.clock, lambda _: until).drift.watch()
    assert await total.tenants.add("nd-mine", Text(zh="租户", en="tenant"), "t") is None
    assert await total.tenants.give("nd4", "nd-mine", "t") is None
    found = next(n["id"] for n in await notices(total, "nd4"))
    answer: tuple[int, Any] = await post("nd-part", f"/notices/{found}/take")
    return answer


async def test_people_take_and_close_notices_each_within_their_own(total: Total) -> None:
    await plant(total, "nd3", now=30)
    until = total.clock.now_ms()
    await noticing_on(total.pool, total.clock, lambda _: until).drift.watch()
    tokens = await people(
        total,
        {
            "nd-lead": [("shift-lead", "")],
            "nd-other": [("engineer", "none")],
            "nd-part": [("viewer", ""), ("engineer", "nd-mine")],
        },
    )
    key = iter(f"nd-key-{n:04}" for n in range(99))

    async def post(who: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with asking(total, tokens[who]) as client:
            headers = {"Idempotency-Key": next(key)}
            answer = await client.post(f"/api{path}", json=body, headers=headers)
            return answer.status_code, answer.json()

    async with asking(total, tokens["nd-lead"]) as client:
        shown = (await client.get("/api/notices?site=nd3")).json()["notices"]
    mine = next(n for n in shown if n["alarm"] == "B.HI")
    assert mine["name"]["zh"] == "炉温 B.HI"
    path = f"/notices/{mine['id']}"
    assert (await post("nd-other", f"{path}/take"))[0] == 404
    status, seen = await _taken_by_part(total, post)
    assert status == 200
    assert mine["id"] in {n["id"] for n in seen["notices"]}, "it may look further than act"
    assert (await post("nd-lead", f"{path}/take"))[0] == 200
    assert (await post("nd-lead", f"{path}/close", {"reason": ""}))[0] == 422
    status, left = await post("nd-lead", f"{path}/close", {"reason": "新模具 / new mould"})
    assert (status, mine["id"] in {n["id"] for n in left["notices"]}) == (200, False)
    status, refused = await post("nd-lead", f"{path}/take")
    assert (status, refused["code"]) == (409, "notice_closed")
    row = next(n for n in await notices(total, "nd3") if n["id"] == mine["id"])
    assert (row["taken_by"], row["closed_by"], row["reason"]) == (
        "nd-lead", "nd-lead", "新模具 / new mould",
    )  # fmt: skip
    acts = await total.pool.fetch(
        "SELECT action FROM audit WHERE target = $1 ORDER BY id", mine["id"]
    )
    assert [row["action"] for row in acts] == [
        "drift_notice", "drift_notice_taken", "drift_notice_closed",
    ]  # fmt: skip


def judged(site: str, name: str, alarm: str, at: int, label: str, **more: Any) -> OutcomeRecord:
    return OutcomeRecord(
        site=site, edge="e1", alarm=alarm, occurrence=name, tag_class="temperature", side="HI",
        raised_at=at, returned_at=at + MINUTE, acked_after_s=9.0, label=label, **more,
    )  # fmt: skip


async def rattle(total: Total, site: str, drills: int = 3) -> None:
    """A rattles and is dismissed; B comes seldom, with C, and is true; drills are drills."""
    await points(total, site, "A.HI", "B.HI", "C.HI")
    teller, start = Teller(total, site), TODAY * DAY - 3 * DAY
    said: list[tuple[int, Any]] = []
    for n in range(60):
        at = start + n * 50 * MINUTE
        true = n % 3 == 2
        for alarm in ("B.HI", "C.HI") if true else ("A.HI",):
            said += episode(f"{site}-{n}{alarm}", at, alarm=alarm, standing_s=900 if true else 20)
            if n >= 60 - 3 * drills and true:
                label, more = "drill", {}
            elif true:
                label, more = "true", {"cause": "wear"}
            else:
                # Every fourth was put on the shelf as nuisance and not labelled.
                label, more = ("", {"dismissed": True}) if n % 4 == 0 else ("nuisance", {})
            name = f"{site}-{n}{alarm}"
            said.append((at + HOUR, judged(site, name, alarm, at, label, **more)))
    await teller.say(*said)


async def test_verdicts_rank_points_and_what_people_take_back_is_unlearnt(total: Total) -> None:
    await rattle(total, "nn1")
    noticing = noticing_on(total.pool, total.clock)
    assert await noticing.rounds.round("nn1")
    assert not await noticing.rounds.round("nn1"), "learnt once"
    assert not await noticing_on(total.pool, total.clock).rounds.round("nn1")
    labels = await total.pool.fetch("SELECT * FROM nuisance_label WHERE site = 'nn1'")
    assert len(labels) == 40 + 2 * 17
    assert sum(row["nuisance"] for row in labels) == 40
    shown = (await noticing.parts.nuisance.shown(ALL, "nn1")).model_dump()
    [model] = shown["models"]
    assert (model["labels"], model["nuisance"]) == (74, 40)
    assert model["auc_logistic"] > 0.8
    assert model["auc_bayes"] > 0.8
    assert model["brier"] < model["brier_base"]
    assert [p["alarm"] for p in shown["points"]] == ["A.HI", "C.HI", "B.HI"] or [
        p["alarm"] for p in shown["points"]
    ] == ["A.HI", "B.HI", "C.HI"]
    worst = shown["points"][0]
    assert (worst["labels"], worst["nuisance"], worst["raised"]) == (40, 40, 40)
    assert worst["low"] > 0.8 > 0.4 > shown["points"][1]["high"]
    assert worst["probability"] < 1.0, "nobody knows for certain"
    # The nominator counts it in shadow, though others come up as often.
    grounds = await NominationStore(total.pool).grounds("nn1", total.clock.now_ms(), 7)
    [first] = choose(grounds, 1)["e1"]
    assert (first.spot, first.reason) == (Spot("e1", "A.HI"), "nuisance")
    # On second thoughts a third of it was true.
    total.clock.advance(10 * MINUTE)  # type: ignore[attr-defined]
    changed = await total.pool.fetch(
        "SELECT occurrence, raised_at FROM nuisance_label WHERE site = 'nn1' AND nuisance "
        "ORDER BY place LIMIT 14"
    )
    await Teller(total, "nn1").say(*(
        (TODAY * DAY, judged("nn1", row["occurrence"], "A.HI", row["raised_at"], "true"))
        for row in changed
    ))  # fmt: skip
    assert await noticing.rounds.round("nn1")
    told = await total.pool.fetch("SELECT nuisance FROM nuisance_label WHERE site = 'nn1'")
    assert (len(told), sum(row["nuisance"] for row in told)) == (74, 26)
    status = await total.pool.fetchval("SELECT status FROM shelving_proposal WHERE site = 'nn1'")
    assert status == "withdrawn", "what it rested on no longer holds"


async def test_shelving_is_proposed_to_people_and_acts_by_a_message_alone(total: Total) -> None:
    await rattle(total, "nn2")
    noticing = noticing_on(total.pool, total.clock)
    await noticing.rounds.round("nn2")
    tokens = await people(total, {"nn-engineer": [("engineer", "")]})
    async with asking(total, tokens["nn-engineer"]) as client:
        [asked] = (await client.get("/api/shelving-proposals?site=nn2")).json()["proposals"]
        assert (asked["alarm"], asked["kind"], asked["hours"]) == ("A.HI", "shelve", 8)
        assert (asked["labels"], asked["nuisance"], asked["status"]) == (40, 40, "open")
        body = {"decision": "approve", "reason": "阀门检修中 / valve under repair"}
        path = f"/api/shelving-proposals/{asked['id']}/decision"
    assert await total.pool.fetchval("SELECT count(*) FROM desk_message WHERE site = 'nn2'") == 0
    async with asking(total, tokens["nn-engineer"]) as client:
        answers = [
            await client.post(path, json=body, headers={"Idempotency-Key": f"nn-key-000{n}"})
            for n in (2, 3)
        ]
    assert [a.status_code for a in answers] == [200, 409]
    sent = await total.pool.fetch("SELECT * FROM desk_message WHERE site = 'nn2'")
    assert len(sent) == 1
    assert "搁置 8 小时" in sent[0]["text"]
    assert "40 of 40 verdicts" in sent[0]["text"]
    assert "valve under repair" in sent[0]["text"]
    row = await total.pool.fetchrow("SELECT * FROM shelving_proposal WHERE site = 'nn2'")
    assert row is not None
    assert (row["status"], row["decided_by"], row["message"]) == (
        "approved", "nn-engineer", sent[0]["id"],
    )  # fmt: skip
    # Decided is decided, also when it is ranked anew; nothing was ordered of the factory.
    total.clock.advance(2 * HOUR)  # type: ignore[attr-defined]
    await noticing.rounds.round("nn2")
    count = "SELECT count(*) FROM shelving_proposal WHERE site = 'nn2'"
    assert await total.pool.fetchval(count) == 1
    assert await total.pool.fetchval("SELECT count(*) FROM rollout WHERE site = 'nn2'") == 0
