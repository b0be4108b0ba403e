"""HTTP of the local page: the page itself, status, stream, actions, trends, optional password.

Built by `edge_node.page_child`; every decision is the engine's, reached through `desk`.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from pydantic import Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

from edge_node.web.desk import MAX_VIEWERS, Desk
from edge_node.web.metrics import metrics_router
from shared.clock import Clock
from shared.web.auth import Throttle, check_origin
from shared.web.dto import AckItem, AckRequest, ActionResult, Dto
from shared.web.problem import ProblemError, install_problem_handlers
from shared.web.streaming import ClosingStream

COOKIE = "andon_edge"
SESSION_MS = 12 * 3_600_000
MAX_SESSIONS = 100
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ASSETS = ("page.html", "page.css", "words.js", "trend.js", "system.js", "page.js", "codes.json")
TYPES = {
    "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8", "json": "application/json",
}  # fmt: skip
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Its own script and style, and nothing else."""
Action = Literal[
    "acknowledge", "confirm", "reset", "shelve", "unshelve", "out_of_service", "in_service",
    "suppress", "unsuppress", "disable", "enable", "comment",
]  # fmt: skip
Find = Annotated[str, Query(max_length=100)]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=8, max_length=128)]


class LocalAck(AckRequest):
    """An acknowledgement with the name of the person at this page."""

    actor: str = Field(min_length=1, max_length=64, pattern=r"^\S.*$")


class ActionArgs(Dto):
    """What an action needs to know."""

    minutes: float | None = Field(default=None, gt=0, le=525_600)
    one_shot: bool | None = None
    reason: str | None = Field(default=None, max_length=500)
    text: str | None = Field(default=None, max_length=1000)


class LocalAction(Dto):
    """What a person at this page does to some alarms."""

    action: Action
    items: list[AckItem] = Field(min_length=1, max_length=500)
    args: ActionArgs = ActionArgs()
    actor: str = Field(min_length=1, max_length=64, pattern=r"^\S.*$")


class PageLogin(Dto):
    """The page's password."""

    password: str = Field(max_length=1000)


class Gate:
    """The optional password of the page; without one everybody at this machine is let in."""

    def __init__(self, password: str | None, clock: Clock) -> None:
        self._password = password
        self._clock = clock
        self._throttle = Throttle(clock)
        self._sessions: OrderedDict[str, int] = OrderedDict()

    @property
    def closed(self) -> bool:
        """Whether a password is asked for."""
        return self._password is not None

    def login(self, given: str, where: str) -> str:
        """A new session for the right password; raises a problem otherwise."""
        if self._throttle.blocked(where):
            raise ProblemError(429, "too_many_attempts")
        wanted = (self._password or "").encode()
        if not hmac.compare_digest(given.encode(), wanted):
            self._throttle.failed(where)
            raise ProblemError(401, "wrong_password")
        token = secrets.token_urlsafe(24)
        self._sessions[token] = self._clock.now_ms() + SESSION_MS
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return token

    def knows(self, request: Request) -> bool:
        """Whether this request may see the page's data."""
        until = self._sessions.get(request.cookies.get(COOKIE, ""), 0)
        return not self.closed or until > self._clock.now_ms()

    def check(self, request: Request) -> None:
        """Dependency of every data route."""
        if request.method not in ("GET", "HEAD"):
            check_origin(request)
        if not self.knows(request):
            raise ProblemError(401, "not_logged_in")


def load_assets() -> dict[str, tuple[bytes, str]]:
    """The page's own files by path, with their types."""
    folder = Path(__file__).parent
    return {name: ((folder / name).read_bytes(), TYPES[name.rpartition(".")[2]]) for name in ASSETS}


def create_app(desk: Desk, gate: Gate, host: str) -> FastAPI:
    """The page's application."""
    app = FastAPI(title="Andon edge", docs_url=None, redoc_url=None, openapi_url=None)
    install_problem_handlers(app)
    if host in LOOPBACK:
        # Another site's name that resolves to this machine (DNS rebinding) is not let in.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])
    _page_routes(app, gate)
    _data_routes(app, desk, gate)
    _look_up_routes(app, desk, gate)
    app.include_router(metrics_router(lambda: desk.status, [Depends(gate.check)]))
    return app


def _page_routes(app: FastAPI, gate: Gate) -> None:
    assets = load_assets()
    headers = {
        "Content-Security-Policy": POLICY, "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    }  # fmt: skip

    @app.get("/")
    async def index() -> Response:
        body, kind = assets["page.html"]
        return Response(body, media_type=kind, headers=headers)

    @app.get("/assets/{name}")
    async def asset(name: str) -> Response:
        if name not in assets:
            raise ProblemError(404, "not_found")
        body, kind = assets[name]
        return Response(body, media_type=kind, headers=headers)

    @app.get("/api/healthz")
    async def healthz() -> dict[str, Any]:
        return {"ok": True}

    @app.get("/api/session")
    async def session(request: Request) -> dict[str, Any]:
        return {"password": gate.closed, "logged_in": gate.knows(request)}

    @app.post("/api/session", status_code=204)
    async def login(body: PageLogin, request: Request, response: Response) -> None:
        check_origin(request)
        token = gate.login(body.password, request.client.host if request.client else "")
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")


def _data_routes(app: FastAPI, desk: Desk, gate: Gate) -> None:
    guarded = [Depends(gate.check)]

    @app.get("/api/status", dependencies=guarded)
    async def status() -> Response:
        if not desk.status:
            raise ProblemError(503, "engine_starting")
        return Response(
            desk.status, media_type="application/json", headers={"Cache-Control": "no-store"}
        )

    @app.get("/api/stream", dependencies=guarded)
    async def stream() -> ClosingStream:
        if desk.viewers >= MAX_VIEWERS:
            raise ProblemError(503, "too_many_viewers", most=MAX_VIEWERS)
        return ClosingStream(
            desk.frames(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    @app.post("/api/alarms/ack", dependencies=guarded)
    async def acknowledge(body: LocalAck, key: Key) -> ActionResult:
        args = {"comment": body.comment} if body.comment else {}
        return await desk.act(key, "acknowledge", body.items, args, body.actor)

    @app.post("/api/alarms/act", dependencies=guarded)
    async def act(body: LocalAction, key: Key) -> ActionResult:
        args = body.args.model_dump(exclude_none=True)
        return await desk.act(key, body.action, body.items, args, body.actor)


def _look_up_routes(app: FastAPI, desk: Desk, gate: Gate) -> None:
    guarded = [Depends(gate.check)]

    def answer(body: bytes) -> Response:
        headers = {"Cache-Control": "no-store"}
        return Response(body, media_type="application/json", headers=headers)

    @app.get("/api/alarms", dependencies=guarded)
    async def alarms(find: Find = "") -> Response:
        return answer(await desk.look_up("alarms", find=find))

    @app.get("/api/tags", dependencies=guarded)
    async def tags(find: Find = "") -> Response:
        return answer(await desk.look_up("tags", find=find))

    @app.get("/api/trend", dependencies=guarded)
    async def trend(
        tag: str = "", alarm: str = "", since: int | None = None, until: int | None = None,
        most: int = 1_000,
    ) -> Response:  # fmt: skip
        found = await desk.look_up(
            "trend", tag=tag, alarm=alarm, since=since, until=until, most=most
        )
        return answer(found)
