"""Early warning from recorded faults to a warning, over real PostgreSQL and NATS; attackers.

The plant is invented and simulated: what is shown is the way of the data, not how good it warns.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from factory_brain.application.desk import Books, Desk
from factory_brain.application.outcomes import Outcomes
from factory_brain.application.warning.ports import Norm
from factory_brain.domain.shadow import DAY_MS, HOUR_MS
from group_cloud.adapters.postgres.warning_store import WarningStore
from group_cloud.application.warning.desk import By
from group_cloud.application.warning.ports import Family, Proposed, Pushed, Window
from shared.alarm.warning_schema import WINDOW_MS, schema_hash
from shared.clock import HybridClock, ManualClock, SystemClock
from shared.errors import Rejected
from shared.messages.bodies import FaultRecord
from shared.messages.warning import MAX_BYTES, SignedWarning, WarningReport, WarningWindows
from shared.postgres.pool import connect_pool
from tests.support.cloud_world import Factory, Group, until
from tests.support.migrated import migrated_url as migrated_url
from tests.support.warning_world import (
    ASSET,
    JUDGED,
    MEAN,
    PLANT,
    SIGMA,
    SITE,
    Invented,
    LeaderLostError,
    Warns,
    model,
    push,
    signed,
)

pytest_plugins = ("tests.support.cloud_fixtures",)
ALARM = "early_warning.REHEAT"
TABLES = (
    "warning_norm, warning_sent, warning_settled, warning_judged, early_warning, plant_fault, "
    "sample_raw, sample_minute, sample_hour, rollup_dirty, occurrence, run"
)
LIMIT = MEAN + 6 * SIGMA
"""Where an engineer's threshold alarm would be."""


@pytest.fixture
async def pool(migrated_url: str) -> AsyncIterator[asyncpg.Pool]:
    made = await connect_pool(migrated_url, size=4)
    await made.execute(f"TRUNCATE {TABLES}")
    yield made
    await made.close()


async def send_up(brain: Warns, factory: Factory) -> list[Any]:
    """Everything that was said goes up as the brain's events do."""
    told = brain.up.taken()
    for body in told:
        await factory.say(body)
    await until(factory.all_committed)
    return told


async def models_in_force(brain: Warns) -> list[Any]:
    """What the factory runs, after it has read its bag once more."""
    await brain.models.read()
    return await brain.rows.models()


async def learning(web: httpx.AsyncClient) -> dict[str, Any]:
    answer = await web.get("/api/early-warnings")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def decide(web: httpx.AsyncClient, model: str, action: str) -> httpx.Response:
    return await web.post(
        f"/api/early-warnings/{model}/decision", json={"action": action, "reason": "looked at it"},
        headers={"Idempotency-Key": f"{action}-{model}"},
    )  # fmt: skip


