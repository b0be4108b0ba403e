"""Playbooks are written, reviewed by somebody else, released, restored, withdrawn, played again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_brain.bootstrap import Brain
from shared.identity.policy import Grant, User
from shared.playbook.signing import genuine
from shared.security import load_private
from tests.support.brain_world import ALARM, FakeEdge, transition, until
from tests.support.playbook_authors import WAIT, Person, book

pytest_plugins = ["tests.support.brain_fixtures", "tests.support.playbook_author_fixtures"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """A brain's folder with one playbook in it, before the brain begins."""
    (tmp_path / "noted.yaml").write_text(book())
    return tmp_path


async def actions(brain: Brain) -> list[str]:
    rows = await brain.pool.fetch("SELECT action FROM audit ORDER BY id")
    return [row["action"] for row in rows]


async def released(author: Person, reviewer: Person, text: str) -> None:
    draft = await author.draft(text, source="live", playbook="noted")
    await author.ask("POST", f"/drafts/{draft['id']}/submit", {})
    await reviewer.approve(f"/drafts/{draft['id']}", {"note": "good"})


async def test_a_draft_is_reviewed_by_somebody_else_and_released(
    brain: Brain, people: dict[str, Person]
) -> None:
    wu, lin, op = people["wu"], people["lin"], people["op"]
    (only,) = (await op.ask("GET", "/playbooks"))["items"]
    assert (only["playbook"], only["version"], only["source"]) == ("noted", 1, "folder")
    await op.ask("POST", "/drafts", {"source": "live", "playbook": "noted"}, 403)

    made = await wu.ask("POST", "/drafts", {"source": "live", "playbook": "noted"})
    assert "version: 2\n" in made["text"]
    path = f"/drafts/{made['id']}"
    bad = book(2, more="  - {id: more, lgo: hello}\n")
    saved = await wu.ask("PUT", path, {"text": bad})
    assert saved["errors"] >= 1
    assert {f["line"] for f in saved["findings"]} == {bad.count("\n")}
    assert all(f["message"]["zh"] and f["mend"]["en"] for f in saved["findings"])
    refusal = await wu.ask("POST", f"{path}/submit", {}, 422)
    assert refusal["code"] == "playbook_has_errors"

    answer = await wu._web.get(f"/api{path}", headers=wu._cookie)
    tag = answer.headers["etag"]
    good = book(2, more=WAIT)
    await wu.ask("PUT", path, {"text": good}, 200, **{"If-Match": tag})
    lost = await lin.ask("PUT", path, {"text": book(2)}, 412, **{"If-Match": tag})
    assert lost["code"] == "precondition_failed"
    await wu.ask("POST", f"{path}/submit", {"note": "please look"})
    assert (await wu.ask("PUT", path, {"text": good}, 409))["code"] == "draft_not_open"
    own = await wu.approve(path, {}, 403)
    assert own["code"] == "review_own_draft"
    await op.ask("POST", f"{path}/approve", {}, 403)

    diff = await lin.ask("GET", f"{path}/diff")
    assert diff["against"] == 1
    assert "+  - {id: rest, wait: 60s}" in diff["lines"]
    assert [(s["kind"], s["id"]) for s in diff["steps"]] == [("added", "rest")]
    assert diff["after"]["worst_case_ms"] - diff["before"]["worst_case_ms"] == 60_000
    await lin.ask("POST", f"{path}/remarks", {"text": "why a minute?"})
    await lin.ask("POST", f"{path}/reject", {"note": "say why"})
    await wu.ask("PUT", path, {"text": good})
    await wu.ask("POST", f"{path}/submit", {})
    # What the reviewer has read is not what waits by now: nothing is released unseen.
    read = await lin.tagged(path)
    await wu.ask("POST", f"{path}/reopen", {})
    await wu.ask("PUT", path, {"text": book(2, more="  - {id: rest, wait: 9m}\n")})
    await wu.ask("POST", f"{path}/submit", {})
    late = await lin.ask("POST", f"{path}/approve", {}, 412, **read)
    assert late["code"] == "precondition_failed"
    blind = await lin.ask("POST", f"{path}/approve", {}, 428)
    assert blind["code"] == "precondition_required"
    await wu.ask("POST", f"{path}/reopen", {})
    await wu.ask("PUT", path, {"text": good})
    await wu.ask("POST", f"{path}/submit", {})
    done = await lin.approve(path, {"note": "good"})
    assert (done["status"], done["released"]) == ("released", 2)
    assert [r["kind"] for r in done["remarks"]] == [
        "submitted", "comment", "rejected", "submitted", "reopened", "submitted", "reopened",
        "submitted", "approved",
    ]  # fmt: skip

    shown = await op.ask("GET", "/playbooks/noted")
    assert (shown["version"], shown["source"]) == (2, "console")
    newest = shown["versions"][0]
    assert (newest["author"], newest["reviewer"], newest["note"]) == ("wu", "lin", "good")
    kept = await brain.shelf.store.get("noted", 2)
    assert kept is not None
    assert kept.signature is not None
    key = load_private(brain.settings.approval_key_file).public_key()
    assert genuine(key, kept.signature, "f1", "noted", 2, good)
    assert not genuine(key, kept.signature, "f2", "noted", 2, good)
    run = await people["sun"].ask("POST", "/playbooks/noted/runs")
    assert run["version"] == 2
    found = await actions(brain)
    assert found.count("release_playbook") == 2  # the folder's by the system, and this one
    assert [a for a in found if a.startswith("draft_")] == [
        "draft_submitted", "draft_rejected", "draft_submitted", "draft_reopened",
        "draft_submitted", "draft_reopened", "draft_submitted", "draft_approved",
    ]  # fmt: skip
    row = await brain.pool.fetchrow(
        "SELECT before, after, actor FROM audit WHERE action = 'release_playbook' AND actor = 'lin'"
    )
    assert (row["before"]["version"], row["after"]["version"]) == (1, 2)
    assert row["before"]["digest"] != row["after"]["digest"]


