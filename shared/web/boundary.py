"""The outermost layer of the web application: what may come in, and what goes out after a fault.

Bounds bodies, refuses what no database could hold, and turns what nobody expected into a problem
with a trace id. It knows no route's meaning.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.telemetry import logger
from shared.web.problem import ProblemError, invalid, problem_response
from shared.web.storable import Fault, fault_of_body, fault_of_path, fault_of_query

log = logger("web")
LARGEST = 1_048_576
"""Bytes of a body; routes that take files bound their own."""
OWN_BOUNDS = ("/api/attachments", "/api/hooks/", "/api/session/oidc/logout")
Faults = tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True)
class StoreFaults:
    """What the database's driver raises, told by those who know it."""

    silent: Faults = ()
    """It does not answer: 503, try again."""
    unstorable: Faults = ()
    """What was sent cannot be stored: 422."""


async def refuse(
    scope: Scope, receive: Receive, send: Send, error: ProblemError,
    headers: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Answer a request with a problem, from outside any route; a WebSocket is told so too."""
    response = problem_response(error, Headers(scope=scope).get("accept-language", ""), headers)
    await response(scope, receive, send)


class Boundary:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, store: StoreFaults) -> None:
        self._app, self._store = app, store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        fault = _of_target(scope)
        if fault is not None:
            await refuse(scope, receive, send, invalid(*fault))
            return
        try:
            if scope["type"] == "http" and _reads_json(scope):
                receive = await _checked(scope, receive)
            await self._guarded(scope, receive, send)
        except ProblemError as error:
            await refuse(scope, receive, send, error)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sender(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sender)
        except Exception as error:
            if begun:
                raise  # half an answer: only the end of the connection tells the truth
            raise self._problem(error, scope) from error

    def _problem(self, error: Exception, scope: Scope) -> ProblemError:
        if isinstance(error, ProblemError):
            return error
        trace, path = secrets.token_hex(8), _shown(scope)
        if isinstance(error, self._store.unstorable):
            log.exception("request_unstorable", trace=trace, path=path)
            return invalid(["request"], "value_error")
        if isinstance(error, self._store.silent):
            log.error("store_unavailable", trace=trace, path=path, error=repr(error))
            return ProblemError(503, "store_unavailable", trace=trace)
        log.exception("request_failed", trace=trace, path=path)
        return ProblemError(500, "internal_error", trace=trace)


def _shown(scope: Scope) -> str:
    """The path as a log may hold it: who reads a parameter `token` there may act with it."""
    path, params = str(scope["path"]), scope.get("path_params")
    if params is None:  # not routed yet: what is a secret in it is not known
        return "/".join(path.split("/")[:3])
    return path.replace(str(params["token"]), "…") if params.get("token") else path


def _of_target(scope: Scope) -> Fault | None:
    raw = scope.get("raw_path") or scope["path"].encode()
    return fault_of_path(raw) or fault_of_query(scope.get("query_string", b""))


def _reads_json(scope: Scope) -> bool:
    return scope["method"] not in ("GET", "HEAD", "OPTIONS") and not scope["path"].startswith(
        OWN_BOUNDS
    )


async def _checked(scope: Scope, receive: Receive) -> Receive:
    """The body, read whole and found fit; the route gets it from here."""
    said = Headers(scope=scope).get("content-length", "0")
    if said.isdigit() and len(said) < 20 and int(said) > LARGEST:
        raise ProblemError(413, "too_large", most=LARGEST)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break  # gone: the route is told the same
        body += message.get("body", b"")
        if len(body) > LARGEST:
            raise ProblemError(413, "too_large", most=LARGEST)
        if not message.get("more_body"):
            break
    fault = fault_of_body(bytes(body))
    if fault is not None:
        raise invalid(*fault)
    waiting: list[Message] = [message if message["type"] != "http.request" else _whole(body)]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _whole(body: bytearray) -> Message:
    return {"type": "http.request", "body": bytes(body), "more_body": False}
