"""Token buckets: how fast one account and one address may ask.

Acting on alarms has buckets of its own, so generous that no person meets them, and so has watching
them: whoever floods the lists keeps nobody from acknowledging, and darkens no console. Bounded in
memory.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Literal

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.clock import Clock
from shared.rates import RateSettings
from shared.web.boundary import refuse
from shared.web.problem import ProblemError

MOST_BUCKETS = 10_000
EXEMPT = ("/api/healthz", "/api/readyz")
_ACTING = (
    "/api/alarms/", "/api/incidents/", "/api/occurrences/", "/api/runs/", "/api/handover",
    "/api/notifications/",
)  # fmt: skip
"""Writes below these are what operators do; so is silencing, which needs no request here."""
_SIGN_IN = "/api/session"
_WATCHING = ("/api/alarms", "/api/stream", "/api/ws")
"""What a console asks for when it comes back; after a restart all of them do, at once."""
Class = Literal["asking", "acting", "watching"]
COOKIE = "andon_session"


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: int


@dataclass(slots=True)
class Buckets:
    """The buckets of one kind; the one used longest ago makes room."""

    clock: Clock
    per_s: float
    burst: int
    most: int = MOST_BUCKETS
    _held: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict)

    def take(self, who: str) -> tuple[bool, int, float]:
        """Take a token: whether there was one, how many are left, seconds until one comes."""
        now = self.clock.mono_ms()
        bucket = self._held.get(who)
        if bucket is None:
            if len(self._held) >= self.most:
                self._held.popitem(last=False)
            bucket = self._held[who] = _Bucket(float(self.burst), now)
        self._held.move_to_end(who)
        grown = (now - bucket.at) * self.per_s / 1000
        bucket.tokens, bucket.at = min(self.burst, bucket.tokens + grown), now
        if bucket.tokens < 1:
            return False, 0, (1 - bucket.tokens) / self.per_s
        bucket.tokens -= 1
        return True, int(bucket.tokens), 0.0

    def __len__(self) -> int:
        return len(self._held)


class RateLimits:
    """An ASGI layer that lets through what the buckets allow."""

    def __init__(self, app: ASGIApp, clock: Clock, settings: RateSettings) -> None:
        self._app, self._settings = app, settings
        factors = {"asking": 1.0, "watching": 1.0, "acting": settings.acting_factor}
        rates = {
            "account": (settings.per_account, settings.account_burst),
            "address": (settings.per_address, settings.address_burst),
        }
        self._buckets = {
            (kind, sort): Buckets(clock, per_s * factor, int(burst * factor))
            for kind, (per_s, burst) in rates.items()
            for sort, factor in factors.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if not self._settings.enabled or not _counts(scope):
            await self._app(scope, receive, send)
            return
        sort, client = _class(scope), scope.get("client")
        # The account first: what that refuses costs its neighbours behind one address nothing.
        asked = [("account", shown)] if (shown := _credential(Headers(scope=scope))) else []
        asked.append(("address", str(client[0]) if client else ""))
        told: dict[str, str] = {}
        for kind, who in asked:
            buckets = self._buckets[kind, sort]
            taken, left, wait = buckets.take(who)
            if not taken or not told:
                told = _headers(kind, buckets, left, wait)
            if not taken:
                seconds = max(1, math.ceil(wait))
                problem = ProblemError(429, "rate_limited", seconds=seconds)
                headers = {**told, "Retry-After": str(seconds)}
                await refuse(scope, receive, send, problem, headers)
                return

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await send(message)

        await self._app(scope, receive, sender)


def _counts(scope: Scope) -> bool:
    if scope["type"] not in ("http", "websocket"):
        return False
    path = scope["path"]
    return path.startswith("/api/") and path not in EXEMPT


def _class(scope: Scope) -> Class:
    path = scope["path"]
    if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
        return "watching" if path in _WATCHING else "asking"
    # Logging in too: a flood of lists must not keep an operator out. It has its own throttle.
    return "acting" if path.startswith(_ACTING) or path == _SIGN_IN else "asking"


def _credential(headers: Headers) -> str:
    """Who asks, as far as can be said without asking the database; never kept in the clear."""
    shown = headers.get("authorization", "")
    if not shown and COOKIE in headers.get("cookie", ""):
        try:
            found = SimpleCookie(headers["cookie"]).get(COOKIE)
        except CookieError:
            found = None
        shown = found.value if found else ""
    return hashlib.sha256(shown.encode()).hexdigest()[:32] if shown else ""


def _headers(kind: str, buckets: Buckets, left: int, wait: float) -> dict[str, str]:
    window = max(1, math.ceil(buckets.burst / buckets.per_s))
    return {
        "RateLimit-Policy": f'"{kind}";q={buckets.burst};w={window}',
        "RateLimit": f'"{kind}";r={left};t={math.ceil(wait)}',
    }