async def test_versions_stand_are_restored_and_withdrawn(
    brain: Brain, people: dict[str, Person]
) -> None:
    wu, lin = people["wu"], people["lin"]
    await released(wu, lin, book(2, more=WAIT))
    with pytest.raises(asyncpg.RaiseError):
        await brain.pool.execute("UPDATE playbook_release SET text = 'x'")
    with pytest.raises(asyncpg.RaiseError):
        await brain.pool.execute("DELETE FROM playbook_release")
    again = await wu.draft(book(2), source="live", playbook="noted")
    low = await wu.ask("POST", f"/drafts/{again['id']}/submit", {}, 409)
    assert (low["code"], low["params"]) == ("version_not_higher", {"version": 2, "newest": 2})

    # This site's key vouches for no text that it did not sign: one signed by a revoked key is
    # written and reviewed again, not restored.
    own, brain.shelf._public = brain.shelf._public, Ed25519PrivateKey.generate().public_key()
    body = {"version": 2, "reason": "as before"}
    refusal = await lin.ask("POST", "/playbooks/noted/restore", body, 409)
    assert refusal["code"] == "release_signature_invalid"
    brain.shelf._public = own
    back = await lin.ask("POST", "/playbooks/noted/restore", {"version": 1, "reason": "too slow"})
    assert back["version"] == 3
    detail = await lin.ask("GET", "/playbooks/noted")
    assert [(v["version"], v["restores"]) for v in detail["versions"]] == [
        (3, 1), (2, None), (1, None),
    ]  # fmt: skip
    assert (await lin.ask("GET", "/playbooks/noted/versions/3"))["text"] == book(3)
    page = await lin.ask("GET", "/playbooks/noted/versions?limit=2")
    rest = await lin.ask("GET", f"/playbooks/noted/versions?limit=2&cursor={page['next']}")
    assert [v["version"] for v in page["items"] + rest["items"]] == [3, 2, 1]

    await lin.ask("POST", "/playbooks/noted/withdraw", {"reason": "sensor is being changed"})
    gone = await people["sun"].ask("POST", "/playbooks/noted/runs", None, 409)
    assert gone["code"] == "unknown_playbook"
    assert (await lin.ask("GET", "/playbooks"))["items"][0]["state"]["withdrawn"] is True
    twice = await lin.ask("POST", "/playbooks/noted/withdraw", {"reason": "again"}, 409)
    assert twice["code"] == "already_withdrawn"
    await lin.ask("POST", "/playbooks/noted/put-back", {"reason": "done"})
    assert (await people["sun"].ask("POST", "/playbooks/noted/runs"))["version"] == 3


