"""Every route of the running brain as every role; rights by area; sessions and devices' tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from factory_brain.bootstrap import Brain
from factory_brain.web.app import openapi_app
from shared.identity.policy import Grant, User
from shared.web.auth import COOKIE
from tests.support.brain_world import FakeEdge, transition, until
from tests.support.role_matrix import sessions, walk
from tests.support.summary import say

pytest_plugins = ("tests.support.brain_fixtures",)
KEY = {"Idempotency-Key": "key-00000001"}
ADMIN = {"username": "admin", "password": "correct horse"}


@pytest.fixture
async def client(brain: Brain) -> AsyncIterator[httpx.AsyncClient]:
    url = f"http://127.0.0.1:{brain.settings.http_port}"
    async with httpx.AsyncClient(base_url=url, timeout=10) as made:

        async def up() -> bool:
            try:
                return (await made.get("/api/healthz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(up)
        yield made


async def test_every_route_as_every_role(brain: Brain, client: httpx.AsyncClient) -> None:
    tokens = await sessions(brain.accounts)
    done = await walk(openapi_app(), str(client.base_url), tokens)
    assert done.wrong == []
    assert done.routes > 40
    line = f"{done.routes} routes x {len(tokens)} roles = {done.checks} checks (factory brain)"
    say("role-matrix-brain", line)


async def as_person(brain: Brain, name: str, *grants: Grant) -> dict[str, str]:
    await brain.accounts.create(name, "correct horse battery", grants)
    token = await brain.accounts.open_session(User.of(name, grants), "local")
    return {"Cookie": f"{COOKIE}={token}"}


async def test_an_operator_of_another_area_acknowledges_nothing_here(
    brain: Brain, edge: FakeEdge, client: httpx.AsyncClient
) -> None:
    await edge.send(transition(1, active=True, acked=False, kind="raised"))
    near = await as_person(brain, "near", Grant("operator", "FUR-01"))
    far = await as_person(brain, "far", Grant("operator", "CMP-01"), Grant("viewer"))

    async def row() -> dict[str, object] | None:
        rows = (await client.get("/api/alarms", headers=near)).json()["rows"]
        return rows[0] if rows else None

    shown = await until(row)
    item = {key: shown[key] for key in ("alarm", "occurrence", "version")}
    body = {"items": [item]}
    refused = await client.post("/api/alarms/ack", json=body, headers={**KEY, **far})
    [result] = refused.json()["results"]
    assert (refused.status_code, result["accepted"]) == (200, False)
    assert result["code"] == "not_allowed_here"
    done = await client.post("/api/alarms/ack", json=body, headers={**KEY, **near})
    assert done.json()["results"][0]["accepted"] is True
    entry = await brain.pool.fetchrow("SELECT * FROM audit WHERE action = 'acknowledge'")
    assert entry is not None
    assert (entry["actor"], entry["site"], entry["address"]) == ("near", "f1", "127.0.0.1")


async def test_words_files_and_tasks_of_another_area_are_refused(
    brain: Brain, edge: FakeEdge, client: httpx.AsyncClient
) -> None:
    await edge.send(transition(1, active=True, acked=False, kind="raised"))
    near = await as_person(brain, "near", Grant("operator", "FUR-01"))
    far = await as_person(brain, "far", Grant("operator", "CMP-01"), Grant("viewer"))

    async def row() -> str | None:
        rows = (await client.get("/api/alarms", headers=near)).json()["rows"]
        return rows[0]["occurrence"] if rows else None

    occurrence = await until(row)
    body = {"outcome": "nuisance", "cause": "", "comment": ""}
    for who, here in ((far, False), (near, True)):
        url = f"/api/occurrences/{occurrence}/outcome"
        said = (await client.post(url, json=body, headers={**KEY, **who})).json()
        assert said["accepted"] is here, said
        assert here or said["code"] == "not_allowed_here"

    async def incident() -> str | None:
        query = "SELECT incident FROM incident_member WHERE incident <> ''"
        return await brain.pool.fetchval(query)

    name = await until(incident)
    for who, status in ((far, 403), (near, 200)):
        sent = await client.post(
            "/api/attachments", params={"incident": name, "name": "a.txt"}, content=b"hot",
            headers={**KEY, **who, "Content-Type": "text/plain"},
        )  # fmt: skip
        assert sent.status_code == status, sent.text

    await brain.pool.execute(
        "INSERT INTO run (id, digest, playbook, version, key, context, status, started_at, "
        "deadline_at, wake_at, lease_until, fence, asks) VALUES ('r1', 'd', 'p', 1, 'k', $1, "
        "'waiting', 0, $2, $2, 0, 0, $3)",
        {"alarm": {"asset": "FUR-01"}}, 1 << 50,
        [{"step": "ask", "path": "ask", "roles": ["role:operator"], "options": ["go"]}],
    )  # fmt: skip
    answer = {"step": "ask", "option": "go", "comment": ""}
    for who, status in ((far, 403), (near, 200)):
        sent = await client.post("/api/runs/r1/answers", json=answer, headers={**KEY, **who})
        assert sent.status_code == status, sent.text
    entry = await brain.pool.fetchrow("SELECT * FROM audit WHERE action = 'answer_task'")
    assert entry is not None
    assert (entry["actor"], entry["target"], entry["data"]["answer"]) == ("near", "r1", "go")


async def test_an_answer_never_lands_on_another_question(
    brain: Brain, client: httpx.AsyncClient
) -> None:
    near = await as_person(brain, "near", Grant("operator", "FUR-01"))
    about = {"roles": ["role:operator"], "options": ["done", "not-done"]}
    words = {"question": {"zh": "?", "en": "?"}, "until": None}
    unknown = [
        {"step": "unknown", "path": f"/steps/each/{n}/move/unknown", "engine": True}
        for n in range(2)
    ]
    rounds = [{"step": "check", "path": f"/steps/each/{n}/check"} for n in range(2)]
    only = [{"step": "only", "path": "/steps/only"}]
    asks = [{**one, **about, **words} for one in (*unknown, *rounds, *only)]
    for run in range(5):  # an answer wakes its run: each is said to a run of its own
        await brain.pool.execute(
            "INSERT INTO run (id, digest, playbook, version, key, context, status, started_at, "
            "deadline_at, wake_at, lease_until, fence, asks) VALUES ($1, 'd', 'p', 1, $1, $2, "
            "'waiting', 0, $3, $3, 0, 0, $4)",
            f"q{run}", {"alarm": {"asset": "FUR-01"}}, 1 << 50, asks,
        )  # fmt: skip

    async def say(number: int, **which: str) -> httpx.Response:
        headers = {"Idempotency-Key": f"key-{number:08}", **near}
        body = {**which, "option": "done", "comment": ""}
        return await client.post(f"/api/runs/q{number}/answers", json=body, headers=headers)

    for number, name in enumerate(("unknown", "check")):
        refused = await say(number, step=name)
        assert (refused.status_code, refused.json()["code"]) == (409, "which_question")
    assert await brain.pool.fetchval("SELECT count(*) FROM signal") == 0
    for number, path in enumerate((unknown[1]["path"], rounds[1]["path"]), 2):
        assert (await say(number, path=str(path))).json()["accepted"], path
    assert (await say(4, step="only")).json()["accepted"]
    found = await brain.pool.fetch("SELECT path FROM signal ORDER BY path")
    assert [row["path"] for row in found] == [
        "/steps/each/1/check", "/steps/each/1/move/unknown", "/steps/only",
    ]  # fmt: skip


async def test_accounts_are_administered_and_sessions_end_with_the_rights(
    brain: Brain, client: httpx.AsyncClient
) -> None:
    assert (await client.post("/api/session", json=ADMIN)).status_code == 204
    new = {"username": "ming", "password": "password1234", "grants": [{"role": "operator"}]}
    weak = await client.post("/api/accounts", json=new, headers=KEY)
    assert (weak.status_code, weak.json()["code"]) == (422, "password_common")
    new["password"] = "the furnace hums at night"
    made = await client.post("/api/accounts", json=new, headers=KEY)
    assert made.status_code == 200, made.text
    again = await client.post("/api/accounts", json=new, headers={"Idempotency-Key": "another-1"})
    assert (again.status_code, again.json()["code"]) == (409, "account_exists")

    async with httpx.AsyncClient(base_url=client.base_url, timeout=10) as ming:
        login = {"username": "ming", "password": new["password"]}
        assert (await ming.post("/api/session", json=login)).status_code == 204
        body = {"grants": [{"role": "viewer"}], "why": "moved to the office"}
        other = {"Idempotency-Key": "key-00000002"}
        put = await client.put("/api/accounts/ming/grants", json=body, headers=other)
        assert put.json()["grants"] == [{"role": "viewer", "area": ""}]
        assert (await ming.get("/api/session")).status_code == 401
        assert (await ming.post("/api/session", json=login)).status_code == 204
        wrong = {"old": "no", "new": "a quite different sentence"}
        assert (await ming.put("/api/session/password", json=wrong)).status_code == 422
        right = {"old": new["password"], "new": "a quite different sentence"}
        assert (await ming.put("/api/session/password", json=right)).status_code == 204
        assert (await ming.post("/api/session", json=login)).status_code == 401
        login["password"] = right["new"]
        assert (await ming.post("/api/session", json=login)).status_code == 204
        disable = await client.put(
            "/api/accounts/ming/disabled", json={"disabled": True}, headers=KEY
        )
        assert disable.json()["disabled"] is True
        assert (await ming.get("/api/session")).status_code == 401
        assert (await ming.post("/api/session", json=login)).status_code == 401
    last = await client.put("/api/accounts/admin/disabled", json={"disabled": True}, headers=KEY)
    assert (last.status_code, last.json()["code"]) == (409, "last_administrator")

    page = (await client.get("/api/audit", params={"target": "ming", "limit": 3})).json()
    assert page["items"][0]["action"] in ("account_disabled", "log_in_failed")
    rest = await client.get(
        "/api/audit", params={"target": "ming", "limit": 100, "cursor": page["next"]}
    )
    seen = page["items"] + rest.json()["items"]
    assert [e["id"] for e in seen] == sorted({e["id"] for e in seen}, reverse=True)
    granted = next(e for e in seen if e["action"] == "account_grants")
    assert (granted["actor"], granted["why"]) == ("admin", "moved to the office")
    assert (granted["before"], granted["after"]) == ([["operator", ""]], [["viewer", ""]])
    assert (await client.get("/api/audit", params={"cursor": "x"})).status_code == 400


async def test_a_device_acts_by_its_token_until_it_is_revoked(
    brain: Brain, client: httpx.AsyncClient
) -> None:
    assert (await client.post("/api/session", json=ADMIN)).status_code == 204
    body = {"client": "robot-7", "grants": [{"role": "operator"}], "actions": ["acknowledge"]}
    token = (await client.post("/api/service-accounts", json=body, headers=KEY)).json()["token"]
    kept = await brain.pool.fetch("SELECT * FROM service_account")
    assert token.partition(".")[2] not in str(kept)
    remembered = await brain.pool.fetch("SELECT answer::text FROM idempotent")
    assert token not in str(remembered)
    async with httpx.AsyncClient(base_url=client.base_url, timeout=10) as robot:
        robot.headers["Authorization"] = f"Bearer {token}"
        items = {"items": []}
        assert (await robot.post("/api/alarms/ack", json=items, headers=KEY)).status_code == 200
        assert (await robot.get("/api/alarms")).status_code == 403  # its roles may, it may not
        assert (await robot.get("/api/session")).json()["user"] == "service:robot-7"
        robot.headers["Authorization"] = f"Bearer {token[:-1]}"
        assert (await robot.get("/api/session")).status_code == 401
        robot.headers["Authorization"] = f"Bearer {token}"
        listed = (await client.get("/api/service-accounts")).json()["items"]
        assert listed[0]["last_used_at"] is not None
        assert (await client.delete("/api/service-accounts/robot-7")).status_code == 204
        assert (await robot.get("/api/session")).json()["code"] == "bad_token"
    late = {**body, "client": "late-1", "expires_at": 1}
    token = (await client.post("/api/service-accounts", json=late, headers=KEY)).json()["token"]
    old = await client.get("/api/session", headers={"Authorization": f"Bearer {token}"})
    assert old.status_code == 401


async def test_an_idle_session_and_an_old_one_are_over(
    brain: Brain, client: httpx.AsyncClient
) -> None:
    idle, absolute = brain.settings.identity.session_idle, brain.settings.identity.session_absolute
    now = brain.clock.now_ms()
    for column, value, status in (
        ("seen_at", now - idle + 60_000, 200), ("seen_at", now - idle - 1, 401),
        ("expires_at", now - 1, 401), ("expires_at", now + absolute, 200),
    ):  # fmt: skip
        client.cookies.clear()
        assert (await client.post("/api/session", json=ADMIN)).status_code == 204
        await brain.pool.execute(f"UPDATE web_session SET {column} = $1", value)
        assert (await client.get("/api/session")).status_code == status, (column, value - now)


async def test_the_site_that_runs_stands_in_the_log(brain: Brain) -> None:
    async def entry() -> object:
        return await brain.pool.fetchrow("SELECT * FROM audit WHERE action = 'site_changed'")

    row = await until(entry)
    assert row["target"] == "f1"
    assert row["before"] == {"version": None}
    assert row["after"]["version"]
