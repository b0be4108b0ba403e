"""HTTP client: asks for JSON bodies at an interval, sends orders once with an idempotency key.

Run by the driver child. Bodies are bounded, redirects are not followed, secrets come from a file.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from edge_node.adapters.sources.http_pull import HttpOptions, Place, parse_address, parse_write
from edge_node.adapters.sources.json_values import MISSING, as_raw, look_up, parse_path, parse_time
from edge_node.adapters.sources.port import BAD, GOOD, Point, Sink, Source, emit
from edge_node.application.ipc import Write, WriteResult
from shared import webhooks
from shared.clock import Clock
from shared.errors import AndonError, ConfigError, RetryableTransportError

MAX_ANSWER = 16_384
"""Bytes of a write's answer that are read."""
MAX_MISSES = 2
MAX_PAUSE_MS = 30_000
WRITE_MARGIN_S = 0.05
VALIDATORS = (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified"))
"""What goes with the next request, and the header of the answer that it repeats."""
# The server says that it has not worked on the request, or cannot say.
_OPEN_CODES = {408, 425}


@dataclass(slots=True)
class _Request:
    """One GET and what is read from its answer."""

    url: str
    interval_ms: int
    members: list[tuple[Point, Place]]
    due_ms: int = 0
    misses: int = 0
    fault: str = ""
    validators: dict[str, str] = field(default_factory=dict)
    body: Any = MISSING


class HttpDriver:
    """One HTTP service."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._options: HttpOptions = source.options
        self._time_path = parse_path(self._options.time) if self._options.time else None
        self._requests: list[_Request] = []
        self._client: httpx.AsyncClient | None = None
        self._secret = ""

    async def connect(self) -> None:
        """Check addresses and secrets, and ask once for everything."""
        source, options = self._source, self._options
        target = urlsplit(source.url)
        if target.scheme not in ("http", "https") or not target.hostname or target.username:
            raise ConfigError(
                f"source {source.id}: the url must be http://host/path without a password in it",
                mend="put the password into a file, and its path into device_credentials",
            )
        self._secret = source.password()
        if options.auth != "none" and not self._secret:
            raise ConfigError(
                f"source {source.id}: `auth: {options.auth}` needs a secret",
                mend="set password_file in the edge's device_credentials of this source",
            )
        self._requests = self._arrange()
        self._client = httpx.AsyncClient(
            timeout=options.timeout / 1000, headers={**options.headers, **self._auth()},
            verify=self._trust(), follow_redirects=False, trust_env=False,
        )  # fmt: skip
        for request in self._requests:
            await self._get(request)
        self._check(most=1)  # where nothing answers the first time, there is no connection

    def _auth(self) -> dict[str, str]:
        match self._options.auth:
            case "bearer":
                return {"Authorization": f"Bearer {self._secret}"}
            case "header":
                return {self._options.auth_header: self._secret}
            case "basic":
                user = str(self._source.settings.get("user", ""))
                pair = base64.b64encode(f"{user}:{self._secret}".encode()).decode()
                return {"Authorization": f"Basic {pair}"}
        return {}

    def _trust(self) -> ssl.SSLContext | bool:
        if not self._options.ca_file:
            return True
        try:
            return ssl.create_default_context(cafile=self._options.ca_file)
        except OSError as error:
            raise ConfigError(
                f"source {self._source.id}: cannot read {self._options.ca_file}: {error}",
                mend="correct ca_file: a PEM file with the certificates to trust",
            ) from error

    def _arrange(self) -> list[_Request]:
        found: dict[tuple[str, int], _Request] = {}
        base = self._source.url
        for point in self._source.points:
            try:
                place = parse_address(point.address)
            except ValueError as error:
                raise ConfigError(
                    f"source {self._source.id}, tag {point.id}: {error}",
                    mend="correct the tag's address",
                ) from error
            url = f"{base.rstrip('/')}/{place.request.lstrip('/')}" if place.request else base
            request = found.setdefault(
                (url, point.interval_ms), _Request(url, point.interval_ms, [])
            )
            request.members.append((point, place))
        return list(found.values())

    async def run(self) -> None:
        """Ask at the intervals; raises when nothing answers any more."""
        while True:
            self._check()
            self._sink.state("connected", self._describe())
            if not self._requests:
                await asyncio.sleep(1)
                continue
            request = min(self._requests, key=lambda request: request.due_ms)
            await asyncio.sleep(max(0, request.due_ms - self._clock.mono_ms()) / 1000)
            await self._get(request)

    def _check(self, most: int = MAX_MISSES) -> None:
        if self._requests and all(request.misses >= most for request in self._requests):
            raise RetryableTransportError(
                f"HTTP source {self._source.id}: {self._requests[0].fault}\n"
                "  mend: check that the service runs, and this source's url, path and auth"
            )

    def _describe(self) -> str:
        faults = [request.fault for request in self._requests if request.fault]
        return "; ".join([self._source.url, *faults[:5]])

    async def _get(self, request: _Request) -> None:
        assert self._client is not None
        try:
            async with asyncio.timeout(self._options.timeout / 1000):
                body = await self._fetch(self._client, request)
        except (httpx.HTTPError, OSError, TimeoutError, _Nonsense) as error:
            request.misses += 1
            what = _why(error)
            request.fault = f"GET {request.url}: {what}"
            if request.misses >= MAX_MISSES or isinstance(error, _Nonsense):
                self._all_bad(request)
        else:
            request.misses, request.fault, request.body = 0, "", body
            self._hand_over(request)
        now, pace = self._clock.mono_ms(), request.interval_ms
        if request.misses:
            pace = max(pace, min(pace << min(request.misses, 10), MAX_PAUSE_MS))
        request.due_ms = max(request.due_ms + pace, now) if request.due_ms else now + pace

    async def _fetch(self, client: httpx.AsyncClient, request: _Request) -> Any:
        async with client.stream("GET", request.url, headers=request.validators) as answer:
            if answer.status_code == httpx.codes.NOT_MODIFIED and request.body is not MISSING:
                return request.body
            if answer.status_code != httpx.codes.OK:
                raise _Nonsense(f"the service answers {answer.status_code} {answer.reason_phrase}")
            raw = await _bounded(answer, self._options.max_body)
            if raw is None:
                raise _Nonsense(f"the body is longer than {self._options.max_body} bytes")
            try:
                body = msgspec.json.decode(raw)
            except msgspec.DecodeError as error:
                raise _Nonsense(f"the body is no JSON: {error}") from error
            request.validators = {
                ours: answer.headers[theirs]
                for ours, theirs in VALIDATORS
                if theirs in answer.headers
            }  # fmt: skip
            return body

    def _hand_over(self, request: _Request) -> None:
        now = self._clock.now_ms()
        moment = now
        if self._time_path is not None:
            told = parse_time(look_up(request.body, self._time_path), self._options.time_unit)
            moment = now if told is None else told
            if told is None:
                request.fault = f"GET {request.url}: no time at {self._options.time}"
        absent = []
        for point, place in request.members:
            raw = look_up(request.body, place.path)
            if raw is MISSING or isinstance(raw, dict | list):
                absent.append(point.address)
                emit(self._sink, point, now, None, BAD)
            else:
                emit(self._sink, point, moment, as_raw(raw, point.kind), GOOD)
        if absent:
            request.fault = f"GET {request.url}: no value at " + ", ".join(absent[:5])

    def _all_bad(self, request: _Request) -> None:
        request.validators, request.body = {}, MISSING
        for point, _ in request.members:
            emit(self._sink, point, self._clock.now_ms(), None, BAD)

    async def write(self, order: Write) -> WriteResult:
        """Send one request; a second time only where the service promises to take it once."""
        try:
            method, path = parse_write(order.address)
        except ValueError as error:
            return WriteResult(id=order.id, outcome="failed", detail=f"not sent: {error}")
        if self._client is None:
            return WriteResult(id=order.id, outcome="failed", detail="not connected; not sent")
        loop = asyncio.get_running_loop()
        until = loop.time() + order.timeout_ms / 1000 - WRITE_MARGIN_S
        tries = 2 if self._options.idempotent_writes else 1
        result = WriteResult(id=order.id, outcome="failed", detail="not sent: no time left")
        for left in range(tries, 0, -1):
            seconds = (until - loop.time()) / left
            if seconds <= 0:
                break
            result = await self._send(order, method, path, seconds)
            if result.outcome != "unknown":
                break
        return result

    async def _send(self, order: Write, method: str, path: str, seconds: float) -> WriteResult:
        assert self._client is not None
        whole = isinstance(order.value, dict | list)
        value = order.value if whole else {"value": order.value}
        body = msgspec.json.encode(value)
        headers = {"Content-Type": "application/json", "Idempotency-Key": order.id}
        if self._options.auth == "signed":
            try:
                now_s = self._clock.now_ms() // 1000
                headers = webhooks.headers(self._secret, order.id, now_s, body) | headers
            except AndonError as error:
                return WriteResult(id=order.id, outcome="failed", detail=f"not sent: {error}")
        target = urlsplit(self._source.url)
        url = f"{target.scheme}://{target.netloc}{path}"
        try:
            async with (
                asyncio.timeout(seconds),
                self._client.stream(
                    method, url, content=body, headers={k.title(): v for k, v in headers.items()}
                ) as answer,
            ):
                raw = await _bounded(answer, MAX_ANSWER)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            detail = f"not sent: {str(error) or 'no connection in time'}"
            return WriteResult(id=order.id, outcome="failed", detail=detail)
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            detail = f"sent, no answer: {str(error) or 'no answer in time'}"
            return WriteResult(id=order.id, outcome="unknown", detail=detail)
        return judge(order.id, answer.status_code, raw or b"")

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


class _Nonsense(Exception):
    """An answer that cannot be used; says why."""


def _why(error: BaseException) -> str:
    """What went wrong, from the system's own word on it where the library has only its own."""
    below: list[BaseException | None] = [error]
    for found in below:  # it grows meanwhile; bounded by the depth of the causes
        if isinstance(found, ConnectionRefusedError):
            return "connection refused: no service listens there"
        if isinstance(found, socket.gaierror):
            return f"no such host: {found.strerror}"
        if isinstance(found, BaseExceptionGroup):
            below += found.exceptions
        elif found is not None:
            below.append(found.__cause__ or found.__context__)
    return str(error) or "no answer in time"


async def _bounded(answer: httpx.Response, most: int) -> bytes | None:
    """The body; None when it is longer."""
    raw = bytearray()
    async for chunk in answer.aiter_bytes():
        raw += chunk
        if len(raw) > most:
            return None
    return bytes(raw)


def judge(order: str, status: int, raw: bytes) -> WriteResult:
    """What the answer to a write means: 2xx done, 5xx open, the rest refused."""
    text = raw[:200].decode("utf-8", "replace").strip()
    detail = f"{status} {text}".strip()
    if 200 <= status < 300:
        try:
            told = msgspec.json.decode(raw)
        except msgspec.DecodeError:
            told = None
        value = told.get("value") if isinstance(told, dict) else None
        readback = value if isinstance(value, bool | int | float | str) else None
        return WriteResult(id=order, outcome="done", detail=detail, readback=readback)
    outcome = "unknown" if status >= 500 or status in _OPEN_CODES else "failed"
    return WriteResult(id=order, outcome=outcome, detail=detail)