async def test_inputs_are_set_within_bounds_and_count_for_new_runs(
    brain: Brain, people: dict[str, Person]
) -> None:
    wu, lin, op = people["wu"], people["lin"], people["op"]
    (shown,) = (await op.ask("GET", "/playbooks/noted"))["inputs"]
    assert (shown["type"], shown["default"], shown["value"]) == ("number", 1200, 1200)
    assert (shown["least"], shown["most"], shown["unit"]) == (1100, 1300, "°C")
    path = "/playbooks/noted/inputs/limit_c"
    await op.ask("PUT", path, {"value": 1250, "reason": "new lining"}, 403)
    for value, code in ((1400, "input_outside_bounds"), ("hot", "input_unfit")):
        refusal = await wu.ask("PUT", path, {"value": value, "reason": "x"}, 422)
        assert refusal["code"] == code
    unknown = {"value": 1, "reason": "x"}
    assert (await wu.ask("PUT", "/playbooks/noted/inputs/nix", unknown, 404))["code"] == (
        "unknown_input"
    )
    await wu.ask("PUT", path, {"value": 1250, "reason": "new lining"})
    (shown,) = (await op.ask("GET", "/playbooks/noted"))["inputs"]
    assert (shown["value"], shown["chosen"], shown["chosen_by"]) == (1250, 1250, "wu")
    run = await people["sun"].ask("POST", "/playbooks/noted/runs")
    context = await brain.pool.fetchval("SELECT context FROM run WHERE id = $1", run["id"])
    assert context["inputs"] == {"limit_c": 1250}
    row = await brain.pool.fetchrow("SELECT * FROM audit WHERE action = 'set_playbook_input'")
    assert (row["before"], row["after"], row["why"]) == (1200, 1250, "new lining")
    # A version whose bounds are others does not use what fits it no more.
    text = book(2).replace("type: number, default: 1200", "type: string, default: hot")
    await released(wu, lin, text.replace(", tunable: {min: 1100, max: 1300}", "").replace(
        "alarm.value > inputs.limit_c", "alarm.value > 1200"))  # fmt: skip
    (shown,) = (await op.ask("GET", "/playbooks/noted"))["inputs"]
    assert (shown["stale"], shown["value"]) == (True, "hot")
    await wu.ask("PUT", path, {"value": None, "reason": "as it was"})
    (shown,) = (await op.ask("GET", "/playbooks/noted"))["inputs"]
    assert (shown["chosen"], shown["stale"]) == (None, False)


