"""Events and samples into InfluxDB (and what speaks its line protocol), over HTTP.

`/write?db=` of version 1 and `/api/v2/write?org=&bucket=` of version 2 and 3. A point of the same
series and time replaces itself, so a repetition changes nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import gzip
from urllib.parse import parse_qsl, urlsplit

import httpx

from factory_brain.adapters.sinks.line_protocol import event_line, sample_line
from factory_brain.application.sinks.port import (
    Sink,
    SinkBatch,
    SinkKind,
    SinkRefusal,
    SinkUnreachable,
)
from shared.site.sinks import SinkSpec

V1, V2 = "/write", "/api/v2/write"
REFUSED = (400, 413, 422)
"""The points are to blame; all else is the server's or the settings' fault, and may be mended."""


class InfluxSink:
    """One database or bucket."""

    def __init__(self, spec: SinkSpec, secret: str) -> None:
        parts = urlsplit(spec.url)
        self._headers = {"content-type": "text/plain; charset=utf-8", "content-encoding": "gzip"}
        auth = None
        if parts.path.endswith(V2):
            if secret:
                self._headers["authorization"] = f"Token {secret}"
        elif parts.username:
            auth = httpx.BasicAuth(parts.username, secret)
        self._query = {**dict(parse_qsl(parts.query)), "precision": "ns"}
        self._address = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
        self._client = httpx.AsyncClient(
            timeout=spec.timeout / 1000, follow_redirects=False, trust_env=False, auth=auth,
            limits=httpx.Limits(max_connections=1),
        )  # fmt: skip

    async def write(self, batch: SinkBatch) -> None:
        """One request."""
        try:
            data = await asyncio.to_thread(_body, batch)
        except ValueError as error:
            raise SinkRefusal(str(error)) from error
        try:
            answer = await self._client.post(
                self._address, params=self._query, content=data, headers=self._headers
            )
        except httpx.HTTPError as error:
            raise SinkUnreachable(f"{type(error).__name__}: {error}") from error
        status = answer.status_code
        if 200 <= status < 300:
            return
        told = f"status {status}: {answer.text[:200].strip()}"
        if status in REFUSED:
            raise SinkRefusal(told)
        raise SinkUnreachable(told)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()


def _body(batch: SinkBatch) -> bytes:
    lines = [event_line(each) for each in batch.events]
    lines += [sample_line(each) for each in batch.samples]
    return gzip.compress("\n".join(lines).encode(), 1)


def _fault(spec: SinkSpec) -> tuple[str, str] | None:
    parts = urlsplit(spec.url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "not a URL of http or https", "write for example http://host:8086/write?db=andon"
    if parts.path.endswith(V2):
        if "bucket" not in query:
            return "names no bucket", "end it with /api/v2/write?org=plant&bucket=andon"
    elif not parts.path.endswith(V1) or "db" not in query:
        return (
            "names no place to write to",
            "end it with /write?db=… or /api/v2/write?org=…&bucket=…",
        )
    return None


def _open(spec: SinkSpec, secret: str, site: str) -> Sink:
    del site
    return InfluxSink(spec, secret)


KIND = SinkKind(_open, _fault)
