"""A brain with links: site files of the test, a broker for devices, receivers of webhooks.

Loaded by tests/integration/test_links*.py; the brain can be ended and started again.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from factory_brain.bootstrap import Brain
from factory_brain.settings import BrainSettings
from shared.bus.nats_conf import Device, NatsServer, render
from shared.embedded.nats_server import nats_spec
from shared.embedded.ports import Ports
from shared.embedded.process import Child
from shared.paths import demo_sites
from shared.security import generate_key
from tests.support.brain_world import until
from tests.support.servers import Hosted, NatsForTests

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"an older secret, still good here").decode()


class BrokerForTests(NatsForTests):
    """A factory's NATS server with an MQTT listener for linked devices."""

    def __init__(self, folder: Path, devices: tuple[str, ...]) -> None:
        ports = Ports()
        self.port, self.mqtt_port, self.password = ports.take(0), ports.take(0), "test-app"
        self._host = Hosted()
        server = NatsServer(
            name="f1", domain="f1", store_dir=str(folder / "js"), client_port=self.port,
            http_port=ports.take(0), app_password=self.password, sys_password="test-sys",
            mqtt_port=self.mqtt_port, broker_password="test-brain",
            devices=tuple(Device(name, f"dev-{name}") for name in devices),
        )  # fmt: skip
        self._child = Child(
            nats_spec("f1", render(server), folder, (self.port,), folder / "nats.log")
        )


@dataclass
class LinkWorld:
    """Everything around one brain."""

    folder: Path
    nats: BrokerForTests
    database_url: str
    urls: dict[str, str] = field(default_factory=dict)
    brain: Brain | None = None
    http_port: int = 0
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    def prepare(self, links: str, bindings: str = "") -> None:
        """Write the site and the secrets."""
        site = self.folder / "site"
        shutil.copytree(demo_sites() / "f1", site)
        (site / "links.yaml").write_text(links)
        if bindings:
            path = site / "bindings.yaml"
            path.write_text(path.read_text().partition("endpoints:")[0] + bindings)
        private, public = generate_key()
        files = {
            "app": self.nats.password.encode(), "admin": b"correct horse", "site.key": private,
            "group.pub": public, "mqtt": b"test-brain", "hook": SECRET.encode(),
            "rotated": f"{SECRET}\n{OLD_SECRET}\n".encode(), "token": b"a bearer token",
            "plain": b"plain secret",
        }  # fmt: skip
        for name, text in files.items():
            (self.folder / name).write_bytes(text)

    async def start(self) -> Brain:
        """Start the brain (again)."""
        at = self.folder
        self.http_port = Ports().take(0)
        settings = BrainSettings(
            site="f1", site_dir=at / "site", playbook_dir=at / "none", secrets_dir=at,
            state_dir=at, nats_url=self.nats.url, nats_password_file=at / "app",
            database_url=self.database_url, http_port=self.http_port,
            admin_password_file=at / "admin", approval_key_file=at / "site.key",
            release_key_file=at / "group.pub", lease_ttl="1500ms",
            endpoint_urls=self.urls, mqtt_url=f"mqtt://127.0.0.1:{self.nats.mqtt_port}",
            mqtt_password_file=at / "mqtt",
        )  # fmt: skip
        (at / "none").mkdir(exist_ok=True)
        self.brain = await Brain.start(settings)
        return self.brain

    async def stop(self) -> None:
        """End the brain."""
        if self.brain is not None:
            await self.brain.service.shutdown()
            self.brain = None

    async def close(self) -> None:
        """End everything that was opened here."""
        for client in self.clients:
            await client.aclose()
        await self.stop()

    async def kill(self) -> None:
        """End the brain as a kill does: its database and its broker are gone in mid-work."""
        brain, self.brain = self.brain, None
        assert brain is not None
        brain.pool.terminate()
        with contextlib.suppress(Exception):
            await brain.service.shutdown()

    async def client(self) -> httpx.AsyncClient:
        """A client of the brain's web, once it answers."""
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.http_port}", timeout=10)
        self.clients.append(client)

        async def up() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return (await client.get("/api/healthz")).status_code == 200
            return False

        await until(up)
        return client


def sign(secret: str, message: str, stamp: int, body: bytes) -> str:
    """A Standard Webhooks signature by the specification's text, without the product's code."""
    key = base64.b64decode(secret[len("whsec_") :])
    digest = hmac.new(key, f"{message}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def signed(
    message: str, body: bytes, secret: str = SECRET, at: int | None = None
) -> dict[str, str]:
    """Headers of a signed message."""
    stamp = int(time.time()) if at is None else at
    return {
        "webhook-id": message, "webhook-timestamp": str(stamp),
        "webhook-signature": sign(secret, message, stamp, body),
    }  # fmt: skip


class Receiver:
    """A linked system that verifies for itself what comes; how it answers is the test's."""

    def __init__(self, secrets: tuple[str, ...] = (SECRET,)) -> None:
        self.taken: list[dict[str, Any]] = []
        self.tries: list[tuple[str, float]] = []
        self.forged = 0
        self.answer: Callable[[int], tuple[int, dict[str, str], float]] = lambda _: (204, {}, 0.0)
        """(number of the try) -> status, headers, seconds to wait before."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, headers = receiver.take(dict(self.headers.items()), body, secrets)
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def take(
        self, headers: dict[str, str], body: bytes, secrets: tuple[str, ...]
    ) -> tuple[int, dict[str, str]]:
        """Verify and keep one message."""
        given = {name.lower(): value for name, value in headers.items()}
        stamp = int(given["webhook-timestamp"])
        wanted = {sign(each, given["webhook-id"], stamp, body) for each in secrets}
        found = set(given["webhook-signature"].split())
        if not wanted <= found or abs(time.time() - stamp) > 60:
            self.forged += 1
            return 401, {}
        self.tries.append((given["webhook-id"], time.monotonic()))
        status, more, wait = self.answer(len(self.tries))
        if wait:
            time.sleep(wait)
        if 200 <= status < 300:
            self.taken.append(
                {"id": given["webhook-id"], "type": given["content-type"], **json.loads(body)}
            )
        return status, more

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def broker(folder: Path, devices: tuple[str, ...]) -> Iterator[BrokerForTests]:
    """A running broker."""
    server = BrokerForTests(folder, devices)
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def eventually(condition: Callable[[], Any], seconds: float = 15) -> Any:
    """Poll a plain condition with a deadline."""
    async with asyncio.timeout(seconds):
        while not (found := condition()):
            await asyncio.sleep(0.05)
        return found