async def test_a_live_run_moves_to_another_version_only_if_it_fits(
    brain: Brain, people: dict[str, Person]
) -> None:
    wu, lin = people["wu"], people["lin"]
    await released(wu, lin, book(2, more=WAIT))
    run = (await people["sun"].ask("POST", "/playbooks/noted/runs"))["id"]

    async def waiting() -> bool:
        found = await wu.ask("GET", f"/runs/{run}")
        return any(s["id"] == "rest" and s["status"] == "waiting" for s in found["steps"])

    await until(waiting)
    await released(wu, lin, book(3).replace("id: said", "id: told") + WAIT)
    await released(wu, lin, book(4, more="  - {id: rest, wait: 1s}\n"))
    moved = {"version": 3, "reason": "try"}
    await people["op"].ask("GET", f"/runs/{run}/migrate?version=4", status=403)
    seen = await lin.ask("GET", f"/runs/{run}/migrate?version=3")
    assert (seen["fits"], seen["code"], seen["params"]["path"]) == (
        False, "run_not_fitting", "/steps/said",
    )  # fmt: skip
    seen = await lin.ask("GET", f"/runs/{run}/migrate?version=4")
    assert (seen["fits"], seen["before"], seen["after"]) == (True, 2, 4)
    assert [(c["kind"], c["id"], c["fields"]) for c in seen["steps"]] == [
        ("changed", "rest", ["wait"])
    ]
    started = (await wu.ask("GET", f"/runs/{run}"))["started_at"]
    assert seen["deadline_at"] == started + 600_000
    seen = await lin.ask("GET", f"/runs/{run}/migrate?version=9")
    assert (seen["fits"], seen["code"]) == (False, "unknown_version")
    assert (await lin.ask("GET", f"/runs/{run}/migrate?version=2", status=409))["code"] == (
        "same_version"
    )
    await lin.ask("GET", "/runs/no-such-run/migrate?version=2", status=404)
    refusal = await lin.ask("POST", f"/runs/{run}/migrate", moved, 409)
    assert (refusal["code"], refusal["params"]["path"]) == ("run_not_fitting", "/steps/said")
    assert (await wu.ask("GET", f"/runs/{run}"))["version"] == 2
    await lin.ask("POST", f"/runs/{run}/migrate", {"version": 4, "reason": "shorter"})

    async def ended() -> Any:
        found = await wu.ask("GET", f"/runs/{run}")
        return found if found["ended_at"] else None

    # The wait that had begun stands as it was begun; nothing is begun twice.
    shown = await wu.ask("GET", f"/runs/{run}")
    assert (shown["version"], shown["status"]) == (4, "waiting")
    # A text that may not run here is none to move to either.
    own, brain.shelf._public = brain.shelf._public, Ed25519PrivateKey.generate().public_key()
    refusal = await lin.ask("POST", f"/runs/{run}/migrate", moved, 409)
    assert refusal["code"] == "release_signature_invalid"
    brain.shelf._public = own
    await lin.ask("POST", "/playbooks/noted/withdraw", {"reason": "faulty"})
    refusal = await lin.ask("POST", f"/runs/{run}/migrate", moved, 409)
    assert refusal["code"] == "already_withdrawn"
    await people["sun"].ask("POST", f"/runs/{run}/cancel", {"reason": "enough"})
    found = await until(ended)
    assert found["status"] == "cancelled"
    over = await lin.ask("POST", f"/runs/{run}/migrate", {"version": 3, "reason": "x"}, 409)
    assert over["code"] == "run_over"


async def test_a_playbook_goes_out_as_cacao_and_comes_back_as_a_draft(
    people: dict[str, Person],
) -> None:
    wu, op = people["wu"], people["op"]
    document = await op.ask("GET", "/playbooks/noted/versions/1/cacao")
    assert (document["type"], document["spec_version"]) == ("playbook", "cacao-2.0")
    await op.ask("GET", "/playbooks/noted/versions/7/cacao", status=404)
    sent = {"name": "noted.json", "text": json.dumps(document)}
    await op.ask("POST", "/drafts/cacao", sent, 403)
    made = await wu.ask("POST", "/drafts/cacao", sent)
    assert (made["source"], made["playbook"], made["errors"]) == ("cacao", "noted", 0)
    assert "\nversion: 2\n" in made["text"]  # the next one after what is released
    diff = await wu.ask("GET", f"/drafts/{made['id']}/diff")
    assert (diff["steps"], diff["parts"]) == ([], [])

    del document["workflow"]
    sent["text"] = json.dumps(document)
    refusal = await wu.ask("POST", "/drafts/cacao", sent, 422)
    assert refusal["code"] == "cacao_not_taken"
    (fault,) = refusal["params"]["faults"]
    assert fault["where"] == "noted.json#/workflow"
    assert fault["message"]["zh"]
    assert fault["mend"]["en"]
    for text in ("{", "[" * 100_000, '{"type": "playbook", "spec_version": "cacao-2.0"}'):
        refusal = await wu.ask("POST", "/drafts/cacao", {**sent, "text": text}, 422)
        assert refusal["code"] == "cacao_not_taken"


async def test_who_starts_what_is_about_no_alarm_or_another_place(
    brain: Brain, people: dict[str, Person]
) -> None:
    grants = (Grant("shift-lead", "FUR-01"),)
    await brain.accounts.create("near", "correct horse battery", grants)
    token = await brain.accounts.open_session(User.of("near", grants), "local")
    near = Person(people["sun"]._web, token)
    text = book().replace("playbook: noted", "playbook: rounds").replace(
        '  - {id: hot, alarm: FUR-01.TT-101.HIHI, where: "alarm.value > inputs.limit_c"}\n', ""
    )  # fmt: skip
    draft = await people["wu"].draft(text, source="blank", playbook="rounds")
    await people["wu"].ask("POST", f"/drafts/{draft['id']}/submit", {})
    await people["lin"].approve(f"/drafts/{draft['id']}", {"note": "good"})
    refusal = await near.ask("POST", "/playbooks/rounds/runs", None, 403)
    assert refusal["code"] == "not_allowed_here"
    await people["sun"].ask("POST", "/playbooks/rounds/runs")
    elsewhere = {"drill": True, "alarm": {"asset": "CMP-01"}}
    refusal = await near.ask("POST", "/playbooks/noted/runs", elsewhere, 403)
    assert refusal["code"] == "not_allowed_here"
    here = {"drill": True, "alarm": {"asset": "FUR-01"}}
    assert (await near.ask("POST", "/playbooks/noted/runs", here))["drill"]


