"""Delivers webhooks: signed by Standard Webhooks, body a CloudEvent, no redirects, 20 s at most.

Addresses that are private or loopback are refused unless the site's binding says that they are
meant.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec

from factory_brain.application.playbooks.ports import Delivery
from shared.clock import Clock
from shared.config import read_secret
from shared.errors import ConfigError
from shared.site.model import EndpointSpec
from shared.webhooks import headers

TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Outside:
    """Where webhooks go and how they are signed."""

    site: str
    endpoints: Mapping[str, EndpointSpec]
    urls: Mapping[str, str]
    """Overrides of the bindings' URLs."""
    secrets_dir: Path


class HttpWebhooks:
    """Implements the engine's `WebhookSender`."""

    def __init__(self, outside: Outside, clock: Clock) -> None:
        self._outside, self._clock = outside, clock
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False)

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def deliver(self, delivery: Delivery) -> str | None:
        """None when the receiver took it; else why not."""
        spec = self._outside.endpoints.get(delivery.endpoint)
        if spec is None:
            return f"unknown endpoint {delivery.endpoint}"
        url = self._outside.urls.get(delivery.endpoint, spec.url)
        try:
            secret = read_secret(self._outside.secrets_dir / spec.secret, "webhook secret")
            refused = await _forbidden(url, spec.private)
            if refused is not None:
                return refused
            body = self._body(delivery)
            stamp = self._clock.now_ms() // 1000
            answer = await self._client.post(
                url, content=body, headers=headers(secret, delivery.id, stamp, body)
            )
        except ConfigError as error:
            return error.message
        except (httpx.HTTPError, OSError) as error:
            return f"{type(error).__name__}: {error}"
        return None if 200 <= answer.status_code < 300 else f"status {answer.status_code}"

    def _body(self, delivery: Delivery) -> bytes:
        return msgspec.json.encode(
            {
                "specversion": "1.0",
                "id": delivery.id,
                "source": f"andon/{self._outside.site}",
                "type": delivery.body["type"],
                "time": _rfc3339(delivery.body["time"]),
                "datacontenttype": "application/json",
                "data": delivery.body["data"],
            }
        )


def _rfc3339(ms: int) -> str:
    moment = datetime.datetime.fromtimestamp(ms / 1000, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _forbidden(url: str, private: bool) -> str | None:
    """Why this address must not be called (server-side request forgery), None if it may."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "only http and https are called"
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    for *_, address in found:
        ip = ipaddress.ip_address(address[0])
        if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
            return f"{ip} is never called"
        if not private and not ip.is_global:
            return f"{ip} is private: say `private: true` in bindings.yaml if it is meant"
    return None
