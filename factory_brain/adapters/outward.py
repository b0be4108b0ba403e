"""The one way out to linked systems: signed, to an address that was checked and then kept to.

Used by playbooks' webhooks and by outbound links. The name is resolved once, every address it has
is judged, and the connection goes to the judged address: a name that changes its mind in between
leads nowhere. Redirects are not followed, and an answer's body is not read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from factory_brain.application.links.ports import Answered
from shared.clock import Clock
from shared.config import read_secret
from shared.errors import ConfigError
from shared.site.model import EndpointSpec
from shared.webhooks import headers

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 20.0
RESOLVE_S = 5.0
MAX_RETRY_AFTER_S = 86_400
Resolve = Callable[[str, int], Awaitable[list[str]]]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Outside:
    """Where webhooks go and how they are signed."""

    site: str
    endpoints: Mapping[str, EndpointSpec]
    urls: Mapping[str, str]
    """Overrides of the bindings' URLs."""
    secrets_dir: Path


@dataclass(frozen=True, slots=True)
class Target:
    """A checked destination: what is dialled, and the name it goes by."""

    url: str
    host: str
    name: str


class RefusedAddressError(Exception):
    """An address that must not be called; the message says why and what to do."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host name."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(RESOLVE_S):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def fault_of(text: str, private: bool) -> str | None:
    """Why an address must not be called (server-side request forgery); None if it may."""
    ip = _meant(ipaddress.ip_address(text.partition("%")[0]))
    never = ip.is_link_local or ip.is_multicast or ip.is_unspecified
    if never or (ip.is_reserved and not ip.is_loopback):
        return f"{ip} is never called"  # among them the clouds' metadata services
    if not private and not ip.is_global:
        return f"{ip} is private: say `private: true` in bindings.yaml if it is meant"
    return None


def _meant(ip: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to, if it is only a wrapping."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)


async def pinned(url: str, private: bool, look_up: Resolve = resolve) -> Target:
    """The address to dial for `url`; raises RefusedAddressError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise RefusedAddressError("only http and https URLs without a password are called")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = await look_up(parts.hostname, port)
    for address in addresses:
        if (fault := fault_of(address, private)) is not None:
            raise RefusedAddressError(fault)
    if not addresses:
        raise RefusedAddressError(f"{parts.hostname} has no address")
    dialled = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    return Target(
        parts._replace(netloc=f"{dialled}:{port}", fragment="").geturl(),
        parts.netloc, parts.hostname,
    )  # fmt: skip


class Client:
    """A client that keeps nothing and follows nobody, made beside the loop when first needed.

    Its library is loaded only then: it must not be what an alarm waits for when a brain starts.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._making: asyncio.Task[httpx.AsyncClient] | None = None

    def warm(self) -> None:
        """Begin to make it; what failed (no descriptor left, no certificates) is tried anew."""
        made = self._making
        if made is None or (made.done() and (made.cancelled() or made.exception() is not None)):
            self._making = asyncio.create_task(asyncio.to_thread(self._made))

    async def ready(self) -> httpx.AsyncClient:
        """It, once it is made."""
        self.warm()
        assert self._making is not None
        return await asyncio.shield(self._making)

    async def close(self) -> None:
        """Close its connections."""
        if self._making is not None:
            await (await self._making).aclose()

    def _made(self) -> httpx.AsyncClient:
        import httpx

        return httpx.AsyncClient(
            timeout=self._timeout_s, follow_redirects=False, trust_env=False,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=0),
        )  # fmt: skip


class Outward:
    """Signs and posts webhooks to the site's endpoints."""

    def __init__(self, outside: Outside, clock: Clock, look_up: Resolve = resolve) -> None:
        self.outside, self._clock, self._look_up = outside, clock, look_up
        self.client = Client(TIMEOUT_S)

    async def close(self) -> None:
        """Close connections."""
        await self.client.close()

    async def post(self, endpoint: str, message: str, body: bytes) -> Answered:
        """Send one webhook; what the receiver does is told, not raised."""
        spec = self.outside.endpoints.get(endpoint)
        if spec is None:
            return Answered(f"unknown endpoint {endpoint}")
        url = self.outside.urls.get(endpoint, spec.url)
        client = await self.client.ready()
        import httpx

        try:
            secret = await asyncio.to_thread(
                read_secret, self.outside.secrets_dir / spec.secret, "webhook secret"
            )
            stamp = self._clock.now_ms() // 1000
            signed = headers(secret, message, stamp, body)
            async with asyncio.timeout(TIMEOUT_S):
                return await self._send(client, url, spec.private, signed, body)
        except ConfigError as error:
            return Answered(error.message)
        except RefusedAddressError as error:
            return Answered(str(error))
        except TimeoutError:
            return Answered(f"no answer in {TIMEOUT_S:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return Answered(f"{type(error).__name__}: {error}"[:300])

    async def _send(
        self, client: httpx.AsyncClient, url: str, private: bool, signed: dict[str, str],
        body: bytes,
    ) -> Answered:  # fmt: skip
        target = await pinned(url, private, self._look_up)
        request = client.build_request(
            "POST", target.url, content=body, headers=signed | {"host": target.host},
            extensions={"sni_hostname": target.name},
        )  # fmt: skip
        answer = await client.send(request, stream=True)
        await answer.aclose()
        status = answer.status_code
        if 200 <= status < 300:
            return Answered(None, status)
        wait = answer.headers.get("retry-after", "")
        seconds = min(int(wait), MAX_RETRY_AFTER_S) if wait.isascii() and wait.isdigit() else None
        told = " (redirects are not followed)" if 300 <= status < 400 else ""
        return Answered(f"status {status}{told}", status, seconds)
