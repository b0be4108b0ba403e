"""HTTP of the local page: the page itself, status, stream, acknowledgement, optional password.

Built by `edge_node.page_child`; every decision is the engine's, reached through `desk`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

from edge_node.web.desk import MAX_VIEWERS, Desk
from shared.clock import Clock
from shared.web.auth import Throttle, check_origin
from shared.web.dto import AckRequest, ActionResult, Dto
from shared.web.problem import ProblemError, install_problem_handlers

COOKIE = "andon_edge"
SESSION_MS = 12 * 3_600_000
MAX_SESSIONS = 100
LOOPBACK = ("127.0.0.1", "localhost", "::1")
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=8, max_length=128)]


class LocalAck(AckRequest):
    """An acknowledgement with the name of the person at this page."""

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


def load_page() -> tuple[bytes, str]:
    """The page and a content policy that allows its own script and style, and nothing else."""
    text = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")

    def digest(tag: str) -> str:
        found = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        body = found[1] if found else ""
        return base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()

    policy = (
        f"default-src 'none'; script-src 'sha256-{digest('script')}'; "
        f"style-src 'sha256-{digest('style')}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text.encode(), policy


def create_app(desk: Desk, gate: Gate, host: str) -> FastAPI:
    """The page's application."""
    app = FastAPI(title="Andon edge", docs_url=None, redoc_url=None, openapi_url=None)
    install_problem_handlers(app)
    if host in LOOPBACK:
        # Another site's name that resolves to this machine (DNS rebinding) is not let in.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])
    _page_routes(app, gate)
    _data_routes(app, desk, gate)
    return app


def _page_routes(app: FastAPI, gate: Gate) -> None:
    page, policy = load_page()
    headers = {
        "Content-Security-Policy": policy, "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    }  # fmt: skip

    @app.get("/")
    async def index() -> Response:
        return Response(page, media_type="text/html; charset=utf-8", headers=headers)

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
    async def stream() -> StreamingResponse:
        if desk.viewers >= MAX_VIEWERS:
            raise ProblemError(503, "too_many_viewers", most=MAX_VIEWERS)
        return StreamingResponse(
            desk.frames(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    @app.post("/api/alarms/ack", dependencies=guarded)
    async def acknowledge(body: LocalAck, key: Key) -> ActionResult:
        return await desk.acknowledge(key, body, body.actor)