async def test_what_would_have_fired_stands_beside_what_did(
    brain: Brain, people: dict[str, Person], edge: FakeEdge
) -> None:
    wu = people["wu"]
    body = transition(1, active=True, acked=False, kind="raised")
    await edge.send(body)

    async def started() -> bool:
        return bool(await brain.pool.fetchval("SELECT count(*) FROM trigger_fired"))

    await until(started)
    period = {"since": body.source_time - 60_000, "until": body.source_time + 60_000}
    found = await wu.ask("POST", "/playbooks/noted/replay", period)
    (line,) = found["lines"]
    assert (line["outcome"], line["occurrence"], line["alarm"]) == ("started", "occ-1", ALARM)
    assert line["key"] == "FUR-01"
    assert (line["real_outcome"], line["real_run"]) == ("started", await brain.pool.fetchval(
        "SELECT id FROM run"))  # fmt: skip
    draft = await wu.draft(book(2, where="alarm.value > 1300"), source="live", playbook="noted")
    found = await wu.ask("POST", f"/drafts/{draft['id']}/replay", period)
    (line,) = found["lines"]
    assert (line["outcome"], line["real_outcome"]) == ("where", "started")
    assert found["counts"] == {"where": 1}
    long = {"since": 1, "until": 40 * 86_400_000}
    assert (await wu.ask("POST", "/playbooks/noted/replay", long, 400))["code"] == "bad_period"


async def test_a_draft_begins_from_a_template_or_blank_and_plays_its_own_test(
    people: dict[str, Person],
) -> None:
    wu = people["wu"]
    names = [t["id"] for t in (await wu.ask("GET", "/playbook-templates"))["items"]]
    assert "furnace/furnace-overtemp" in names
    made = await wu.ask(
        "POST", "/drafts", {"source": "library", "template": "furnace/furnace-overtemp"}
    )
    assert made["playbook"] == "furnace-overtemp"
    assert made["explained"]["moves"]
    schema = await wu.ask("GET", "/playbook-schema")
    assert "Step" in schema["$defs"]
    checked = await wu.ask("POST", "/playbooks/check", {"text": "a: [1, 2"})
    assert (checked["errors"], checked["explained"]) == (1, None)
    blank = await wu.ask("POST", "/drafts", {"source": "blank", "playbook": "brand-new"})
    assert blank["errors"] == 0, blank["findings"]
    listed = await wu.ask("GET", "/drafts?limit=1")
    rest = await wu.ask("GET", f"/drafts?limit=1&cursor={listed['next']}")
    assert [d["id"] for d in listed["items"] + rest["items"]] == [blank["id"], made["id"]]
    await wu.ask("POST", f"/drafts/{made['id']}/discard", {"note": "no"})
    assert len((await wu.ask("GET", "/drafts"))["items"]) == 1
    assert len((await wu.ask("GET", "/drafts?ended=true"))["items"]) == 2

    draft = await wu.draft(book(2), source="live", playbook="noted")
    path = f"/drafts/{draft['id']}"
    assert (await wu.ask("POST", f"{path}/test", None, 422))["code"] == "draft_without_test"
    test = """\
schema: playbook-test/v1
playbook: noted
tests:
  - name: it ends
    when: [{at: 0s, raise: FUR-01.TT-101.HIHI, alarm: {value: 1291.5}}]
    then: {executed: [said], outcome: success}
"""
    await wu.ask("PUT", path, {"text": book(2), "test": test})
    found = await wu.ask("POST", f"{path}/test")
    assert (found["holds"], found["faults"]) == (True, [])
    assert [(c["name"], c["holds"]) for c in found["cases"]] == [("it ends", True)]
    assert found["coverage"] == 1
