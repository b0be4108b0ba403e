"""Check 24: nothing that the group, or whoever pretends to be it, sends gets past this factory."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_brain.application.playbooks.from_group.ports import Settled
from shared.clock import SystemClock
from shared.errors import Rejected
from shared.messages.playbook_push import MAX_BYTES, SignedPush, canonical
from shared.playbook.signing import genuine
from shared.postgres.pool import connect_pool
from tests.support.group_playbook_world import (
    SITE_KEY,
    FactoryShelf,
    back,
    demo,
    factory_shelf,
    push,
    raw,
    signed,
    standing,
    text,
    tuned,
)
from tests.support.servers import PostgresForTests


@pytest.fixture(scope="module")
def url(postgres: PostgresForTests, brain_template: str) -> Iterator[str]:
    name = f"t_{secrets.token_hex(4)}"
    yield asyncio.run(postgres.copy(brain_template, name))
    asyncio.run(asyncio.wait_for(postgres.drop(name, owner=False), 20))


@pytest.fixture
async def pool(url: str) -> AsyncIterator[asyncpg.Pool]:
    made = await connect_pool(url, size=3)
    yield made
    await made.close()


@pytest.fixture
async def place(pool: asyncpg.Pool) -> FactoryShelf:
    return await factory_shelf(pool)


async def test_check_24_group_push_waits_for_a_person_and_is_released_by_one(
    place: FactoryShelf,
) -> None:
    found = await place.settle(push())
    assert (found.status, place.live) == ("waiting", 1)
    assert [r.status for r in place.said] == ["waiting"]
    detail = await place.desk.detail("push-1")
    assert detail is not None
    assert "+version: 2" in detail.lines
    made = await place.approve(found.draft)
    assert made.status == "released"
    assert place.live == 2
    assert [(r.status, r.version, r.actor) for r in place.said[1:]] == [("applied", 2, "lin")]
    release = await place.ground.shelf.store.get("held", 2)
    assert release is not None
    assert release.signature is not None
    # What runs here is vouched for by this site's own key, as everything that it has reviewed.
    assert genuine(SITE_KEY.public_key(), release.signature, "f1", "held", 2, text(2))
    assert (release.author, release.reviewer) == ("group:zhao", "lin")


async def test_check_24_group_push_unsigned(place: FactoryShelf) -> None:
    bare = SignedPush(payload=canonical(push()), signature=b"")
    await place.refuses(bare, "release_signature_invalid")


async def test_check_24_group_push_signed_by_another_key(place: FactoryShelf) -> None:
    await place.refuses(signed(push(), Ed25519PrivateKey.generate()), "release_signature_invalid")
    # Not even the factory's own key stands for the group's.
    await place.refuses(signed(push(), SITE_KEY), "release_signature_invalid")


async def test_check_24_group_push_changed_after_signing(place: FactoryShelf) -> None:
    good = signed(push())
    bad = SignedPush(payload=good.payload.replace(b"done", b"gone"), signature=good.signature)
    assert bad.payload != good.payload
    await place.refuses(bad, "release_signature_invalid")


async def test_check_24_group_push_for_another_factory(place: FactoryShelf) -> None:
    await place.refuses(push(site="f2"), "other_target")


async def test_check_24_group_push_of_another_kind_of_message(place: FactoryShelf) -> None:
    await place.refuses(raw(schema="directive/v1"), "unknown_schema")
    await place.refuses(raw(kind="command"), "unreadable")


async def test_check_24_group_push_again_changes_nothing(place: FactoryShelf) -> None:
    found = await place.settle(push())
    await place.approve(found.draft)
    told = len(place.said)
    assert await place.settle(push(expires_at=found.expires_at)) is None
    assert (place.live, len(place.said)) == (2, told)


async def test_check_24_group_push_replayed_under_an_old_number(place: FactoryShelf) -> None:
    await place.settle(push(counter=5))
    await place.refuses(push(counter=4, id="older", version=3), "counter_replayed")
    await place.refuses(push(counter=0, id="zero", version=3), "counter_replayed")
    # The numbers outlive the process.
    again = await standing(place.pool)
    await again.refuses(push(counter=3, id="oldest", version=3), "counter_replayed")


async def test_check_24_group_push_reuses_a_number_or_a_name(place: FactoryShelf) -> None:
    await place.settle(push(counter=5))
    await place.refuses(push(counter=5, id="other", version=3), "counter_reused")
    await place.refuses(push(counter=6, id="push-5", version=3), "counter_reused")


async def test_check_24_group_push_downgrade(place: FactoryShelf) -> None:
    await place.release(text(7))
    params = await place.refuses(push(version=6), "version_not_higher")
    assert params == {"version": 6, "newest": 7}
    await place.refuses(push(version=7, counter=2), "version_not_higher")


async def test_check_24_group_push_expired(place: FactoryShelf) -> None:
    await place.refuses(push(expires_at=SystemClock().now_ms() - 1), "expired")


async def test_check_24_group_push_expires_while_it_waits(place: FactoryShelf) -> None:
    found = await place.settle(push(expires_at=SystemClock().now_ms() + 400))
    values = await place.settle(tuned(2, output=40))
    assert found.status == values.status == "waiting"
    async with asyncio.timeout(5):
        while SystemClock().now_ms() < found.expires_at:
            await asyncio.sleep(0.05)
    late = await place.approve(found.draft)
    assert isinstance(late, Rejected)
    assert (late.code, place.live) == ("expired", 1)
    await place.desk.settling.sweep()
    assert [(r.push, r.status, r.code) for r in place.said[2:]] == [
        ("push-1", "refused", "expired")
    ]
    draft = await place.ground.drafts.store.get(found.draft)
    assert draft is not None
    assert draft.status == "discarded"


async def test_check_24_group_push_says_another_name_than_its_text(place: FactoryShelf) -> None:
    await place.refuses(push(version=9, text=text(2)), "push_name_differs")
    await place.refuses(push(counter=2, playbook="other"), "push_name_differs")


@pytest.mark.parametrize(
    ("made", "code"),
    [
        pytest.param("not: [a playbook", "push_does_not_lint", id="broken"),
        pytest.param(text(2, more="  - {id: x, lgo: y}\n"), "push_does_not_lint", id="verb"),
        pytest.param(text(2, more="  - {id: x, wait: 2h}\n"), "push_does_not_lint", id="deadline"),
        pytest.param(text(2, device="reactor"), "push_outside_binding", id="device"),
        pytest.param(text(2, op="open_valve"), "push_outside_binding", id="operation"),
        pytest.param(
            text(2).replace('"${inputs.output}"', "5"), "push_outside_binding", id="below-limit"
        ),
        pytest.param(text(2, low=0), "push_outside_binding", id="tunable-below-limit"),
        pytest.param(text(2, high=400), "push_outside_binding", id="tunable-above-limit"),
        pytest.param(text(2, top="endpoints: {evil: {type: webhook}}\n"), "push_outside_binding",
                     id="endpoint"),
        pytest.param(text(2, top="interlocks: []\n"), "push_touches_plant", id="interlocks"),
        pytest.param(text(2, top="limits: {output_pct: 400}\n"), "push_touches_plant", id="limits"),
        pytest.param(
            text(2).replace("role: burner}", "role: burner, operations: {burn: {write: x}}}"),
            "push_touches_plant", id="operations",
        ),
    ],
)  # fmt: skip
async def test_check_24_group_push_that_does_not_fit_the_plant(
    place: FactoryShelf, made: str, code: str
) -> None:
    await place.refuses(push(text=made), code)


async def test_check_24_group_push_with_a_part_of_the_plants(place: FactoryShelf) -> None:
    """Signed by the group itself, and refused all the same."""
    for word in ("interlocks", "bindings", "operations", "limits", "secrets"):
        params = await place.refuses(raw(**{word: {"FUR-01/burner": []}}), "push_touches_plant")
        assert params == {"what": word}


OUTSIDE: list[tuple[dict[str, Any], str]] = [
    ({"output": 19.9}, "input_outside_bounds"),
    ({"output": 50.1}, "input_outside_bounds"),
    ({"output": float("nan")}, "input_outside_bounds"),
    ({"output": float("inf")}, "input_outside_bounds"),
    ({"output": 40, "within": "10m"}, "input_outside_bounds"),
    ({"output": "40"}, "input_unfit"),
    ({"output": True}, "input_unfit"),
    ({"fixed": 1}, "input_not_tunable"),
    ({"no-such": 1}, "unknown_input"),
    ({}, "empty"),
]


async def test_check_24_group_push_outside_tunable(place: FactoryShelf) -> None:
    accepting = await standing(place.pool, "accept")
    for number, (inputs, code) in enumerate(OUTSIDE, 1):
        await place.refuses(tuned(2 * number, **inputs), code)
        await accepting.refuses(tuned(2 * number + 1, **inputs), code)


async def test_check_24_group_push_of_inputs_of_what_is_not_here(place: FactoryShelf) -> None:
    other = push(kind="inputs", playbook="other", version=0, text="", inputs={"output": 40})
    await place.refuses(other, "unknown_playbook")


async def test_check_24_group_push_where_the_site_wants_none(pool: asyncpg.Pool) -> None:
    place = await factory_shelf(pool, "refuse")
    await place.refuses(push(), "playbooks_from_group_refused")
    await place.refuses(tuned(2, output=40), "playbooks_from_group_refused")


async def test_check_24_group_push_accepted_at_once_does_no_more_than_what_runs(
    pool: asyncpg.Pool,
) -> None:
    place = await factory_shelf(pool, "accept")
    same = await place.settle(push())
    assert (same.status, place.live) == ("applied", 2)
    # However small: what it does is read by a person, for a call or a trigger is small as well.
    log = push(counter=2, version=3, text=text(3, more="  - {id: said, log: better}\n"))
    assert ((await place.settle(log)).status, place.live) == ("waiting", 2)
    proven = "expires: 30s, require: [\"tag('zone.temp').good\"], verify: {until: \"tag('fan."
    on, off = (
        f"{proven}running').good && {n}tag('fan.running').value\", within: 9s}}" for n in "! "
    )
    fan = (
        f"  - {{id: vent, command: {{device: fan, op: start, {off}}}, compensate: "
        f"{{command: {{device: fan, op: stop, {on}}}}}}}\n"
    )
    more = text(4, more=fan).replace("triggers:", "  fan: {type: fan.exhaust, bind: alarm.asset, "
                                     "role: exhaust}\ntriggers:", 1)  # fmt: skip
    wider = await place.settle(push(counter=3, version=4, text=more))
    assert (wider.status, place.live) == ("waiting", 2), wider
    bounds = await place.settle(push(counter=4, version=5, text=text(5, high=60)))
    assert (bounds.status, place.live) == ("waiting", 2)
    new = text(1).replace("playbook: held", "playbook: fresh")
    fresh = await place.settle(push(counter=5, playbook="fresh", version=1, text=new))
    assert fresh.status == "waiting"


async def test_check_24_group_push_leaves_what_the_site_has_set(pool: asyncpg.Pool) -> None:
    place = await factory_shelf(pool, "accept")
    shelf = place.ground.shelf
    assert await shelf.set_input("held", "output", 45, "lin", "our burner is old") is None
    done = await place.settle(tuned(output=25, within="3m"))
    assert (done.status, done.params["kept_local"]) == ("applied", ["output"])
    assert (place.inputs["output"], place.inputs["within"]) == (45, "3m")
    # A release that would do away with it, or leave it out of bounds, is refused.
    gone = text(2).replace("  output: {", "  share: {").replace("inputs.output", "inputs.share")
    await place.refuses(push(counter=2, text=gone), "push_drops_input")
    await place.refuses(push(counter=3, text=text(2, high=40)), "push_drops_input")
    await place.settle(push(counter=4))
    assert (place.live, place.inputs["output"]) == (2, 45)
    assert await shelf.set_input("held", "output", None, "lin", "new burner") is None
    assert place.inputs["output"] == 25
    # Bounds that another release draws closer hold for the group's value as well.
    await place.release(text(5, low=30))
    assert place.inputs["output"] == 35


async def test_check_24_group_push_leaves_what_the_sites_file_says(pool: asyncpg.Pool) -> None:
    site = demo()
    bindings = site.bindings.model_copy(update={"inputs": {"held": {"output": 33}}})
    site = replace(site, bindings=bindings)
    place = await factory_shelf(pool, "accept", site)
    await place.settle(tuned(output=25))
    assert place.inputs["output"] == 33


async def test_check_24_group_push_leaves_a_withdrawn_playbook_withdrawn(
    pool: asyncpg.Pool,
) -> None:
    place = await factory_shelf(pool, "accept")
    assert await place.ground.shelf.withdraw("held", "lin", "burner is out", True) is None
    assert (await place.settle(push())).status != "refused"
    assert place.live is None


async def test_check_24_group_push_too_large(place: FactoryShelf) -> None:
    await place.refuses(push(text=text(2) + "#" * MAX_BYTES), "too_large")


async def test_check_24_group_push_refused_by_a_person(place: FactoryShelf) -> None:
    found = await place.settle(push())
    answer = await place.desk.decide("push-1", True, "lin", "yes")
    assert isinstance(answer, Rejected)
    assert answer.code == "push_is_draft"  # it is reviewed where every draft is
    rejected = await place.ground.drafts.reject(found.draft, "lin", "not for us", lambda _: None)
    assert not isinstance(rejected, Rejected)
    assert (place.said[-1].status, place.said[-1].code) == ("refused", "refused_by_person")
    values = await place.settle(tuned(2, output=40))
    assert values.status == "waiting"
    no = await place.desk.decide("push-2", False, "lin", "not now")
    assert not isinstance(no, Rejected)
    assert (no.status, place.inputs["output"]) == ("refused", 35)
    again = await place.desk.decide("push-2", True, "lin", "yes")
    assert isinstance(again, Rejected)
    assert again.code == "push_not_waiting"


async def test_check_24_group_push_of_inputs_is_looked_at_again_when_it_is_taken(
    place: FactoryShelf,
) -> None:
    await place.settle(tuned(output=25))
    await place.release(text(2, low=30))
    late = await place.desk.decide("push-1", True, "lin", "yes")
    assert isinstance(late, Rejected)
    assert (late.code, place.inputs["output"]) == ("input_outside_bounds", 35)
    await place.settle(tuned(2, output=31))
    assert not isinstance(await place.desk.decide("push-2", True, "lin", "yes"), Rejected)
    assert place.inputs["output"] == 31


async def test_check_24_group_push_newer_one_takes_the_place_of_what_waits(
    place: FactoryShelf,
) -> None:
    first = await place.settle(push())
    second = await place.settle(push(counter=2, version=3))
    assert second.status == "waiting"
    late = await place.approve(first.draft)
    assert isinstance(late, Rejected)
    assert late.code == "draft_not_submitted"
    assert [(r.push, r.status, r.code) for r in place.said[1:]] == [
        ("push-1", "refused", "superseded"), ("push-2", "waiting", ""),
    ]  # fmt: skip


async def test_check_24_group_push_rollback_restores_what_ran(pool: asyncpg.Pool) -> None:
    place = await factory_shelf(pool, "accept")
    await place.settle(push())
    await place.settle(tuned(2, output=25))
    await place.settle(tuned(3, output=30))
    assert (place.live, place.inputs["output"]) == (2, 30)
    # Whatever the policy by then: it only goes back to what this factory has had.
    wary = await standing(pool, "refuse")
    assert (await wary.settle(back(4, "push-3"))).status == "applied"
    assert wary.inputs["output"] == 25
    done = await wary.settle(back(5, "push-1"))
    assert (done.status, wary.live) == ("applied", 3)
    release = await wary.ground.shelf.store.get("held", 3)
    assert release is not None
    assert (release.restores, release.text) == (1, text(3).replace("version: 3", "version: 3"))
    assert [(r.push, r.status) for r in wary.said] == [
        ("push-3", "rolled_back"), ("push-4", "applied"), ("push-1", "rolled_back"),
        ("push-5", "applied"),
    ]  # fmt: skip


async def test_check_24_group_push_rollback_never_undoes_the_sites_own_release(
    pool: asyncpg.Pool,
) -> None:
    place = await factory_shelf(pool, "accept")
    await place.settle(push())
    await place.release(text(3, more="  - {id: ours, log: ours}\n"))
    await place.refuses(back(2, "push-1"), "superseded")
    await place.refuses(back(3, "push-9"), "nothing_to_take_back")
    await place.refuses(back(4, "push-2"), "nothing_to_take_back")


async def test_check_24_group_push_rollback_of_what_waits(place: FactoryShelf) -> None:
    found = await place.settle(push())
    done = await place.settle(back(2, "push-1"))
    assert isinstance(done, Settled)
    assert done.status == "applied"
    late = await place.approve(found.draft)
    assert isinstance(late, Rejected)
    assert place.live == 1


async def test_check_24_group_push_running_runs_finish_on_their_document(
    pool: asyncpg.Pool,
) -> None:
    """What a run pins is kept for good: a new version is another row."""
    place = await factory_shelf(pool, "accept")
    before = place.ground.shelf.releases.get("held")
    assert before is not None
    await place.settle(push())
    after = place.ground.shelf.releases.get("held")
    assert after is not None
    rows = await pool.fetch("SELECT digest, version FROM playbook_version WHERE playbook = 'held'")
    kept = {row["digest"]: row["version"] for row in rows}
    assert (kept[before.digest], kept[after.digest]) == (1, 2)