async def what_is_refused_or_repeated_changes_no_window(
    factory: Factory, group: Group, windows: list[WarningWindows]
) -> None:
    """In any order, twice, foreign, spoilt or of an older revision: the table stays what it is."""
    rows = "SELECT at, site, label, fault, vector FROM warning_window ORDER BY plant, at, site"
    before = await group.db.fetch(rows)
    spoilt = array("f", [math.nan] * (len(windows[0].vectors) // 4)).tobytes()
    newer = [replace(each, revision=each.revision + 1_000) for each in reversed(windows)]
    await factory.say(
        replace(newer[0], vectors=spoilt), replace(newer[0], site="f2"), *newer, *windows,
        replace(newer[0], labels=[-1] * len(newer[0].times), faults=[""] * len(newer[0].times)),
    )  # fmt: skip
    await until(factory.all_committed)
    assert await group.db.fetch(rows) == before
    assert len(before) == sum(len(each.times) for each in windows)


async def two_people_approve(group: Group, web: httpx.AsyncClient, model: str) -> None:
    """The factory asks for two people: one alone sends nothing."""
    await group.db.execute(
        "INSERT INTO site_policy (site, four_eyes, version) VALUES ('f1', true, 1)"
    )
    answer = await decide(web, model, "approve")
    assert answer.json()["status"] == "first_approved"
    assert await group.db.fetchval("SELECT count(*) FROM warning_push") == 0
    assert group.cloud is not None
    desk = group.cloud.warnings.desk
    own = await desk.decide(model, "approve", By("Admin@works.example", "me again"))
    assert isinstance(own, Rejected)
    assert own.code == "own_approval"
    done = await desk.decide(model, "approve", By("zhao", "looked at it too"))
    assert not isinstance(done, Rejected)
    assert done.status == "approved"
    assert [each.status in ("signed", "sent") for each in done.where] == [True]


async def windows_go_up(brain: Warns, factory: Factory, plant: Invented) -> list[WarningWindows]:
    """Faults are recorded late, and the windows of judged days go up, once."""
    # Nobody has judged anything: nothing goes up, and not even a commissioning is made.
    assert await brain.sender.round() == 0
    assert brain.up.said == []
    names = [await brain.record(*each) for each in plant.faults]
    await brain.sender.round()
    told = await send_up(brain, factory)
    windows = [each for each in told if isinstance(each, WarningWindows)]
    labels = [label for each in windows for label in each.labels]
    assert len(windows) == len(plant.faults)
    assert labels.count(1) == 10 * len(names)
    assert labels.count(0) == 16 * len(names)
    assert {fault for each in windows for fault in each.faults} == {"", *names}
    assert await brain.sender.round() == 0
    assert sum(isinstance(each, FaultRecord) for each in told) == len(names)
    return windows


async def a_model_comes_down(
    brain: Warns, factory: Factory, group: Group, web: httpx.AsyncClient
) -> str:
    """Learnt, proposed with its figures, approved by two, signed, verified, applied, reported."""
    assert group.cloud is not None
    await group.cloud.warnings.trainer.round()
    [model] = (await learning(web))["models"]
    assert model["status"] == "proposed"
    assert model["figures"]["auc"] > 0.75
    assert model["figures"]["faults"] == JUDGED
    await two_people_approve(group, web, model["id"])
    await until(lambda: models_in_force(brain))
    [report] = [e for e in await send_up(brain, factory) if isinstance(e, WarningReport)]
    assert (report.status, report.code) == ("applied", "")
    [model] = (await learning(web))["models"]
    assert [(w["site"], w["status"]) for w in model["where"]] == [("f1", "applied")]
    return model["id"]


async def the_plant_drifts(brain: Warns, successor: Warns, begins: int) -> int | None:
    """A sigma an hour, for eight hours; returns when it was warned of first."""
    raised, clock = None, brain.clock
    for step in range(1, 17):
        clock.advance(begins + step * WINDOW_MS + 150_000 - clock.now_ms())
        # One was deposed before it could commit, then two brains believe that they lead.
        brain.up.deposed = True
        with pytest.raises(LeaderLostError):
            await brain.judging.round()
        brain.up.deposed = False
        await asyncio.gather(brain.judging.round(), successor.judging.round())
        if raised is None and await brain.pool.fetchval("SELECT count(*) FROM early_warning"):
            raised = clock.now_ms()
    return raised


async def people_judge_it(brain: Warns, row: Any, later: int) -> None:
    """By the same ways as any alarm; what they say labels its windows."""
    nothing: Any = None
    desk = Desk(
        brain.clock,
        HybridClock(brain.clock),
        {},
        Books(nothing, nothing, nothing, nothing),
        nothing,
    )
    outcomes = Outcomes({}, brain.clock, nothing, nothing, nothing, nothing)
    desk.warnings = outcomes.warnings = brain.alarms
    assert await desk.asset(row.alarm) == await desk.asset_of(row.occurrence) == "REHEAT"
    assert await desk.acknowledge(row.alarm, row.occurrence, row.version, "wang", "") is None
    again = await desk.acknowledge(row.alarm, row.occurrence, row.version, "li", "")
    assert again is not None
    assert again.code == "Bad_ConditionBranchAlreadyAcked"
    assert await outcomes.label(row.occurrence, "true", "", "", "wang") is None
    [shown] = await brain.early()
    assert (shown.acked_by, shown.outcome) == ("wang", "true")
    brain.clock.advance(later - brain.clock.now_ms())
    await brain.sender.round()
    judged = [e for e in brain.up.taken() if isinstance(e, WarningWindows)]
    assert row.occurrence in {fault for each in judged for fault in each.faults}


async def test_recorded_faults_become_one_warning_before_the_limit(
    group: Group, factory: Factory, group_web: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    today = SystemClock().now_ms() // DAY_MS
    begins = today * DAY_MS - 10 * HOUR_MS
    clock, plant = ManualClock(begins), Invented(today - 1)
    await plant.store(pool, clock, begins + 9 * HOUR_MS, begins)
    brain, successor, restarted = (
        Warns(pool, clock, group.public, factory.bus) for _ in range(3)
    )  # fmt: skip
    windows = await windows_go_up(brain, factory, plant)
    await what_is_refused_or_repeated_changes_no_window(factory, group, windows)
    model = await a_model_comes_down(brain, factory, group, group_web)
    crossed = await pool.fetchval(
        "SELECT min(s.at) FROM sample_raw s JOIN tag_name t ON t.no = s.tag_no "
        "WHERE t.tag = ANY($1) AND s.at > $2 AND s.value > $3",
        list(PLANT.tags), begins, LIMIT,
    )  # fmt: skip
    raised = await the_plant_drifts(brain, successor, begins)
    assert raised is not None
    assert raised < crossed, (raised - begins, crossed - begins)
    assert await pool.fetchval("SELECT count(*) FROM early_warning") == 1
    await restarted.judging.round()
    await restarted.alarms.refresh()
    [row] = await restarted.early()
    assert (row.alarm, row.priority, row.active, row.system) == (ALARM, 4, True, False)
    assert PLANT.tags[0] in row.name.en or PLANT.tags[1] in row.name.en
    assert row.value > row.limit
    banner = restarted.live.banner()
    assert (banner.early_warnings, banner.unacked, banner.horn) == (1, 0, False)
    assert restarted.live.occurrences == []  # no figure of the plant's alarms sees it
    await people_judge_it(restarted, row, begins + 12 * HOUR_MS)

    # A withdrawn model warns no more.
    assert (await decide(group_web, model, "withdraw")).status_code == 200

    async def withdrawn() -> bool:
        return not await models_in_force(restarted)

    await until(withdrawn)
    await restarted.judging.round()
    assert await pool.fetchval("SELECT count(*) FROM early_warning WHERE returned_at IS NULL") == 0
    assert (await restarted.view.shown()).plants[0].model is None


# attackers, and models that cannot be taken: no bus is needed

KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def brain(pool: asyncpg.Pool) -> Warns:
    nothing: Any = None
    return Warns(pool, ManualClock(SystemClock().now_ms()), KEY.public_key(), nothing)


async def test_what_is_not_the_groups_or_not_for_here_changes_nothing(brain: Warns) -> None:
    taken = signed(push(brain, counter=5), KEY)
    spoilt = [math.nan, *model()["weights"][1:]]
    others = [*PLANT.tags[:-1], "NO-SUCH-TAG"]
    elsewhere = {"plant": schema_hash(others), "tags": others}
    cases = [
        (SignedWarning(payload=taken.payload, signature=b""), "not_genuine"),
        (signed(push(brain, counter=6), Ed25519PrivateKey.generate()), "not_genuine"),
        (SignedWarning(payload=taken.payload + b"x", signature=taken.signature), "not_genuine"),
        (signed(push(brain, counter=6, site="f2"), KEY), "other_site"),
        (signed(push(brain, counter=6, schema="mail/v1"), KEY), "other_site"),
        (signed(push(brain, counter=6, reason="x" * MAX_BYTES), KEY), "not_genuine"),
        (signed(push(brain, counter=7, model=model(weights=spoilt)), KEY), "model_unfit"),
        (signed(push(brain, counter=8, **elsewhere), KEY), "unknown_plant"),
        (signed(push(brain, counter=9, expires_at=1), KEY), "expired"),
        (signed(push(brain, counter=10, expires_at=1 << 60), KEY), "expired"),
        (signed(push(brain, counter=11, model=model(mean=[0.0], sigma=[1.0], weights=[1.0])), KEY),
         "model_unfit"),
        (signed(push(brain, counter=4), KEY), "old_counter"),
        (signed(push(brain, id="another", counter=5), KEY), "old_counter"),
    ]  # fmt: skip
    assert (await brain.models.settle(taken)).status == "applied"  # type: ignore[union-attr]
    brain.up.taken()
    for body, code in cases:
        found = await brain.models.settle(body)
        assert found.code == code
        [report] = brain.up.taken()
        assert isinstance(report, WarningReport)
        assert (report.status, report.code) == ("refused", code)
        [running] = await brain.rows.models()
        assert running.push == "push-5"
    # A repetition changes nothing and is not told again; the number holds over a restart.
    again = Warns(brain.pool, brain.clock, KEY.public_key(), None)  # type: ignore[arg-type]
    assert (await again.models.settle(taken)).status == "applied"  # type: ignore[union-attr]
    assert again.up.taken() == []
    assert (await again.models.settle(cases[-2][0])).code == "old_counter"
    gone = push(brain, counter=20, kind="withdraw", model={})
    assert (await again.models.settle(signed(gone, KEY))).code == ""
    assert await again.rows.models() == []
    assert (await again.models.settle(taken)).status == "applied"  # type: ignore[union-attr]
    assert await again.rows.models() == []  # an old push brings nothing back


async def test_it_is_silent_where_it_cannot_know(brain: Warns, pool: asyncpg.Pool) -> None:
    await brain.models.settle(signed(push(brain), KEY))
    await brain.judging.round()
    [said] = await brain.rows.judged(PLANT.key, 0)
    assert said.silent == "tags_without_history"
    plain = Norm(PLANT.key, PLANT.tags, (MEAN,) * 6, (SIGMA,) * 6, (1, 2, 3, 4), 1)
    await brain.rows.keep_norm(plain)
    for seconds, silent in ((1800, "inputs"), (86_400, "expired")):
        brain.clock.advance(seconds * 1000)
        await brain.judging.round()
        assert (await brain.rows.judged(PLANT.key, 0))[-1].silent == silent
    assert await pool.fetchval("SELECT count(*) FROM early_warning") == 0


async def test_what_stands_counts_to_now_and_what_ran_before_a_window_is_found(
    brain: Warns, pool: asyncpg.Pool
) -> None:
    now = brain.clock.now_ms()
    since, reads, at = now - DAY_MS, brain.reads, {"asset": ASSET}
    for name, raised, returned, label in (
        ("drill", 3, None, "drill"), ("real", 30, 25, "true"), ("open", 9, 8, None),
        ("old", 40, 39, "true"),
    ):  # fmt: skip
        await pool.execute(
            "INSERT INTO occurrence (occurrence, alarm, edge, transition, order_key, raised_at, "
            "returned_at, received_at, late, open, label) "
            "VALUES ($1, $1, 'e', $2, '', $3, $4, $3, false, true, $5)",
            name, at, now - raised * HOUR_MS, returned and now - returned * HOUR_MS, label,
        )  # fmt: skip
    await pool.execute(
        "INSERT INTO run (id, digest, playbook, version, key, context, status, started_at, "
        "ended_at, deadline_at, lease_until, fence) "
        "VALUES ('r', '', 'p', 1, '', $1, 'ended', $2, $3, 0, 0, 0)",
        {"drill": True, "alarm": at}, now - 6 * HOUR_MS, now - 5 * HOUR_MS,
    )  # fmt: skip
    record = await reads.record(SITE.assets, PLANT.line, since, now)
    assert {s.id: s.end for s in record.said} == {"drill": now, "real": now - 25 * HOUR_MS}
    assert record.unjudged == ((now - 9 * HOUR_MS, now - 8 * HOUR_MS),)
    assert record.drills == ((now - 6 * HOUR_MS, now - 5 * HOUR_MS),)
    over = now - 3 * HOUR_MS  # two hours after it
    for begin, found in ((over - 1, 1), (over, 0), (over - 3 * HOUR_MS - WINDOW_MS, 0)):
        assert len(await reads.drills(SITE.assets, PLANT.line, begin, begin + WINDOW_MS)) == found


async def test_a_correction_that_comes_while_it_is_learnt_is_still_new(group: Group) -> None:
    store, day = WarningStore(group.db), 20_000 * DAY_MS
    family = Family("o", PLANT.key, PLANT.tags, ("f9",))

    async def come(at: int, label: int, revision: int, received: int) -> None:
        body = WarningWindows(
            site="f9", plant=PLANT.key, line=PLANT.line, tags=list(PLANT.tags), revision=revision,
            times=[at], labels=[label], faults=["x" * label], vectors=bytes(16 * len(PLANT.tags)),
        )  # fmt: skip
        async with store._pool.acquire() as tx, tx.transaction():
            assert await store.keep_windows(tx, body, received)

    async def learnt(read: list[Window], too_old: int | None) -> int | None:
        async with store._pool.acquire() as tx, tx.transaction():
            await store.mark_learnt(tx, family, read, too_old)
        return await store.first_new(family, day + DAY_MS)

    await come(day + WINDOW_MS, 0, 1, 5)
    await come(day + 3 * WINDOW_MS, 0, 1, 5)
    newest = (await store.windows(family, 0, day + DAY_MS, 10))[1:]
    assert await store.windows(family, 0, day + WINDOW_MS, 10) != []
    assert await store.first_new(family, day) is None  # what ends later waits
    # One that is older than all that were read came meanwhile; then the newest were enough.
    assert await learnt(newest, None) == day + WINDOW_MS
    assert await learnt(newest, 5) == day + WINDOW_MS
    assert await learnt(newest, 6) is None
    await come(day + WINDOW_MS, 1, 2, 7)
    assert await learnt(newest, 6) == day + WINDOW_MS
    await group.db.execute("TRUNCATE warning_window, warning_plant")


async def test_only_where_a_model_is_the_newest_it_is_withdrawn(group: Group) -> None:
    store = WarningStore(group.db)
    mine = Proposed("mine", "o", PLANT.key, PLANT.tags, "approved", {}, {}, 1)
    async with store._pool.acquire() as tx, tx.transaction():
        for counter, (site, model, status) in enumerate(
            (("a", "mine", "applied"), ("a", "other", "sent"), ("b", "other", "applied"),
             ("b", "mine", "refused"), ("c", "mine", "applied"), ("c", "other", "refused")), 1,
        ):  # fmt: skip
            await store.save_push(
                tx, Pushed(f"{site}{counter}", model, site, PLANT.key, counter, "model", status,
                           b"", b"", 1, 1),
            )  # fmt: skip
        found = await store.newest_pushes(tx, mine, ["a", "b", "c"])
        await tx.execute("DELETE FROM warning_push")
    assert found == {"a": "other", "b": "mine", "c": "mine"}
