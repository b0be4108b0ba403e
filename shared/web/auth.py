"""Login, sessions and rights of the REST interface.

One table says which role may do what; every route names its action. Cookies are HttpOnly and
SameSite=strict, and writes from another origin are refused.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from fastapi import APIRouter, Depends, Header, Request, Response

from shared.clock import Clock
from shared.web.dto import Login, Session, Text
from shared.web.problem import ProblemError

COOKIE = "andon_session"
ROLES = (
    "viewer", "operator", "shift-lead", "engineer", "maintenance", "dispatcher", "administrator",
)  # fmt: skip
_DESK = {"operator", "shift-lead", "engineer", "maintenance", "administrator"}
POLICY: dict[str, set[str]] = {
    "view": set(ROLES),
    "acknowledge": {"operator", "shift-lead", "administrator"},
    "label": _DESK,
    "answer": _DESK,
    "start_playbook": {"shift-lead", "engineer", "administrator"},
    "comment": _DESK,
    "assign": _DESK,
    "shelve": {"operator", "shift-lead", "administrator"},
    "suppress": {"shift-lead", "engineer", "administrator"},
    "out_of_service": {"shift-lead", "maintenance", "engineer", "administrator"},
    "hand_over": {"operator", "shift-lead", "administrator"},
    "handle_incident": _DESK,
    "report_event": {"operator", "shift-lead", "engineer", "maintenance", "administrator"},
    "export": _DESK,
    "manage_notifications": {"shift-lead", "engineer", "administrator"},
    "manage_links": {"engineer", "administrator"},
    "read_audit": {"shift-lead", "engineer", "administrator"},
    "decide_proposal": {"engineer", "dispatcher", "administrator"},
    "administer": {"administrator"},
}
"""action -> roles that may do it."""
MAX_FAILURES = 5
FAILURE_WINDOW_MS = 60_000


@dataclass(frozen=True, slots=True)
class User:
    """Who is logged in."""

    name: str
    roles: tuple[str, ...]

    def may(self, action: str) -> bool:
        """Whether any of the user's roles allows `action`."""
        return not POLICY[action].isdisjoint(self.roles)


class Accounts(Protocol):
    """Accounts and sessions (see `shared/postgres/accounts.py`)."""

    async def login(self, username: str, password: str) -> tuple[str, User] | None:
        """A new session, or None."""
        ...

    async def session(self, token: str) -> User | None:
        """The user of a token."""
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


class Throttle:
    """At most `MAX_FAILURES` failed logins a minute for one name from one address.

    Not for the name alone: whoever knows an operator's name could lock the operator out.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=MAX_FAILURES))

    def blocked(self, name: str) -> bool:
        """Whether this name must wait."""
        seen = self._failures.get(name)
        if not seen or len(seen) < MAX_FAILURES:
            return False
        return self._clock.now_ms() - seen[0] < FAILURE_WINDOW_MS

    def failed(self, name: str) -> None:
        """Count a failure (bounded number of names)."""
        if len(self._failures) > 10_000:
            del self._failures[next(iter(self._failures))]
        self._failures[name].append(self._clock.now_ms())

    def withdraw(self, name: str) -> None:
        """Take back the last failure: it was none."""
        if seen := self._failures.get(name):
            seen.pop()

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        self._failures.pop(name, None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one logs in."""

    tier: Literal["factory", "group"]
    site: str
    name_zh: str
    name_en: str


def check_origin(request: Request) -> None:
    """Refuse writes that another site's page sends."""
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        raise ProblemError(403, "cross_site", origin=origin)


async def current_user(request: Request) -> User:
    """The logged-in user; 401 otherwise."""
    token = request.cookies.get(COOKIE, "")
    accounts: Accounts = request.app.state.accounts
    user = await accounts.session(token) if token else None
    if user is None:
        raise ProblemError(401, "not_logged_in")
    return user


def allowed(action: str) -> Callable[[Request], Coroutine[Any, Any, User]]:
    """Dependency: the logged-in user, who must be allowed `action`."""

    async def check(request: Request) -> User:
        if request.method not in ("GET", "HEAD"):
            check_origin(request)
        user = await current_user(request)
        if not user.may(action):
            raise ProblemError(403, "not_allowed", action=action, roles=list(user.roles))
        return user

    return check


IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", min_length=8, max_length=128)]


_IN_FLIGHT: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()


async def once(
    request: Request, user: User, key: str, act: Callable[[], Coroutine[Any, Any, Any]]
) -> Any:
    """Run `act` once per (key, user, route); a repetition gets the first answer."""
    accounts: Accounts = request.app.state.accounts
    route = f"{request.method} {request.url.path}"
    lock = _IN_FLIGHT.setdefault((key, user.name, route), asyncio.Lock())
    async with lock:  # a second click that overtakes the first waits for its answer
        earlier = await accounts.recall(key, user.name, route)
        if earlier is not None:
            return earlier
        answer = await act()
        await accounts.remember(key, user.name, route, answer.model_dump(mode="json"))
        return answer


def session_router(place: Place, clock: Clock) -> APIRouter:
    """Routes of /api/session."""
    router = APIRouter(prefix="/api/session", tags=["session"])
    throttle = Throttle(clock)

    @router.post("", status_code=204)
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
        response.set_cookie(
            COOKIE, found[0], httponly=True, samesite="strict",
            secure=request.url.scheme == "https", max_age=12 * 3600,
        )  # fmt: skip

    @router.get("")
    async def who(user: Annotated[User, Depends(current_user)]) -> Session:
        return Session(
            user=user.name,
            roles=list(user.roles),
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
