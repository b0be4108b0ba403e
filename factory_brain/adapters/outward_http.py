"""Asks linked systems for playbooks' `http` steps: the same guard as for webhooks, same endpoints.

The address is judged and kept to, redirects are not followed, answers are bounded; secrets come
from the site's binding by name and are taken out of whatever is given back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from factory_brain.adapters.outward import (
    Client,
    Outside,
    RefusedAddressError,
    Resolve,
    pinned,
    resolve,
)
from shared.config import read_secret
from shared.errors import ConfigError
from shared.redaction import clean, cleaned
from shared.site.model import EndpointSpec

if TYPE_CHECKING:
    import httpx

MOST_BYTES = 64 * 1024
CALL_S = 5.0
"""For each part of a call: connecting, sending, what comes next."""
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""NUL as JSON writes it; behind an odd number of backslashes it is no escape."""
DRILL = {"x-andon-drill": "1"}
"""What every request of a drill carries; its body is as the playbook says."""
_SECRET = re.compile(r"secret:([A-Za-z0-9][A-Za-z0-9_.-]{0,63})")


class HttpCalls:
    """Implements the engine's `HttpCaller`."""

    def __init__(self, outside: Outside, look_up: Resolve = resolve) -> None:
        self._outside, self._look_up = outside, look_up
        self.client = Client(CALL_S)

    async def close(self) -> None:
        """Close connections."""
        await self.client.close()

    async def call(
        self, endpoint: str, method: str, path: str, body: Any, key: str, timeout_s: float,
        drill: bool = False,
    ) -> Mapping[str, Any]:  # fmt: skip
        """{status, json | text}, or {kind, reason} of what went wrong; a drill says that it is."""
        spec = self._outside.endpoints.get(endpoint)
        if spec is None:
            return {"kind": "connect", "reason": f"unknown endpoint {endpoint}"}
        url = below(self._outside.urls.get(endpoint, spec.url), path)
        try:
            await self.client.ready()
        except (OSError, MemoryError) as error:  # no descriptor left, no certificates
            return {"kind": "connect", "reason": cleaned(f"{type(error).__name__}: {error}"[:300])}
        import httpx

        try:
            headers = await asyncio.to_thread(self._headers, spec) | (DRILL if drill else {})
            async with asyncio.timeout(max(timeout_s, 0.05)):
                found = await self._ask(url, spec.private, method, headers, body, key)
        except ConfigError as error:
            return {"kind": "connect", "reason": cleaned(error.message)}
        except RefusedAddressError as error:
            return {"kind": "connect", "reason": str(error)}
        except TimeoutError:
            return {"kind": "timeout", "reason": f"no answer in {timeout_s:g} s"}
        except httpx.TimeoutException as error:
            return {"kind": "timeout", "reason": cleaned(f"{type(error).__name__}: {error}"[:300])}
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return {"kind": "connect", "reason": cleaned(f"{type(error).__name__}: {error}"[:300])}
        return clean(found)

    def _headers(self, spec: EndpointSpec) -> dict[str, str]:
        def read(match: re.Match[str]) -> str:
            return read_secret(self._outside.secrets_dir / match[1], "endpoint's secret")

        return {name: _SECRET.sub(read, value) for name, value in spec.headers.items()}

    async def _ask(
        self, url: str, private: bool, method: str, headers: dict[str, str], body: Any, key: str
    ) -> dict[str, Any]:
        target = await pinned(url, private, self._look_up)
        sent = {**headers, "host": target.host, "idempotency-key": key, "accept": "*/*"}
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            sent["content-type"] = "application/json"
        client = await self.client.ready()
        request = client.build_request(
            method, target.url, content=content, headers=sent,
            extensions={"sni_hostname": target.name},
        )  # fmt: skip
        answer = await client.send(request, stream=True)
        try:
            data = b""
            async for part in answer.aiter_bytes():
                data += part
                if len(data) > MOST_BYTES:
                    return {"kind": "failed", "reason": f"answer above {MOST_BYTES} bytes"}
        finally:
            await answer.aclose()
        return {"status": answer.status_code, **_content(answer, data)}


def _content(answer: httpx.Response, data: bytes) -> dict[str, Any]:
    text = data.decode("utf-8", "replace").replace("\x00", "\ufffd")
    if "json" in answer.headers.get("content-type", ""):
        try:
            # Left out in keys and values alike: no database stores it.
            return {"json": msgspec.json.decode(_NUL.sub(r"\1", text))}
        except (msgspec.DecodeError, RecursionError):
            return {"text": text}
    return {"text": text} if text else {}


def below(base: str, path: str) -> str:
    """An address below an endpoint's own: what a step writes never leads to another host."""
    parts = urlsplit(base)
    where, _, query = path.partition("?")
    where = "/".join(part for part in where.split("/") if part != "..")
    joined = f"{parts.path.rstrip('/')}/{where.lstrip('/')}" if where else parts.path
    return urlunsplit((parts.scheme, parts.netloc, joined, query or parts.query, ""))
