"""What the ranking and the notices hold on to: the newest verdicts, what was really heard, and
nothing that another factory breaks. On a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from group_cloud.adapters.learners import unpacked
from group_cloud.application.notices import desk as notice_desk
from group_cloud.application.nuisance import rounds as nuisance_rounds
from group_cloud.application.nuisance import shelving as shelving_desk
from group_cloud.application.nuisance import view as nuisance_view
from group_cloud.domain.scope import ALL
from shared.clock import ManualClock
from shared.messages.bodies import AlarmPoints, OutcomeRecord
from tests.support.notice_world import Noticing, noticing_on
from tests.support.total_world import DAY, Teller, Total, episode, running_total, total_on

pytest_plugins = ("tests.support.total_fixtures",)
MINUTE, HOUR = 60_000, 3_600_000
TODAY = 20_000
NOW = TODAY * DAY + 3 * HOUR
STEADY = (5, 7, 6, 4, 6, 8, 5)


@pytest.fixture
async def total(total_url: str) -> AsyncIterator[Total]:
    async with running_total(total_url) as made:
        yield total_on(made.pool, ManualClock(NOW))


async def points(
    total: Total, site: str, *alarms: str, priority: int = 4, version: str = "v1",
    tunable: bool = True, edges: str = "e1",
) -> None:  # fmt: skip
    await Teller(total, site).say((1, AlarmPoints(
        site=site, version=version, part=1, parts=1,
        points={
            a: [e, "FUR-01", "heat", "furnace", "temperature", priority]
            for a, e in zip(alarms, edges.split() * len(alarms), strict=False)
        },
        names={a: {"zh": f"炉温 {a}", "en": f"furnace {a}"} for a in alarms},
        tuning={a: {"current": {}} for a in alarms} if tunable else {},
    )))  # fmt: skip


async def judge(
    total: Total, site: str, alarm: str, label: str, begin: int, count: int, name: str = ""
) -> None:
    """So many alarms, one an hour, and a verdict on each."""
    said: list[tuple[int, Any]] = []
    for n in range(count):
        at, occurrence = begin + n * HOUR, f"{site}{name or alarm}{begin}-{n}"
        said += episode(occurrence, at, alarm=alarm, standing_s=20)
        said.append((at + MINUTE, OutcomeRecord(
            site=site, edge="e1", alarm=alarm, occurrence=occurrence, tag_class="temperature",
            side="HI", raised_at=at, returned_at=at + MINUTE, acked_after_s=9.0, label=label,
        )))  # fmt: skip
    await Teller(total, site).say(*said)


async def proposal(total: Total, site: str) -> dict[str, Any]:
    row = await total.pool.fetchrow(
        "SELECT * FROM shelving_proposal WHERE site = $1 ORDER BY created_at DESC", site
    )
    return dict(row) if row else {}


async def later(total: Total, noticing: Noticing, site: str, hours: int = 2) -> None:
    total.clock.advance(hours * HOUR)  # type: ignore[attr-defined]
    await noticing.rounds.round(site)


async def test_no_record_of_years_asks_to_shelve_what_was_true_lately(total: Total) -> None:
    """And what is asked already is brought up to date, or withdrawn."""
    site = "hs1"
    await points(total, site, "A.HI", "B.HI")
    for alarm in ("A.HI", "B.HI"):
        await judge(total, site, alarm, "nuisance", NOW - 90 * DAY, 80)
    await judge(total, site, "A.HI", "nuisance", NOW - 3 * DAY, 30)
    await judge(total, site, "B.HI", "nuisance", NOW - 3 * DAY, 30)
    await judge(total, site, "B.HI", "true", NOW - 20 * DAY, 1)
    noticing = noticing_on(total.pool, total.clock)
    await noticing.rounds.round(site)
    rows = await total.pool.fetch("SELECT * FROM shelving_proposal WHERE site = $1", site)
    assert [row["alarm"] for row in rows] == ["A.HI"], "B was true twenty days ago"
    [shown] = (await noticing.parts.shelving.listed(ALL, site)).proposals
    assert (shown.labels, shown.nuisance, shown.raised) == (50, 50, 30)
    # More verdicts, and it became more urgent: the open one says so.
    await judge(total, site, "A.HI", "nuisance", NOW - DAY, 12)
    await points(total, site, "A.HI", "B.HI", priority=1, version="v2")
    await later(total, noticing, site)
    [shown] = (await noticing.parts.shelving.listed(ALL, site)).proposals
    assert (shown.kind, shown.hours, shown.raised, shown.status) == ("review", 0, 42, "open")
    # One true verdict among hundreds.
    await judge(total, site, "A.HI", "true", NOW - HOUR, 1)
    await later(total, noticing, site)
    assert (await proposal(total, site))["status"] == "withdrawn"
    acts = await total.pool.fetch(
        "SELECT action FROM audit WHERE target = $1 ORDER BY id",
        (await proposal(total, site))["id"],
    )
    assert [a["action"] for a in acts] == [
        "shelving_proposed", "shelving_kind", "shelving_withdrawn",
    ]  # fmt: skip


async def test_a_decision_looks_again_and_tells_the_desk_of_the_last_true_alarm(
    total: Total,
) -> None:
    site = "hs2"
    await points(total, site, "A.HI")
    await judge(total, site, "A.HI", "true", NOW - 40 * DAY, 1)
    await judge(total, site, "A.HI", "nuisance", NOW - 3 * DAY, 30)
    noticing = noticing_on(total.pool, total.clock)
    await noticing.rounds.round(site)
    asked = (await proposal(total, site))["id"]
    decide = noticing.parts.shelving.decide

    async def approve() -> str:
        refused = await decide(asked, "approve", "阀门检修", "anna", ALL)
        return refused.code if refused else ""

    await points(total, site, "A.HI", version="v2", tunable=False)
    assert await approve() == "shelving_changed", "it was asked to shelve what may not be tuned"
    now = await proposal(total, site)
    assert (now["status"], now["kind"]) == ("open", "review")
    assert await total.pool.fetchval("SELECT count(*) FROM desk_message WHERE site = $1", site) == 0
    await points(total, site, "A.HI", version="v3")
    assert await approve() == "shelving_changed", "shown was a review"
    assert await approve() == ""
    text = await total.pool.fetchval("SELECT text FROM desk_message WHERE site = $1", site)
    assert "last true alarm: 2024-08-25 03:00 UTC" in text
    assert "最近一次真实报警:2024-08-25" in text
    assert "30 of 31 verdicts" in text


async def test_a_decision_on_what_turned_true_meanwhile_is_refused(total: Total) -> None:
    site = "hs3"
    await points(total, site, "A.HI")
    await judge(total, site, "A.HI", "nuisance", NOW - 3 * DAY, 30)
    noticing = noticing_on(total.pool, total.clock)
    await noticing.rounds.round(site)
    asked = (await proposal(total, site))["id"]
    await judge(total, site, "A.HI", "true", NOW - HOUR, 1)
    refused = await noticing.parts.shelving.decide(asked, "approve", "why not", "anna", ALL)
    assert refused is not None
    assert refused.code == "shelving_changed"
    assert (await proposal(total, site))["status"] == "withdrawn"


async def test_one_changed_verdict_relearns_the_newest_and_no_older_ones(
    total: Total, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nuisance_rounds, "HELD", 40)
    site = "hs4"
    await points(total, site, "A.HI")
    await judge(total, site, "A.HI", "nuisance", NOW - 9 * DAY, 100)
    noticing = noticing_on(total.pool, total.clock)
    await noticing.rounds.round(site)
    count = "SELECT count(*) FROM nuisance_label WHERE site = $1"
    assert await total.pool.fetchval(count, site) == 100
    first = await total.pool.fetchrow(
        "SELECT occurrence, raised_at FROM nuisance_label WHERE site = $1 ORDER BY place LIMIT 1",
        site,
    )  # fmt: skip
    assert first is not None
    await Teller(total, site).say((NOW, OutcomeRecord(
        site=site, edge="e1", alarm="A.HI", occurrence=first["occurrence"],
        tag_class="temperature", side="HI", raised_at=first["raised_at"],
        returned_at=first["raised_at"] + MINUTE, acked_after_s=9.0, label="true",
    )))  # fmt: skip
    await later(total, noticing, site)
    await later(total, noticing_on(total.pool, total.clock), site)
    rows = await total.pool.fetch(
        "SELECT occurrence, raised_at, nuisance FROM nuisance_label WHERE site = $1 ORDER BY place",
        site,
    )  # fmt: skip
    assert len(rows) == 40, "what is older stays unlearnt"
    assert rows[-1]["occurrence"] == first["occurrence"], "said last"
    old = [row["raised_at"] for row in rows[:-1]]
    assert old == sorted(old), "the oldest first"
    # What comes now is learnt on top.
    await judge(total, site, "A.HI", "nuisance", NOW - HOUR, 3)
    await later(total, noticing, site)
    assert await total.pool.fetchval(count, site) == 43


async def test_states_that_cannot_be_read_are_begun_anew_and_said(total: Total) -> None:
    site = "hs5"
    await points(total, site, "A.HI")
    await judge(total, site, "A.HI", "nuisance", NOW - 3 * DAY, 30)
    noticing = noticing_on(total.pool, total.clock, lambda _: total.clock.now_ms())
    await noticing.rounds.round(site)
    await noticing.drift.watch()
    await total.pool.execute(
        "UPDATE nuisance_model SET data = $2 WHERE site = $1", site, {"schema": "ranker/v9"}
    )
    await total.pool.execute(
        "UPDATE drift_watch SET data = $2 WHERE site = $1", site, {"schema": "x", "body": "%%"}
    )
    await later(total, noticing, site)
    total.clock.advance(2 * DAY)  # type: ignore[attr-defined]
    await noticing.drift.watch()
    rows = await total.pool.fetch(
        "SELECT action FROM audit WHERE target = $1 AND actor = 'group' ORDER BY id", site
    )
    assert [row["action"] for row in rows][:2] == ["nuisance_begun_anew", "drift_begun_anew"]
    schema = "SELECT data->>'schema' FROM nuisance_model WHERE site = $1"
    assert await total.pool.fetchval(schema, site) == "nuisance-ranker/v1"
    assert (
        await total.pool.fetchval("SELECT count(*) FROM nuisance_label WHERE site = $1", site) == 30
    )


async def test_two_processes_may_rank_at_once_and_lists_say_how_much_they_leave_out(
    total: Total, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = "hs6"
    await points(total, site, "A.HI", "B.HI", "C.HI")
    for alarm in ("A.HI", "B.HI", "C.HI"):
        await judge(total, site, alarm, "nuisance", NOW - 3 * DAY, 25)
    both = [noticing_on(total.pool, total.clock) for _ in range(3)]
    await asyncio.gather(*(each.rounds.round(site) for each in both))
    # Each once more ranks at once.
    total.clock.advance(2 * HOUR)  # type: ignore[attr-defined]
    await asyncio.gather(*(each.rounds.round(site) for each in both))
    for module, name in ((shelving_desk, "LISTED"), (nuisance_view, "POINTS")):
        monkeypatch.setattr(module, name, 2)
    proposals = await both[0].parts.shelving.listed(ALL, site)
    ranking = await both[0].parts.nuisance.shown(ALL, site)
    assert (len(proposals.proposals), proposals.more) == (2, 1)
    assert (len(ranking.points), ranking.more, ranking.models_more) == (2, 1, 0)
    for n in range(3):
        await total.pool.execute(
            "INSERT INTO drift_notice (id, site, what, alarm, edge, kind, day, before, now, trend, "
            "state, opened_at, taken_by, closed_by, reason) VALUES ($1, $2, 'alarms', $1, '', "
            "'alarm_rate', 1, 1, 2, '[]', 'open', 1, '', '', '')",
            f"{site}-n{n}", site,
        )  # fmt: skip
    monkeypatch.setattr(notice_desk, "LISTED", 1)
    notices = await both[0].parts.desk.listed(ALL, site)
    assert (len(notices.notices), notices.more) == (1, 2)


async def fed(total: Total, site: str, stream: str) -> dict[int, float]:
    data = await total.pool.fetchval(
        "SELECT data FROM drift_watch WHERE site = $1 AND feed = 'rates'", site
    )
    found = [s[5] for s in unpacked(data)["streams"] if s[0] == stream]
    return {day: value for day, value, _ in found[0]} if found else {}


async def steady(total: Total, site: str, *alarms: str, days: range) -> None:
    for alarm in alarms:
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
                [(site, day, key, STEADY[day % 7]) for day in days],
            )


async def open_notices(total: Total, site: str) -> int:
    return await total.pool.fetchval("SELECT count(*) FROM drift_notice WHERE site = $1", site)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_factory_that_was_away_is_a_gap_and_no_notice(
    total: Total, restarted: bool
) -> None:
    site = f"ha{int(restarted)}"
    await points(total, site, "A.HI")
    await steady(total, site, "A.HI", days=range(TODAY - 60, TODAY))
    heard = {site: NOW}
    await total.pool.execute(
        "INSERT INTO fleet_report (site, at, received_at, body) VALUES ($1, $2, $2, $3)",
        site, NOW, {"edges": []},
    )  # fmt: skip
    noticing = noticing_on(total.pool, total.clock, heard.get)
    await noticing.drift.watch()
    for _ in range(4):
        total.clock.advance(5 * DAY)  # type: ignore[attr-defined]
        if restarted:
            noticing = noticing_on(total.pool, total.clock)
        await noticing.drift.watch()
    days = await fed(total, site, "alarms/A.HI")
    assert max(days) == TODAY - 1, "nothing was fed for days that nobody told of"
    assert await open_notices(total, site) == 0
    # It is back: what comes from now on is fed again.
    back = TODAY + 13
    await steady(total, site, "A.HI", days=range(back, TODAY + 20))
    noticing = noticing_on(total.pool, total.clock, lambda _: total.clock.now_ms())
    await noticing.drift.watch()
    days = await fed(total, site, "alarms/A.HI")
    assert min(d for d in days if d >= TODAY) == back
    assert max(days) == TODAY + 19
    assert 0.0 not in days.values()
    assert await open_notices(total, site) == 0


async def test_an_edge_that_is_away_is_a_gap_in_its_own_points(total: Total) -> None:
    site = "ha2"
    await points(total, site, "A.HI", "B.HI", edges="e1 e2")
    await steady(total, site, "A.HI", "B.HI", days=range(TODAY - 60, TODAY))
    await steady(total, site, "A.HI", days=range(TODAY, TODAY + 30))
    noticing = noticing_on(total.pool, total.clock, lambda _: total.clock.now_ms())
    for _ in range(6):
        await total.pool.execute(
            "INSERT INTO fleet_report (site, at, received_at, body) VALUES ($1, $2, $2, $3) "
            "ON CONFLICT (site) DO UPDATE SET at = $2, body = $3",
            site, total.clock.now_ms(),
            {"edges": [{"edge": "e1", "online": True},
                       {"edge": "e2", "online": False, "last_seen": NOW}]},
        )  # fmt: skip
        await noticing.drift.watch()
        total.clock.advance(5 * DAY)  # type: ignore[attr-defined]
    assert max(await fed(total, site, "alarms/B.HI")) == TODAY - 1
    assert max(await fed(total, site, "alarms/")) == TODAY - 1
    assert max(await fed(total, site, "alarms/A.HI")) == TODAY + 24
    assert await open_notices(total, site) == 0


async def test_who_dismisses_has_judged_for_notices_as_for_the_ranking(total: Total) -> None:
    site = "hj1"
    await total.pool.executemany(
        "INSERT INTO outcome (site, occurrence, edge, alarm, label, raised_at, received_at, "
        "trained, said_at, cause, body) VALUES ($1, $2, 'e1', 'A', $3, $4, 1, true, 1, '', $5)",
        [
            (site, f"o{n}", ("", "true", "nuisance", "", "drill")[n % 5], TODAY * DAY + n,
             {"dismissed": True} if n % 5 == 0 else {})
            for n in range(100)
        ],
    )  # fmt: skip
    rows = noticing_on(total.pool, total.clock).drift._rows
    told = await rows.numbers(site, "labels", 0, range(TODAY, TODAY + 1), {})
    assert {each.what: each.value for each in told} == {"judged": 0.75, "dismissed": 0.6667}
