"""Login, sessions and rights of the REST interface.

The table of rights is `shared/identity/policy.py`; every route names its action. Cookies are
HttpOnly and SameSite=strict, and writes from another origin are refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, cast
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.requests import HTTPConnection

from shared.clock import Clock
from shared.identity.claim import Claim, carrying_out
from shared.identity.policy import POLICY as POLICY
from shared.identity.policy import ROLES as ROLES
from shared.identity.policy import Grant as Grant
from shared.identity.policy import User as User
from shared.identity.throttle import FAILURE_WINDOW_MS as FAILURE_WINDOW_MS
from shared.identity.throttle import MAX_FAILURES as MAX_FAILURES
from shared.identity.throttle import Throttle as Throttle
from shared.web.dto import GrantOut, Login, Session, Text
from shared.web.may_answer import may_answer
from shared.web.problem import ProblemError

COOKIE = "andon_session"
COOKIE_S = 7 * 86_400
"""The browser forgets it then; when the session itself ends the server says."""
LOOK_EVERY_S = 20.0
"""How often an open stream asks whether its viewer may still see it."""


class Accounts(Protocol):
    """Accounts and sessions (see `shared/postgres/accounts.py`)."""

    async def login(self, username: str, password: str) -> tuple[str, User] | None:
        """A new session, or None."""
        ...

    async def session(self, token: str) -> User | None:
        """The user of a token."""
        ...

    async def bearer(self, token: str) -> User | None:
        """The user of an API token."""
        ...

    async def gone(self, session: str, bearer: str, action: str) -> bool:
        """Whether somebody who was let in may no more; a silent database ends nothing."""
        ...

    async def logout(self, token: str) -> None:
        """End a session."""
        ...

    async def recall(self, key: str, user: str, route: str) -> Any | None:
        """An answer already given."""
        ...

    async def remember(self, key: str, user: str, route: str, answer: Any) -> None:
        """Keep an answer."""
        ...

    async def begin(self, key: str, user: str, route: str) -> bool:
        """Take a key in hand; False while another process has it, or has answered."""
        ...

    async def let_go(self, key: str, user: str, route: str) -> None:
        """What was begun failed."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where one logs in."""

    tier: Literal["factory", "group"]
    site: str
    name_zh: str
    name_en: str


def check_origin(request: HTTPConnection) -> None:
    """Refuse writes (and WebSockets) that another site's page sends."""
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        raise ProblemError(403, "cross_site", origin=origin)


def session_token(connection: HTTPConnection) -> str:
    """The session that a browser shows, or ""."""
    return connection.cookies.get(COOKIE, "")


def shown_token(connection: HTTPConnection) -> str:
    """The API token that a device shows, or ""."""
    scheme, _, shown = connection.headers.get("authorization", "").partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else ""


async def current_user(request: HTTPConnection) -> User:
    """The logged-in user, by cookie or by API token; 401 otherwise."""
    accounts: Accounts = request.app.state.accounts
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        user = await accounts.bearer(shown_token(request))
        if user is None:
            raise ProblemError(401, "bad_token")
        return user
    token = session_token(request)
    user = await accounts.session(token) if token else None
    if user is None:
        raise ProblemError(401, "not_logged_in")
    return user


def allowed(
    action: str, *, everywhere: bool = False
) -> Callable[[Request], Coroutine[Any, Any, User]]:
    """Dependency: the logged-in user, who must be allowed `action` somewhere at least.

    A route that acts on one asset asks `user.may(action, asset)` as well; `everywhere` is for what
    touches the whole plant.
    """

    async def check(request: Request) -> User:
        if request.method not in ("GET", "HEAD"):
            check_origin(request)
        user = await current_user(request)
        if not (user.may_everywhere(action) if everywhere else user.may(action)):
            raise ProblemError(403, "not_allowed", action=action, roles=list(user.roles))
        return user

    check.action = action  # type: ignore[attr-defined]
    return check


def allowed_stream(action: str) -> Callable[[HTTPConnection], Coroutine[Any, Any, User]]:
    """The same for a WebSocket: no browser keeps another site's page from opening one."""

    async def check(request: HTTPConnection) -> User:
        check_origin(request)
        user = await current_user(request)
        if not user.may(action):
            raise ProblemError(403, "not_allowed", action=action, roles=list(user.roles))
        return user

    check.action = action  # type: ignore[attr-defined]
    return check


