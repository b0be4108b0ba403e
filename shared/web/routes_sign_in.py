"""REST of sign-in at an identity server: away to it, back from it, ended by it.

Public by nature: whoever is not signed in yet comes here. What is believed is decided behind it.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from shared.errors import Rejected, RetryableTransportError
from shared.web.auth import set_session_cookie
from shared.web.dto_identity import SignInWays
from shared.web.identity_ports import SignIn, identity_of
from shared.web.may_answer import may_answer
from shared.web.problem import ProblemError

LOGIN = "/api/session/oidc/login"
STATE_COOKIE = "andon_sign_in"
STATE_PATH = "/api/session/oidc"
STATE_S = 600
LARGEST = 32_768


def _sign_in(request: Request) -> SignIn:
    found = identity_of(request).sign_in
    if found is None:
        raise ProblemError(404, "no_identity_server")
    return found


def _own_page(path: str) -> str:
    """A page of this console, never another site's."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if safe else "/"


def sign_in_router() -> APIRouter:
    """Routes of /api/session/ways and /api/session/oidc."""
    router = APIRouter(prefix="/api/session", tags=["session"])

    @router.get("/ways")
    async def ways(request: Request) -> SignInWays:
        identity = identity_of(request)
        oidc = identity.sign_in is not None
        local = identity.settings.mode == "local" or identity.settings.break_glass
        return SignInWays(local=local, oidc=oidc, login_url=LOGIN if oidc else "")

    @router.get(
        "/oidc/login", response_class=RedirectResponse, status_code=303, responses=may_answer(404)
    )
    async def login(
        request: Request, back_to: Annotated[str, Query(alias="next", max_length=500)] = "/"
    ) -> Response:
        try:
            url, cookie = await _sign_in(request).begin(_own_page(back_to))
        except RetryableTransportError as error:
            raise ProblemError(503, "identity_server_silent") from error
        answer = RedirectResponse(url, status_code=303)
        # Lax: the browser comes back from another site, and must bring this one along.
        answer.set_cookie(
            STATE_COOKIE, cookie, httponly=True, samesite="lax", path=STATE_PATH, max_age=STATE_S,
            secure=request.url.scheme == "https",
        )  # fmt: skip
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @router.get(
        "/oidc/callback", response_class=RedirectResponse, status_code=303,
        responses=may_answer(404),
    )  # fmt: skip
    async def callback(request: Request) -> Response:
        query = dict(request.query_params)
        cookie = request.cookies.get(STATE_COOKIE, "")
        try:
            found = await _sign_in(request).finish(query, cookie)
        except RetryableTransportError:
            found = Rejected("identity_server_silent")
        if isinstance(found, Rejected):
            answer = RedirectResponse(f"/?sign_in={quote(found.code)}", status_code=303)
        else:
            answer = RedirectResponse(_own_page(found[1]), status_code=303)
            set_session_cookie(request, answer, found[0])
        answer.delete_cookie(STATE_COOKIE, path=STATE_PATH)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @router.post("/oidc/logout")
    async def ended_there(request: Request) -> Response:
        sign_in, body = _sign_in(request), b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST:
                raise ProblemError(413, "too_large")
        token = parse_qs(body.decode("latin-1")).get("logout_token", [""])[0]
        if not token or not await sign_in.ended_there(token):
            raise ProblemError(400, "bad_logout_token")
        return Response(status_code=200, headers={"Cache-Control": "no-store"})

    return router
