"""A broker that refuses: TLS, passwords, permissions, reason codes; each said with its mend."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.errors import AndonError
from tests.integration.test_mqtt_broker import TAGS, source
from tests.support.driver_here import here
from tests.support.edge_plants import tag
from tests.support.mosquitto import Broker

pytestmark = pytest.mark.timeout(60)


def _certificates(folder: Path) -> None:
    """An authority, and a certificate for `broker.plant` that it has signed; PEM files."""
    now = datetime.now(UTC)

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def builder(subject: str, key: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("plant ca"))
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        )  # fmt: skip

    ca, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = builder("plant ca", ca).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    leaf = builder("broker.plant", key).add_extension(
        x509.SubjectAlternativeName([x509.DNSName("broker.plant")]), critical=False
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.sign(ca, hashes.SHA256()).public_bytes(pem))
    (folder / "cert.pem").write_bytes(leaf.sign(ca, hashes.SHA256()).public_bytes(pem))
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))


async def test_tls_client_certificates_and_passwords(tmp_path: Path) -> None:
    _certificates(tmp_path)
    broker = Broker(
        tmp_path, f"cafile {tmp_path}/ca.pem", f"certfile {tmp_path}/cert.pem",
        f"keyfile {tmp_path}/key.pem", "require_certificate true",
        "use_identity_as_username false", f"password_file {tmp_path}/users", anonymous=False,
    )  # fmt: skip
    _users(tmp_path, "andon", "geheim")
    (tmp_path / "secret").write_text("geheim\n")
    url = f"mqtts://localhost:{broker.port}"
    trust = {"ca_file": f"{tmp_path}/ca.pem", "server_name": "broker.plant", "timeout": "2s"}
    rights = {"user": "andon", "password_file": f"{tmp_path}/secret",
              "user_certificate": f"{tmp_path}/cert.pem",
              "user_key": f"{tmp_path}/key.pem"}  # fmt: skip

    async def attempt(options: dict[str, Any], settings: dict[str, Any]) -> str:
        given = {"driver": "mqtt-broker", "url": url, "options": options}
        try:
            async with here(given, TAGS[:1], settings):
                return "connected"
        except AndonError as error:
            return str(error)

    async with broker:
        assert await attempt(trust, rights) == "connected"
        untrusted = await attempt({**trust, "ca_file": ""}, rights)
        assert "not trusted" in untrusted
        assert "ca_file" in untrusted
        other_name = await attempt({**trust, "server_name": ""}, rights)
        assert "server_name" in other_name
        (tmp_path / "secret").write_text("falsch\n")
        wrong = await attempt(trust, rights)
        assert "mend:" in wrong
        assert "not authorized" in wrong or "wrong user name or password" in wrong
        absent = await attempt(trust, {**rights, "user_key": f"{tmp_path}/none.pem"})
        assert "user_certificate" in absent


def _users(folder: Path, user: str, password: str) -> None:
    """mosquitto's password file: PBKDF2 as `mosquitto_passwd` writes it."""
    salt, rounds = os.urandom(12), 101
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    text = "$".join(("", "7", str(rounds), *(base64.b64encode(x).decode() for x in (salt, made))))
    (folder / "users").write_text(f"{user}:{text}\n")


async def test_what_the_broker_does_not_permit_is_said(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic readwrite line/#\ntopic deny secret/#\n")
    tags = [tag("N", "line/n"), tag("S", "secret/n")]
    async with (
        Broker(tmp_path, f"acl_file {tmp_path}/acl") as broker,
        here(source(broker.port), tags) as heard,
    ):
        assert (await heard.write("topic:line/cmd", 1)).outcome == "done"
        refused = await heard.write("topic:secret/cmd", 1)
        assert refused.outcome == "failed"
        assert "not authorized (135)" in refused.detail


@contextlib.asynccontextmanager
async def scripted(connack: bytes, suback: bytes = b"", after: bytes = b"") -> AsyncIterator[int]:
    """A broker that answers as told: reason codes that mosquitto has no occasion to give."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, size = await reader.readexactly(2)  # all are shorter than 128 bytes
                body = await reader.readexactly(size)
                if kind == 0x10:
                    writer.write(connack)
                elif kind == 0x82:
                    writer.write(bytes((0x90, 3 + len(suback), *body[:2], 0)) + suback + after)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


WELCOME = bytes((0x20, 3, 0, 0, 0))


@pytest.mark.parametrize(
    ("code", "words"),
    [(0x84, "set options.version: 3.1.1"), (0x86, "wrong user name or password"),
     (0x85, "client id is not accepted"), (0x89, "the broker is busy")],
)  # fmt: skip
async def test_a_refused_connection_is_worded(code: int, words: str) -> None:
    async with scripted(bytes((0x20, 3, 0, code, 0))) as port:
        with pytest.raises(AndonError, match=words) as caught:
            async with here(source(port), TAGS[:1]):
                pass
        assert f"127.0.0.1:{port}" in str(caught.value)
        assert "mend:" in str(caught.value)


async def test_a_refused_subscription_costs_its_own_tags_and_a_dismissal_is_worded() -> None:
    tags = [tag("A", "a/x"), tag("B", "b/x")]
    given = {"subscriptions": [{"filter": "a/+", "shared": "g"}]}
    async with (
        scripted(WELCOME, bytes((0x9E, 1))) as port,
        here(source(port, **given), tags) as heard,
    ):
        await heard.until(lambda: "not subscribed to $share/g/a/+" in heard.detail)
        assert "has no shared subscriptions (158): remove `shared`" in heard.detail
        assert heard.last(0) is not None
        assert heard.last(0)[1] == 2  # type: ignore[index]
        assert heard.last(1) is None
        assert heard.states[-1][0] == "connected"
    async with (
        scripted(WELCOME, bytes((1, 1)), bytes((0xE0, 1, 0x8E))) as port,
        here(source(port), tags) as heard,
    ):
        with pytest.raises(AndonError, match="same client id"):
            await heard.until(lambda: False, 5)