async def while_allowed(
    request: Request, action: str, frames: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    """A stream that ends when the viewer's session or right does.

    Looking also counts as use: a console that is open does not fall idle.
    """
    accounts: Accounts = request.app.state.accounts
    shown = shown_token(request)
    loop = asyncio.get_running_loop()
    looked = loop.time()
    async with aclosing(cast("AsyncGenerator[bytes]", frames)) as stream:
        async for frame in stream:
            if loop.time() - looked > LOOK_EVERY_S:
                looked = loop.time()
                if await accounts.gone(session_token(request), shown, action):
                    return
            yield frame


IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", min_length=8, max_length=128)]


_IN_FLIGHT: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()


IN_HAND_S = 35.0
"""For so long a request waits for the same one at another process."""
_SAME = "andon:request"
"""Beside an answer: what was asked for then."""
_DONE = "andon:done"
"""In place of one: the request had its effect, and its process ended before it could answer."""


async def once(
    request: Request, user: User, key: str, act: Callable[[], Coroutine[Any, Any, Any]],
    body: bytes | None = None, *, harmless: bool = False,
) -> Any:  # fmt: skip
    """Run `act` once per (key, user, route); a repetition gets the first answer for a day.

    `body`: what a route has read by itself. The same key with another body is refused. `harmless`:
    done again, it changes nothing; else what was committed by a process that ended before it
    answered is not begun again.
    """
    asked = hashlib.sha256(request.scope.get("query_string", b"") + b"\0")
    asked.update(await request.body() if body is None else body)
    digest = asked.hexdigest()
    accounts: Accounts = request.app.state.accounts
    route = f"{request.method} {request.url.path}"
    lock = _IN_FLIGHT.setdefault((key, user.name, route), asyncio.Lock())
    async with lock:  # a second click that overtakes the first waits for its answer
        earlier = await _earlier(accounts, (key, user.name, route))
        if isinstance(earlier, dict) and earlier.get(_SAME, digest) != digest:
            raise ProblemError(422, "idempotency_key_reused")
        if isinstance(earlier, dict) and earlier.get(_DONE):
            raise ProblemError(409, "answer_lost")
        if earlier is not None:
            return earlier["answer"] if _SAME in earlier else earlier
        try:
            with carrying_out(None if harmless else Claim(key, user.name, route)):
                answer = await act()
        except BaseException:
            await accounts.let_go(key, user.name, route)
            raise
        kept = {_SAME: digest, "answer": answer.model_dump(mode="json")}
        await accounts.remember(key, user.name, route, kept)
        return answer


async def _earlier(accounts: Accounts, asked: tuple[str, str, str]) -> Any | None:
    """The answer given under a key; None: it is this request's to answer, in all processes."""
    loop = asyncio.get_running_loop()
    until = loop.time() + IN_HAND_S
    while True:
        earlier = await accounts.recall(*asked)
        if earlier is not None or await accounts.begin(*asked):
            return earlier
        if loop.time() > until:
            raise ProblemError(503, "store_unavailable")
        await asyncio.sleep(0.05)


def set_session_cookie(request: Request, response: Response, token: str) -> None:
    """Hand the session's token to the browser, out of reach of scripts and of other sites."""
    response.set_cookie(
        COOKIE, token, httponly=True, samesite="strict",
        secure=request.url.scheme == "https", max_age=COOKIE_S,
    )  # fmt: skip


def session_router(place: Place, clock: Clock) -> APIRouter:
    """Routes of /api/session."""
    router = APIRouter(prefix="/api/session", tags=["session"])
    throttle = Throttle(clock)

    @router.post("", status_code=204, responses=may_answer(401))
    async def log_in(login: Login, request: Request, response: Response) -> None:
        check_origin(request)
        who = f"{request.client.host if request.client else ''} {login.username[:100]}"
        if throttle.blocked(who):
            raise ProblemError(429, "too_many_logins", seconds=FAILURE_WINDOW_MS // 1000)
        accounts: Accounts = request.app.state.accounts
        throttle.failed(who)  # counted before it is known: a hundred guesses at once are no way out
        try:
            found = await accounts.login(login.username, login.password)
        except BaseException:
            throttle.withdraw(who)  # the database's fault is no guess
            raise
        if found is None:
            raise ProblemError(401, "wrong_login")
        throttle.succeeded(who)
        set_session_cookie(request, response, found[0])

    @router.get("")
    async def who(user: Annotated[User, Depends(current_user)]) -> Session:
        return Session(
            user=user.name,
            roles=list(user.roles),
            grants=[GrantOut(role=g.role, area=g.area) for g in user.grants or ()]
            or [GrantOut(role=role) for role in user.roles],
            actions=[action for action in POLICY if user.may(action)],
            kind=user.kind,
            tier=place.tier,
            site=place.site,
            site_name=Text(zh=place.name_zh, en=place.name_en),
        )

    @router.delete("", status_code=204)
    async def log_out(request: Request, response: Response) -> None:
        check_origin(request)
        accounts: Accounts = request.app.state.accounts
        if token := request.cookies.get(COOKIE):
            await accounts.logout(token)
        response.delete_cookie(COOKIE)

    return router
