"""Who may do what, cross-site writes, throttled logins, answers given once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request

from shared.clock import ManualClock
from shared.web.auth import (
    COOKIE,
    FAILURE_WINDOW_MS,
    MAX_FAILURES,
    POLICY,
    ROLES,
    IdempotencyKey,
    Place,
    Throttle,
    User,
    allowed,
    once,
    session_router,
    while_allowed,
)
from shared.web.dto import ItemResult
from shared.web.problem import install_problem_handlers

DESK = {
    "view", "label", "answer", "comment", "assign", "handle_incident", "report_event", "export",
}  # fmt: skip
RIGHTS = {  # written out by hand, apart from the table in the code
    "viewer": {"view"},
    "operator": {*DESK, "acknowledge", "shelve", "hand_over"},
    "shift-lead": {
        *DESK,
        "acknowledge",
        "shelve",
        "suppress",
        "out_of_service",
        "hand_over",
        "start_playbook",
        "manage_notifications",
        "read_audit",
        "propose_setting",
    },
    "engineer": {
        *DESK,
        "suppress",
        "out_of_service",
        "start_playbook",
        "write_playbook",
        "review_playbook",
        "propose_setting",
        "decide_proposal",
        "decide_directive",
        "steer_rollout",
        "manage_notifications",
        "manage_links",
        "read_audit",
    },
    "maintenance": {*DESK, "out_of_service"},
    "dispatcher": {"view", "propose_setting", "decide_proposal", "steer_rollout", "dispatch"},
    "administrator": set(POLICY),
}


class Accounts:
    def __init__(self) -> None:
        self.sessions: dict[str, User] = {}
        self.answers: dict[tuple[str, str, str], Any] = {}

    async def login(self, username: str, password: str) -> tuple[str, User] | None:
        await asyncio.sleep(0)  # verifying takes its time: others come in between
        if password != "right":
            return None
        user = User(username, (username,))
        self.sessions[f"t-{username}"] = user
        return f"t-{username}", user

    async def session(self, token: str) -> User | None:
        return self.sessions.get(token)

    async def bearer(self, token: str) -> User | None:
        return None

    async def gone(self, session: str, bearer: str, action: str) -> bool:
        user = self.sessions.get(session)
        return user is None or not user.may(action)

    async def logout(self, token: str) -> None:
        self.sessions.pop(token, None)

    async def recall(self, key: str, user: str, route: str) -> Any | None:
        return self.answers.get((key, user, route))

    async def remember(self, key: str, user: str, route: str, answer: Any) -> None:
        self.answers[key, user, route] = answer

    async def begin(self, key: str, user: str, route: str) -> bool:
        return (key, user, route) not in self.answers

    async def let_go(self, key: str, user: str, route: str) -> None:
        assert (key, user, route) not in self.answers


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def client(clock: ManualClock) -> AsyncIterator[httpx.AsyncClient]:
    app, done = FastAPI(), []
    app.state.accounts = Accounts()
    app.include_router(session_router(Place("factory", "f1", "一厂", "One"), clock))
    install_problem_handlers(app)

    @app.post("/api/ack")
    async def ack(
        request: Request,
        key: IdempotencyKey,
        user: Annotated[User, Depends(allowed("acknowledge"))],
    ) -> ItemResult:
        async def act() -> ItemResult:
            done.append(user.name)
            return ItemResult(occurrence=str(len(done)), accepted=True)

        return await once(request, user, key, act)

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as made:
        yield made


async def log_in(client: httpx.AsyncClient, name: str) -> httpx.Response:
    return await client.post("/api/session", json={"username": name, "password": "right"})


def test_the_rights_are_exactly_these() -> None:
    assert set(RIGHTS) == set(ROLES)
    for role, rights in RIGHTS.items():
        assert {action for action in POLICY if User("x", (role,)).may(action)} == rights, role
    assert not User("nobody", ()).may("view")
    assert not User("x", ("root",)).may("view")


async def test_a_session_is_a_cookie_that_scripts_and_other_sites_cannot_use(
    client: httpx.AsyncClient,
) -> None:
    answer = await log_in(client, "operator")
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(COOKIE)
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert (await client.get("/api/session")).json()["user"] == "operator"
    assert (await client.delete("/api/session")).status_code == 204
    client.cookies.clear()
    gone = await client.get("/api/session")
    assert (gone.status_code, gone.json()["code"]) == (401, "not_logged_in")
    assert gone.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("role", "status"), [("operator", 200), ("viewer", 403), (None, 401)])
async def test_a_write_needs_a_session_and_the_right(
    client: httpx.AsyncClient, role: str | None, status: int
) -> None:
    if role:
        await log_in(client, role)
    answer = await client.post("/api/ack", headers={"Idempotency-Key": "k" * 8})
    assert answer.status_code == status


async def test_a_write_from_another_site_is_refused(client: httpx.AsyncClient) -> None:
    await log_in(client, "operator")
    headers = {"Idempotency-Key": "k" * 8, "Origin": "http://evil"}
    answer = await client.post("/api/ack", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    headers["Origin"] = "http://console"
    assert (await client.post("/api/ack", headers=headers)).status_code == 200
    login = {"username": "operator", "password": "right"}
    forged = await client.post("/api/session", json=login, headers={"Origin": "http://evil"})
    assert forged.status_code == 403


async def test_a_repeated_write_is_done_once_per_person(client: httpx.AsyncClient) -> None:
    await log_in(client, "operator")
    headers = {"Idempotency-Key": "same-key-1"}
    first = await client.post("/api/ack", headers=headers)
    second = await client.post("/api/ack", headers=headers)
    assert first.json() == second.json()
    assert first.json()["occurrence"] == "1"
    other = await client.post("/api/ack", headers={"Idempotency-Key": "same-key-2"})
    assert other.json()["occurrence"] == "2"
    await log_in(client, "shift-lead")
    assert (await client.post("/api/ack", headers=headers)).json()["occurrence"] == "3"
    assert (await client.post("/api/ack")).status_code == 422


async def test_a_key_is_for_one_request_only(client: httpx.AsyncClient) -> None:
    await log_in(client, "operator")
    headers = {"Idempotency-Key": "same-key-3"}
    first = await client.post("/api/ack", headers=headers, json={"row": 1})
    for other in (
        await client.post("/api/ack", headers=headers, json={"row": 2}),
        await client.post("/api/ack?more=1", headers=headers, json={"row": 1}),
    ):
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    again = await client.post("/api/ack", headers=headers, json={"row": 1})
    assert (again.status_code, again.json()) == (200, first.json())


async def test_guessing_is_throttled_by_name_and_ends_by_the_clock(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    wrong = {"username": "operator", "password": "wrong"}
    for _ in range(MAX_FAILURES):
        answer = await client.post("/api/session", json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (401, "wrong_login")
    blocked = await log_in(client, "operator")
    assert (blocked.status_code, blocked.json()["code"]) == (429, "too_many_logins")
    assert (await log_in(client, "engineer")).status_code == 204
    clock.advance(FAILURE_WINDOW_MS)
    assert (await log_in(client, "operator")).status_code == 204


def test_the_throttle_forgets_after_success(clock: ManualClock) -> None:
    throttle = Throttle(clock)
    for _ in range(MAX_FAILURES):
        throttle.failed("a")
    assert throttle.blocked("a")
    throttle.succeeded("a")
    assert not throttle.blocked("a")


def test_a_clock_set_back_locks_nobody_out_for_longer(clock: ManualClock) -> None:
    throttle = Throttle(clock)
    for _ in range(MAX_FAILURES):
        throttle.failed("a")
    clock.jump(-3_600_000)
    assert throttle.blocked("a")
    clock.advance(FAILURE_WINDOW_MS)
    assert not throttle.blocked("a")


async def test_a_stranger_elsewhere_cannot_lock_an_operator_out(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    app = client._transport.app  # type: ignore[attr-defined]
    elsewhere = httpx.ASGITransport(app=app, client=("10.0.0.66", 4711))
    wrong = {"username": "operator", "password": "wrong"}
    async with httpx.AsyncClient(transport=elsewhere, base_url="http://console") as stranger:
        codes = [
            (await stranger.post("/api/session", json=wrong)).status_code
            for _ in range(MAX_FAILURES + 1)
        ]
    assert codes == [401] * MAX_FAILURES + [429]
    assert (await log_in(client, "operator")).status_code == 204


async def test_guesses_sent_all_at_once_are_counted(client: httpx.AsyncClient) -> None:
    wrong = {"username": "operator", "password": "wrong"}
    answers = await asyncio.gather(
        *(client.post("/api/session", json=wrong) for _ in range(4 * MAX_FAILURES))
    )
    assert sorted(a.status_code for a in answers).count(401) == MAX_FAILURES


async def test_a_stream_ends_with_its_viewers_session(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.web.auth.LOOK_EVERY_S", -1.0)  # at every frame
    app = client._transport.app  # type: ignore[attr-defined]
    accounts, closed = app.state.accounts, []
    accounts.sessions["t"] = User("ming", ("viewer",))
    scope = {"type": "http", "app": app, "headers": [(b"cookie", f"{COOKIE}=t".encode())]}

    async def frames() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"frame"
        finally:
            closed.append(True)

    seen = 0
    async for _ in while_allowed(Request(scope), "view", frames()):
        seen += 1
        if seen == 3:
            accounts.sessions.clear()
    assert (seen, closed) == (3, [True])
