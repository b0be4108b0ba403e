"""Chat services by a relay: only the judged address is called, whatever a name says afterwards."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from email.utils import make_msgid
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from factory_brain.adapters import apprise_calls
from factory_brain.adapters.apprise_calls import Listening, Relay
from factory_brain.adapters.apprise_channels import AppriseChannels
from factory_brain.adapters.outward import Outside, Outward, RefusedAddressError, Target
from factory_brain.application.notify.ports import Letter, NotTaken
from shared.clock import ManualClock
from shared.site.model import EndpointSpec
from shared.site.notify import ChannelSpec
from tests.support.notify_world import Robots

LETTER = Letter("m-1", "title", "text", {})
SECRETS = {
    "feishu": "feishu://abcdef-0123456789", "dingtalk": "dingtalk://1234567890abcdef/13800000000",
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alarms",
    "apprise": "json://service.invalid/",
}  # fmt: skip


class Names:
    """A resolver that says what the test wants."""

    def __init__(self) -> None:
        self.address = "127.0.0.1"

    async def __call__(self, host: str, port: int) -> list[str]:
        assert host == "relay.invalid"  # known to no other resolver
        return [self.address]


@pytest.fixture
def robots() -> Iterator[Robots]:
    found = Robots(feishu="feishu", dingtalk="dingtalk", slack="slack", apprise="other")
    yield found
    found.close()


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
async def channels(tmp_path: Path, robots: Robots, names: Names) -> AsyncIterator[AppriseChannels]:
    def named(kind: str) -> str:
        return robots.url(kind).replace("127.0.0.1", "relay.invalid")

    endpoints = {
        kind: EndpointSpec.model_validate({"url": named(kind), "secret": "none", "private": True})
        for kind in SECRETS
    }
    endpoints["open"] = EndpointSpec.model_validate({"url": named("feishu"), "secret": "none"})
    for name, text in SECRETS.items():
        (tmp_path / name).write_text(text)
    outward = Outward(Outside("f1", endpoints, {}, tmp_path), ManualClock())
    made = AppriseChannels(outward, names)
    yield made
    await made.close()
    await outward.close()


def channel(kind: str, endpoint: str = "") -> ChannelSpec:
    return ChannelSpec.model_validate({"kind": kind, "url": kind, "endpoint": endpoint or kind})


@pytest.mark.parametrize("kind", ["feishu", "dingtalk", "slack"])
async def test_a_plug_in_calls_the_address_that_was_judged_by_the_name_that_was_meant(
    channels: AppriseChannels, robots: Robots, kind: str
) -> None:
    assert await channels.send(channel(kind), LETTER) is None
    assert len(robots[kind].taken) == 1
    assert robots[kind].hosts[0].startswith("relay.invalid:")


async def test_what_must_not_be_called_is_not(
    channels: AppriseChannels, robots: Robots, names: Names
) -> None:
    refused = await channels.send(channel("feishu", "open"), LETTER)
    assert refused is not None
    assert "is private" in refused.why
    names.address = "169.254.169.254"
    refused = await channels.send(channel("feishu"), LETTER)
    assert refused is not None
    assert "never called" in refused.why
    names.address = "127.0.0.1"
    refused = await channels.send(channel("apprise"), LETTER)  # keeps its address elsewhere
    assert refused is not None
    assert "cannot be called by a relay" in refused.why
    assert robots["feishu"].tries == robots["apprise"].tries == 0


async def test_a_wait_that_a_service_asks_for_is_told(
    channels: AppriseChannels, robots: Robots
) -> None:
    robots["feishu"].answer = lambda _: (429, {}, 0.0)
    for said, told in (("7", 7), ("Fri, 31 Dec 1999 23:59:59 GMT", None), ("9" * 12, 86_400)):
        robots["feishu"].headers = {"Retry-After": said}
        refused = await channels.send(channel("feishu"), LETTER)
        assert isinstance(refused, NotTaken)
        assert refused.retry_after_s == told


async def test_a_service_that_never_ends_takes_two_threads_and_no_more(
    channels: AppriseChannels, robots: Robots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory_brain.adapters.apprise_channels.TIMEOUT_S", 0.3)
    on = threading.Event()
    robots["feishu"].answer = lambda _: (200 if on.wait(20) else 500, None, 0.0)
    told = [await channels.send(channel("feishu"), LETTER) for _ in range(4)]
    assert ["still hang" in each.why for each in told if each] == [False, False, True, True]
    assert await channels.send(channel("dingtalk"), LETTER) is None
    on.set()


def certified(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate of a server, which is its own authority; and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    certificate, secret = folder / "server.pem", folder / "server.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    return certificate, secret


@pytest.fixture(params=["relay.test", "other.test"])
def secure(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[str, int, Path, list[str | None]]]:
    """A server with a certificate of this name; who was asked for it."""
    certificate, key = certified(tmp_path, request.param)
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.sni_callback = lambda _, name, __: asked.append(name)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield request.param, server.server_address[1], certificate, asked
    server.shutdown()
    server.server_close()


def test_tls_is_with_the_name_and_not_with_the_address(
    secure: tuple[str, int, Path, list[str | None]],
) -> None:
    name, port, certificate, asked = secure
    target = Target(f"https://127.0.0.1:{port}/", f"relay.test:{port}", "relay.test")
    relay = Relay(f"https://relay.test:{port}", target)
    if name == "relay.test":
        answer = relay.request("POST", f"{relay.url}/x", verify=str(certificate), timeout=5)
        assert answer.status_code == 204
    else:
        with pytest.raises(requests.exceptions.SSLError):
            relay.request("POST", f"{relay.url}/x", verify=str(certificate), timeout=5)
    assert set(asked) == {"relay.test"}


def test_a_plug_in_in_a_relays_thread_reaches_nothing_else() -> None:
    relay = Relay("http://relay.test:8", Target("http://127.0.0.1:8/", "relay.test:8", "relay"))
    apprise_calls.begin("m", relay)
    try:
        for url in ("http://relay.test:9/x", "https://relay.test:8/x", "http://127.0.0.1:8/"):
            with pytest.raises(RefusedAddressError):
                Listening().post(url)
        with pytest.raises(RefusedAddressError):
            Listening().Session()
    finally:
        apprise_calls.end()
    assert Listening().Session is requests.Session


def test_a_mail_has_the_same_id_at_every_attempt() -> None:
    apprise_calls.begin("m-7", None)
    first, second = (apprise_calls.message_id(domain="factory.test") for _ in range(2))
    apprise_calls.end()
    assert first == second == "<m-7@factory.test>"
    assert apprise_calls.message_id() != make_msgid() != apprise_calls.message_id()
