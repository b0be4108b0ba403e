"""HTTP push: takes `{"ts", "values"}` that is posted, if its sender knows the secret.

Run by the driver child. Every refusal says what is wrong; a message that is sent twice counts once.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections import OrderedDict
from typing import Any
from urllib.parse import urlsplit

import msgspec

from edge_node.adapters.sources.http_push import HttpPushOptions, parse_address
from edge_node.adapters.sources.http_wire import HttpWire, Posted, Reply
from edge_node.adapters.sources.json_values import as_raw, parse_time
from edge_node.adapters.sources.port import GOOD, Point, Sink, Source, emit
from edge_node.application.ipc import Write, WriteResult
from shared import webhooks
from shared.clock import Clock
from shared.errors import ConfigError, RetryableTransportError

CHECK_S = 1.0
MAX_SEEN = 10_000
NAMES_SHOWN = 10


class HttpPushDriver:
    """One listener."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._options: HttpPushOptions = source.options
        self._places: dict[str, dict[str, list[Point]]] = {}
        self._wire: HttpWire | None = None
        self._secret = ""
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._taken = self._refused = 0
        self._why = ""

    async def connect(self) -> None:
        """Listen."""
        source, options = self._source, self._options
        host, port = self._target()
        self._secret = source.password()
        if options.auth != "none" and not self._secret:
            raise ConfigError(
                f"source {source.id}: `auth: {options.auth}` needs a secret",
                mend="set password_file in the edge's device_credentials of this source",
            )
        if options.auth == "signed":
            webhooks.sign(self._secret, "", 0, b"")  # a secret of the wrong form is told now
        self._places = self._arrange()
        self._wire = HttpWire(self._take, options.max_body, options.max_connections)
        self._wire.on_refused = self._note
        try:
            await self._wire.open(host, port)
        except OSError as error:
            raise RetryableTransportError(
                f"HTTP push source {source.id}: cannot listen at {source.url}: {error.strerror}\n"
                "  mend: stop what listens there, or choose another port"
            ) from error

    def _target(self) -> tuple[str, int]:
        url = urlsplit(self._source.url)
        if url.scheme != "listen" or not url.hostname or not url.port:
            raise ConfigError(
                f"source {self._source.id}: {self._source.url!r} is no place to listen at",
                mend="write it as listen://0.0.0.0:8091 or listen://127.0.0.1:8091",
            )
        if self._options.auth == "none" and not _here_alone(url.hostname):
            raise ConfigError(
                f"source {self._source.id}: without a secret everybody on the network could post",
                mend="use `auth: signed` or bearer, or listen at 127.0.0.1",
            )
        return url.hostname, url.port

    def _arrange(self) -> dict[str, dict[str, list[Point]]]:
        found: dict[str, dict[str, list[Point]]] = {}
        for point in self._source.points:
            try:
                place = parse_address(point.address)
            except ValueError as error:
                raise ConfigError(
                    f"source {self._source.id}, tag {point.id}: {error}",
                    mend="correct the tag's address",
                ) from error
            found.setdefault(place.path, {}).setdefault(place.name, []).append(point)
        return found

    async def run(self) -> None:
        """Say how it goes; messages arrive by themselves."""
        while True:
            self._sink.state("connected", self._describe())
            await asyncio.sleep(CHECK_S)

    def _describe(self) -> str:
        told = [self._source.url]
        if not self._taken:
            told.append("nothing received yet: let the sender post to " + ", ".join(self._places))
        if self._refused:
            told.append(f"refused: {self._refused}, the last one: {self._why}")
        return "; ".join(told)

    async def _take(self, posted: Posted) -> Reply:
        reply = self._judge(posted)
        if reply.status >= 400:
            self._note(str(reply.body.get("error", "")))
        return reply

    def _note(self, why: str) -> None:
        self._refused, self._why = self._refused + 1, why

    def _judge(self, posted: Posted) -> Reply:
        names = self._places.get(posted.path)
        if names is None:
            known = ", ".join(sorted(self._places))
            return _refuse(404, f"no tag is fed from {posted.path}; post to {known}")
        if posted.method != "POST":
            return _refuse(405, f"{posted.method} is not taken; use POST")
        if wrong := self._stranger(posted):
            return _refuse(401, wrong)
        message = posted.headers.get("webhook-id", "")
        if self._options.auth == "signed" and message in self._seen:
            return Reply(200, {"accepted": 0, "repeated": True})
        try:
            body = msgspec.json.decode(posted.body)
        except msgspec.DecodeError as error:
            return _refuse(400, f"the body is no JSON: {error}")
        reply = self._read(names, body)
        if reply.status < 400 and self._options.auth == "signed":
            self._seen[message] = None
            while len(self._seen) > MAX_SEEN:
                self._seen.popitem(last=False)
        return reply

    def _stranger(self, posted: Posted) -> str:
        """Why the sender is not believed; "" when it is."""
        if self._options.auth == "bearer":
            given = posted.headers.get("authorization", "")
            same = hmac.compare_digest(given.encode(), f"Bearer {self._secret}".encode())
            return "" if same else "send the secret as `Authorization: Bearer ...`"
        if self._options.auth == "signed":
            now_s = self._clock.now_ms() // 1000
            if not webhooks.verify(self._secret, posted.headers, posted.body, now_s):
                return (
                    "sign with webhook-id, webhook-timestamp (within 5 minutes of "
                    f"{now_s}) and webhook-signature"
                )
        return ""

    def _read(self, names: dict[str, list[Point]], body: Any) -> Reply:
        values = body.get("values") if isinstance(body, dict) else None
        if not isinstance(values, dict) or not values:
            return _refuse(422, 'the body must be {"ts": ..., "values": {"name": value}}')
        moment = self._clock.now_ms()
        if "ts" in body:
            told = parse_time(body["ts"], self._options.time_unit)
            if told is None:
                return _refuse(422, f"ts {body['ts']!r} is no time; write UTC milliseconds or ISO")
            moment = told
        unknown = [name for name in values if name not in names]
        if len(unknown) == len(values):
            known = ", ".join(sorted(names)[:NAMES_SHOWN])
            return _refuse(422, f"no tag has one of these names; known: {known}")
        for name, value in values.items():
            for point in names.get(name, ()):
                emit(self._sink, point, moment, as_raw(value, point.kind), GOOD)
        self._taken += 1
        accepted = len(values) - len(unknown)
        return Reply(200, {"accepted": accepted, "unknown": unknown[:NAMES_SHOWN]})

    async def write(self, order: Write) -> WriteResult:
        """Nothing can be written to a listener."""
        detail = "not sent: this source only listens; write through a source of driver http"
        return WriteResult(id=order.id, outcome="failed", detail=detail)

    async def close(self) -> None:
        """Stop listening."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()


def _here_alone(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refuse(status: int, why: str) -> Reply:
    return Reply(status, {"error": why})
