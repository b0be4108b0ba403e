"""From labels to an applied setting: the learning loop on real servers."""

from __future__ import annotations

import asyncio

import httpx
import msgspec
import pytest

from shared.messages.bodies import (
    DirectiveReport,
)
from shared.messages.codec import decode
from shared.messages.directives import SignedDirective, read
from shared.security import verifies
from tests.support.cloud_world import (
    APPROVAL,
    E1,
    HI,
    NODE,
    SITE,
    Factory,
    Group,
    decide,
    four_labels,
    outcome,
    proposals,
    relay_of,
    rollout_is,
    two_rollouts,
    until,
)

pytest_plugins = ("tests.support.cloud_fixtures",)


@pytest.fixture
def web(group_web: httpx.AsyncClient) -> httpx.AsyncClient:
    """The group's interface; a name of its own in the plug-in, as the brain's has the same one."""
    return group_web


async def test_from_labels_to_an_applied_setting(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    relay = relay_of(factory, group)
    relaying = asyncio.create_task(relay.run())
    try:
        await factory.say(*four_labels())
        [made] = await until(lambda: proposals(web, "open"))
        assert made["alarm"] == HI.id
        assert made["current"]["limit"] == 1230
        assert made["evidence"]["vanish"] == ["occ-1", "occ-2", "occ-4"]
        assert "3 次误报" in made["explanation"]["zh"]
        assert "3 nuisance, 1 true" in made["explanation"]["en"]
        assert len(made["candidates"]) == 12

        answer = await decide(web, made["id"])
        assert answer.status_code == 200
        assert answer.json()["rollout"]["status"] == "signed"
        again = await decide(web, made["id"])
        assert again.json() == answer.json()
        other_key = await decide(web, made["id"], key="key-0002")
        assert other_key.json()["rollout"]["counter"] == 1
        refused = await decide(web, made["id"], "reject", key="key-0003")
        assert refused.status_code == 409
        assert refused.json()["code"] == "already_decided"

        shown = await until(rollout_is(web, "relayed"))
        held = await factory.bus.bucket_get(E1.directive_bucket, "current", "f1")
        assert held is not None
        signed = decode(held, SignedDirective)
        directive = read(signed.payload)
        assert verifies(group.public, signed.release_signature, signed.payload)
        assert verifies(APPROVAL.public_key(), signed.approval_signature, signed.payload)
        assert (directive.id, directive.counter) == (shown["rollout"]["directive"], 1)
        [setting] = directive.settings
        assert setting.limit == made["proposed"]["limit"]
        assert (directive.proposal, directive.approved_by) == (made["id"], "admin")

        await factory.say(
            DirectiveReport(directive=directive.id, counter=1, status="received"),
            DirectiveReport(
                directive=directive.id, counter=1, status="applied", settings_version=2
            ),
        )
        await until(rollout_is(web, "applied"))
        done = "SELECT true FROM audit WHERE action = 'rollout_done'"
        await until(lambda: group.db.fetchval(done))
    finally:
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
    people = ["account_made", "log_in"]
    rows = await group.db.fetch(
        "SELECT action FROM audit WHERE action <> ALL($1) ORDER BY id", people
    )
    actions = [row["action"] for row in rows]
    assert actions == [
        "proposal_made", "rollout_begun", "rollout_entered", "directive_signed",
        "proposal_approved", "directive_sent", "directive_relayed", "directive_applied",
        "rollout_done",
    ]  # fmt: skip


async def test_nothing_is_learnt_from_what_nobody_has_judged(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    for label in ("", "drill"):
        await factory.say(*(outcome(n, label, 1231.0, 2.0) for n in range(10, 40)))
    await factory.say(outcome(50, "true", 1290.0, 900.0))
    await until(factory.all_committed)

    async def trained() -> bool:
        return not await group.db.fetchval("SELECT count(*) FROM outcome WHERE NOT trained")

    await until(trained)
    assert await proposals(web) == []
    assert await group.db.fetchval("SELECT count(*) FROM outcome") == 31


async def test_repeats_change_nothing_and_a_corrected_label_withdraws_the_proposal(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    frame = await factory.say(*four_labels())
    [made] = await until(lambda: proposals(web, "open"))
    for n in range(3):
        await factory.resend(frame, f":again{n}")
    await factory.say(outcome(5, "nuisance", 1232.0, 2.0))

    async def grown() -> bool:
        [now] = await proposals(web, "open")
        return now["evidence"]["nuisance"] == 4

    await until(grown)
    [still] = await proposals(web)
    assert still["id"] == made["id"]
    assert await group.db.fetchval("SELECT count(*) FROM group_event") == 5

    await factory.say(*(outcome(n, "true", 1231.0, 2.0) for n in (4, 5)))
    [gone] = await until(lambda: proposals(web, "superseded"))
    assert (gone["id"], gone["reason"]) == (made["id"], "evidence_gone")
    answer = await decide(web, gone["id"])
    assert answer.status_code == 409


async def test_a_rejected_setting_needs_new_evidence(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    await factory.say(*four_labels())
    [made] = await until(lambda: proposals(web, "open"))
    assert (await decide(web, made["id"], "reject")).json()["status"] == "rejected"
    await factory.say(outcome(5, "nuisance", 1232.0, 2.0), outcome(6, "nuisance", 1232.0, 2.0))

    async def trained() -> bool:
        return await group.db.fetchval("SELECT count(*) FROM outcome WHERE trained") == 6

    await until(trained)
    assert await proposals(web, "open") == []
    await factory.say(outcome(7, "nuisance", 1232.0, 2.0))
    [anew] = await until(lambda: proposals(web, "open"))
    assert anew["id"] != made["id"]


async def test_a_directive_survives_a_restart_and_is_sent_until_the_factory_answers(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    await factory.say(*four_labels())
    [made] = await until(lambda: proposals(web, "open"))
    notices: list[bytes] = []

    async def on_notice(_: str, data: bytes) -> bytes | None:
        notices.append(data)
        return None

    await factory.bus.subscribe(NODE.directive, on_notice)
    assert (await decide(web, made["id"])).status_code == 200
    await until(rollout_is(web, "sent"))
    await group.stop()
    before = len(notices)
    await group.start()

    async def noticed_again() -> bool:
        return len(notices) > before

    await until(noticed_again)
    [shown] = await until(lambda: proposals(web, "approved"))
    assert shown["rollout"]["status"] == "sent"
    await relay_of(factory, group).relay_all()
    await until(rollout_is(web, "relayed"))


async def test_the_next_directive_carries_the_earlier_settings_and_settles_them(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    await factory.say(*four_labels())
    [first] = await until(lambda: proposals(web, "open"))
    assert (await decide(web, first["id"])).status_code == 200
    other = SITE.alarms["FUR-01.TT-102.HI"]
    moved = [
        msgspec.structs.replace(record, alarm=other.id, occurrence=f"x-{record.occurrence}")
        for record in four_labels()
    ]
    await factory.say(*moved)
    [second] = await until(lambda: proposals(web, "open"))
    answer = await decide(web, second["id"], key="key-0009")
    assert answer.json()["rollout"]["counter"] == 2

    async def newest() -> dict[str, bytes] | None:
        data = await factory.bus.bucket_get(NODE.directive_bucket, "current", "cloud")
        bundle = decode(data, dict[str, bytes]) if data else {}
        if bundle and read(decode(bundle["e1"], SignedDirective).payload).counter == 2:
            return bundle
        return None

    bundle = await until(newest)
    directive = read(decode(bundle["e1"], SignedDirective).payload)
    assert [s.alarm for s in directive.settings] == [HI.id, other.id]
    assert directive.parent == (await proposals(web))[1]["rollout"]["directive"]

    await factory.say(DirectiveReport(directive=directive.id, counter=2, status="applied"))

    async def both_applied() -> bool:
        return [p["rollout"]["status"] for p in await proposals(web)] == ["applied", "applied"]

    await until(both_applied)
    assert (await proposals(web))[1]["rollout"]["code"] == "included_in_newer"


async def test_a_refusal_names_the_setting_that_is_left_out_next(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    newest, _ = await two_rollouts(factory, web)
    await factory.say(
        DirectiveReport(
            directive=newest["rollout"]["directive"], counter=2, status="refused",
            code="limit_outside_bounds", params={"alarm": HI.id},
        )
    )  # fmt: skip

    async def sent_again() -> bool:
        return (await proposals(web))[0]["rollout"]["counter"] == 3

    await until(sent_again)
    row = await group.db.fetchrow("SELECT status, code FROM rollout WHERE counter = 2")
    assert tuple(row or ()) == ("refused", "limit_outside_bounds")
    payload = await group.db.fetchval("SELECT payload FROM rollout WHERE counter = 3")
    assert [s.alarm for s in read(payload).settings] == [newest["alarm"]]
    newest, older = await proposals(web)
    # What was applied stays applied: the plant runs it, though it would not accept it again.
    assert older["rollout"]["status"] == "applied"
    left_out = "SELECT withdrawn FROM rollout WHERE counter = $1"
    assert await group.db.fetchval(left_out, 1) == [HI.id]
    assert await group.db.fetchval(left_out, 2) == []


async def test_what_no_factory_takes_up_expires_and_is_signed_anew_while_the_rollout_lasts(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    await factory.say(*four_labels())
    [made] = await until(lambda: proposals(web, "open"))
    assert (await decide(web, made["id"])).status_code == 200
    await until(rollout_is(web, "sent"))
    [before] = await proposals(web)
    await group.db.execute("UPDATE rollout SET expires_at = 1")
    assert group.cloud is not None
    group.cloud.dispatch.wake()
    first = "SELECT status, code FROM rollout WHERE counter = 1"

    async def given_up() -> bool:
        return tuple(await group.db.fetchrow(first) or ()) == ("refused", "expired")

    await until(given_up)
    group.cloud.drive.wake()

    async def anew() -> bool:
        return (await proposals(web))[0]["rollout"]["counter"] == 2

    await until(anew)
    late = DirectiveReport(directive=before["rollout"]["directive"], counter=1, status="relayed")
    await factory.say(late)
    await until(factory.all_committed)
    assert await given_up()
