"""The total set: exactly once, late too, figures that are the fold of what was told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from group_cloud.domain.scope import ALL, Scope
from shared.messages.bodies import AlarmPoints, IncidentRecord, OutcomeRecord, PlaybookOutcome
from tests.support.total_world import (
    DAY,
    Teller,
    Total,
    episode,
    running_total,
    transition,
)

pytest_plugins = ("tests.support.total_fixtures",)


@pytest.fixture
async def total(total_url: str) -> AsyncIterator[Total]:
    async with running_total(total_url) as made:
        yield made


def today(total: Total) -> int:
    return total.clock.now_ms() // DAY * DAY


async def figures(total: Total, site: str) -> list[tuple[Any, ...]]:
    rows = []
    for table in ("stat_day", "stat_alarm", "stat_ten"):
        rows += await total.pool.fetch(f"SELECT * FROM {table} WHERE site = $1", site)
    # What has come to nothing counts as not there.
    return sorted(
        tuple(map(str, row)) for row in rows
        if any(v for k, v in row.items() if k not in ("site", "day", "alarm", "priority", "ten"))
    )  # fmt: skip


async def test_the_same_figures_whatever_the_order_and_however_often(total: Total) -> None:
    noon = today(total) - DAY // 2
    told = [
        each
        for n in range(12)
        for each in episode(
            f"o{n}", noon + n * 20_000, acked_s=10 + n, standing_s=100 * n + 50,
            alarm=f"A{n % 3}.HI", priority=1 + n % 3,
        )
    ]  # fmt: skip
    # It escalates while it stands, and comes back once: a second return replaces the first.
    told.append(transition("o1", 3, "re_alarmed", raised_at=noon + 20_000, priority=1))
    told.append(
        transition("o1", 4, "returned", raised_at=noon + 20_000, priority=1,
                   returned_at=noon + 900_000)
    )  # fmt: skip
    await Teller(total, "once").say(*told)
    expected = [row[1:] for row in await figures(total, "once")]
    assert len(expected) > 6
    random.Random(7).shuffle(told)
    late = Teller(total, "late")
    for start in range(0, len(told), 5):
        await late.say(*told[start : start + 5])
    again = Teller(total, "late")  # another start of the brain, which tells all of it again
    await again.say(*told)
    assert [row[1:] for row in await figures(total, "late")] == expected


async def test_a_frame_sent_again_counts_nothing(total: Total) -> None:
    teller = Teller(total, "resend")
    frame = teller.frame(*episode("o", today(total) - DAY))
    for _ in range(3):
        await total.ingest.receive(frame)
    assert await total.pool.fetchval("SELECT raised FROM stat_day WHERE site = 'resend'") == 1
    assert await total.pool.fetchval("SELECT count(*) FROM group_event WHERE site = 'resend'") == 3


async def test_two_lanes_at_once_count_each_episode_once(total: Total) -> None:
    told = [each for n in range(40) for each in episode(f"o{n}", today(total) - DAY + n)]
    tellers = [Teller(total, "race") for _ in range(4)]
    await asyncio.gather(*(teller.say(*told) for teller in tellers))
    assert await total.pool.fetchval("SELECT raised FROM stat_day WHERE site = 'race'") == 40
    assert await total.pool.fetchval("SELECT annunciated FROM stat_ten WHERE site = 'race'") == 40


async def test_a_late_return_corrects_the_day_of_its_raise(total: Total) -> None:
    raised = today(total) - 5 * DAY
    teller = Teller(total, "return")
    begun, acked, back = episode("o", raised, standing_s=3 * 86_400)
    await teller.say(begun)
    shown = (await total.view.statistics(ALL, None, None)).factories
    [mine] = [each for each in shown if each.site == "return"]
    assert (mine.standing, mine.stale) == (1, 1)
    await teller.say(back, acked)
    row = await total.pool.fetchrow("SELECT * FROM stat_day WHERE site = 'return'")
    assert row is not None
    assert row["day"] == raised // DAY
    assert (row["returned"], row["standing_ms"]) == (1, 3 * DAY)
    assert (row["acked"], row["ack_ms"], row["acked_1m"]) == (1, 30_000, 1)


async def test_what_a_wrong_clock_stamped_is_kept_and_in_no_figure(total: Total) -> None:
    now = today(total)
    teller = Teller(total, "clock")
    await teller.say(*episode("ahead", now + 40 * DAY), *episode("old", now - 500 * DAY))
    await teller.say(*episode("good", now - DAY))
    assert await total.pool.fetchval("SELECT sum(raised) FROM stat_day WHERE site = 'clock'") == 1
    assert await total.pool.fetchval("SELECT uncounted FROM factory WHERE site = 'clock'") == 2
    assert await total.pool.fetchval("SELECT count(*) FROM group_event WHERE site = 'clock'") == 9


def incident(revision: int, status: str, **more: Any) -> IncidentRecord:
    return IncidentRecord(
        site=more.pop("site", "inc"), id="i1", revision=revision, status=status, opened_at=5,
        priority=1, asset="FUR-01", alarms_total=3, **more,
    )  # fmt: skip


async def test_the_newest_revision_of_an_incident_holds(total: Total) -> None:
    teller = Teller(total, "inc")
    await teller.say((9, incident(9, "closed", cause="sensor", outcome="nuisance")))
    await teller.say((3, incident(3, "open")), (4, incident(7, "acknowledged")))
    await Teller(total, "thief").say((10, incident(99, "open", site="inc")))
    row = await total.pool.fetchrow("SELECT * FROM group_incident WHERE site = 'inc'")
    assert row is not None
    assert (row["revision"], row["status"], row["cause"]) == (9, "closed", "sensor")
    assert await total.pool.fetchval("SELECT count(*) FROM group_incident WHERE id = 'i1'") == 1


def outcome(label: str, cause: str = "") -> OutcomeRecord:
    return OutcomeRecord(
        site="lab", edge="e1", alarm="A.HI", occurrence="o1", tag_class="t", side="HI",
        raised_at=1, returned_at=2, acked_after_s=None, label=label, cause=cause,
    )  # fmt: skip


async def test_a_label_said_earlier_changes_nothing_that_was_said_later(total: Total) -> None:
    await Teller(total, "lab").say((200, outcome("true", "wear")))
    await Teller(total, "lab").say((100, outcome("nuisance")))
    row = await total.pool.fetchrow("SELECT label, cause FROM outcome WHERE site = 'lab'")
    assert row is not None
    assert tuple(row) == ("true", "wear")
    await Teller(total, "lab").say((300, outcome("nuisance")))
    assert await total.pool.fetchval("SELECT label FROM outcome WHERE site = 'lab'") == "nuisance"


async def test_runs_with_outcome_and_time_to_resolve_by_variant(total: Total) -> None:
    teller, at = Teller(total, "runs"), today(total) - DAY
    await teller.say(*episode("o1", at, standing_s=120), *episode("o2", at, standing_s=60))

    def run(name: str, variant: str, occurrence: str, ok: bool, **more: Any) -> PlaybookOutcome:
        return PlaybookOutcome(
            run=name, playbook="cool", version=2, alarm="A.HI", occurrence=occurrence,
            status="success" if ok else "failed", success=ok, release="abc", variant=variant,
            context={"priority": 2}, started_at=at, ended_at=at + 9_000, duration_s=9.0, **more,
        )  # fmt: skip

    told = [run("r1", "a", "o1", True), run("r2", "b", "o2", False), run("r1", "a", "o1", True)]
    await teller.say(*((at, each) for each in told), (at, run("r3", "a", "o1", True, drill=True)))
    page, following = await total.view.runs(ALL, 2, None, {"site": "runs"})
    assert following is not None
    rest, end = await total.view.runs(ALL, 2, following, {"site": "runs"})
    assert (len(page), len(rest), end) == (2, 1, None)
    found = {each.run: each for each in page + rest}
    assert (found["r1"].resolve_s, found["r1"].context) == (120.0, {"priority": 2})
    items = (await total.view.playbooks(ALL, None, None)).items
    ranked = {e.variant: (e.runs, e.succeeded, e.resolve_s) for e in items if e.playbook == "cool"}
    assert ranked == {"a": (1, 1, 120.0), "b": (1, 0, 60.0)}


async def test_floods_bad_actors_and_likes_compared(total: Total) -> None:
    at = today(total) - DAY
    for site, many in (("kiln-a", 14), ("kiln-b", 2)):
        teller = Teller(total, site)
        points = {"A.HI": ["e1", "FUR", "melting", "crucible", "temperature", 2],
                  "B.HI": ["e1", "PMP", "cooling", "pump", "flow", 2]}  # fmt: skip
        await teller.say(
            (at, AlarmPoints(site=site, version="v1", part=1, parts=1, points=points)),
            *(each for n in range(many) for each in episode(f"o{n}", at + n * 1000)),
            *episode("b", at, alarm="B.HI"),
        )
    kilns = [
        f
        for f in (await total.view.statistics(ALL, None, None)).factories
        if f.site.startswith("kiln-")
    ]
    assert [(f.flood_hours, f.worst_ten_minutes) for f in kilns] == [(1, 15), (0, 3)]
    assert [(a.alarm, a.share) for a in kilns[0].bad_actors] == [("A.HI", 0.9333), ("B.HI", 0.0667)]
    compared = await total.view.compare(ALL, "asset_class", None, None)
    sites = {k.kind: {f.site: f.annunciated for f in k.factories} for k in compared.kinds}
    assert sites["crucible"] == {"kiln-a": 14, "kiln-b": 2}
    assert sites["pump"] == {"kiln-a": 1, "kiln-b": 1}


async def test_the_journal_goes_by_whole_days_and_pages_without_a_hole(total: Total) -> None:
    teller = Teller(total, "pages")
    for n in range(7):
        await teller.say(*episode(f"o{n}", today(total) - DAY + n))
    seen, after = [], None
    while True:
        page, after = await total.view.events(
            ALL, 4, after, {"site": "pages", "since": 0, "until": 1 << 62}
        )
        seen += [each.id for each in page]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 21
    kept = await total.pool.fetchval("SELECT count(*) FROM group_event")
    await total.records.prune(total.clock.now_ms() - 90 * DAY)
    assert await total.pool.fetchval("SELECT count(*) FROM group_event") == kept
    tables = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'group_event'::regclass"
    days = await total.pool.fetchval(tables)
    await total.records.prune(today(total) - DAY + 1)
    assert await total.pool.fetchval(tables) == days
    await total.records.prune(today(total))
    assert await total.pool.fetchval(tables) == days - 1


async def test_a_scope_sees_its_tenants_and_an_empty_one_nothing(total: Total) -> None:
    await Teller(total, "mine").say(*episode("o", today(total) - DAY))
    for tenant, scope in (("default", True), ("other", False)):
        found = await total.view.statistics(Scope(frozenset({tenant})), None, None)
        assert ("mine" in [each.site for each in found.factories]) is scope
    assert (await total.view.statistics(Scope(), None, None)).factories == []


async def test_a_question_without_a_scope_is_refused(total: Total) -> None:
    from group_cloud.adapters.postgres.scoped import Scoped
    from shared.errors import ContractError

    with pytest.raises(ContractError, match="without a scope"):
        await Scoped(total.pool).fetch(ALL, "SELECT * FROM incident")
    with pytest.raises(ContractError, match="without a scope"):
        await Scoped(total.pool).fetch(ALL, "SELECT {mine")
