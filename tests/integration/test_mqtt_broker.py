"""The driver for a plant's own broker against Debian's mosquitto: payloads, cuts, TLS, refusals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge_node.adapters.sources import mqtt_broker_client
from edge_node.adapters.sources.mqtt_batch import encode_batch
from shared.clock import SystemClock
from shared.errors import AndonError
from tests.integration.test_driver_cuts import Proxy
from tests.support.driver_here import here
from tests.support.edge_children import driver
from tests.support.edge_plants import tag
from tests.support.mosquitto import Broker, Device

pytestmark = pytest.mark.timeout(60)


def source(port: int, **options: Any) -> dict[str, Any]:
    given = {"timeout": "2s", **options}
    return {"driver": "mqtt-broker", "url": f"mqtt://127.0.0.1:{port}", "options": given}


TAGS = [
    tag("SPEED", "area.1/line/data#values.speed"),
    tag("RUN", "area.1/line/data#values.run", "boolean"),
    tag("MODE", "area.1/line/mode", "string"),
    tag("TEMP", "area.1/line/temp"),
    tag("GATEWAY", "gw/+/line/level#v"),
    tag("B7", "area.1/line/many#7"),
]


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_payloads_of_every_kind_arrive_and_orders_are_published(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_broker_client, "BROWSE_S", 0.5)
    async with Broker(tmp_path) as broker:
        device = Device(broker.port).start("area.1/line/cmd", "will/#")
        now = SystemClock().now_ms()
        old = json.dumps({"ts": (now - 7_200_000) / 1000, "values": {"speed": 1.5}})
        device.publish("area.1/line/data", old, retain=True)
        device.publish("area.1/line/temp", "20.5", retain=True)
        presence = {"topic": "will/edge"}
        given = source(broker.port, version=version, presence=presence,
                       subscriptions=[{"filter": "area.1/line/+", "qos": 2}])  # fmt: skip
        async with here(given, TAGS) as heard:
            # Retained: by its own time, else uncertain, for nobody knows how old it is.
            await heard.until(lambda: heard.last(0) and heard.last(3))
            assert heard.of(0)[0] == (now - 7_200_000, 1.5, 0)
            assert heard.last(3) == (20.5, 1)
            body = {"ts": now, "values": {"speed": 2.5, "run": True}}
            device.publish("area.1/line/data", json.dumps(body), qos=2)
            device.publish("area.1/line/mode", "手动")
            device.publish("area.1/line/temp", "hot")
            device.publish("gw/SN-4711/line/level", json.dumps({"v": 3}))
            columns = struct.pack("<q", now), struct.pack("<d", 9.5)
            device.publish("area.1/line/many", encode_batch(struct.pack("<i", 7), *columns))
            await heard.until(lambda: heard.last(5) == (9.5, 0) and heard.last(4) == (3.0, 0))
            assert heard.of(0)[-1] == (now, 2.5, 0)
            assert heard.last(1) == (1.0, 0)
            assert heard.texts[-1][2:] == ("手动", 0)
            assert heard.last(3) is not None
            assert heard.last(3)[1] == 2  # type: ignore[index]
            device.publish("area.1/line/data", b"{nonsense")
            await heard.until(
                lambda: "malformed messages: 1, the last area.1/line/data" in heard.detail
            )
            done = await heard.write("topic:area.1/line/cmd", {"op": "stop"})
            assert done.outcome == "done", done
            kept = await heard.write("retained:area.1/line/cmd", 42.0)
            assert kept.outcome == "done", kept
            lonely = await heard.write("topic:nobody/listens", "x")
            assert lonely.outcome == "done"
            assert ("nobody listens" in lonely.detail) == (version == "5")
            await heard.until(lambda: len(device.heard) >= 3)
            assert [(t, p) for t, p, _ in device.heard] == [
                ("will/edge", b"online"), ("area.1/line/cmd", b'{"op":"stop"}'),
                ("area.1/line/cmd", b"42"),
            ]  # fmt: skip
            late = Device(broker.port).start("area.1/line/cmd")
            await heard.until(lambda: late.heard == [("area.1/line/cmd", b"42", True)])
            late.stop()
            found = await heard.driver.browse("area.1")  # type: ignore[attr-defined]
            # Only what is retained is sure to be heard in a short time.
            assert "area.1/line/data#/values/speed" in {node.address for node in found}
        await asyncio.sleep(0)
        for _ in range(200):
            if device.heard[-1][1] == b"offline":
                break
            await asyncio.sleep(0.01)
        assert device.heard[-1][:2] == ("will/edge", b"offline")
        device.stop()


async def test_nothing_of_qos_1_and_2_is_lost_over_a_cut_of_seconds_and_no_order_is_repeated(
    tmp_path: Path,
) -> None:
    tags = [tag("ONE", "count/one#n"), tag("TWO", "count/two#n")]
    async with Broker(tmp_path) as broker:
        device = Device(broker.port).start("cmd/#")
        proxy = Proxy(broker.port)
        async with proxy.running():
            given = source(proxy.port, subscriptions=[{"filter": "count/two", "qos": 2}])
            async with here(given, tags) as heard:

                async def keep() -> None:
                    """As the driver child does: close, connect, run, and again."""
                    delay = 0.25
                    while True:
                        try:
                            await heard.driver.connect()
                            delay = 0.25
                            await heard.driver.run()
                        except AndonError as error:
                            heard.state("failed", str(error))
                        await heard.driver.close()
                        await asyncio.sleep(delay)
                        delay = min(2.0, delay * 2)

                # The rig's own run ends with the first cut; ours goes on.
                heard.task.cancel()
                heard.task = asyncio.create_task(keep())
                total, cut_at, back_at = 600, 200, 400

                async def count() -> None:
                    for n in range(total):
                        if n == cut_at:
                            proxy.cut(True)
                        if n == back_at:
                            proxy.cut(False)
                        for topic in ("count/one", "count/two"):
                            qos = 2 if topic == "count/two" else 1
                            device.client.publish(topic, json.dumps({"n": n}), qos)
                        # 200 messages over a cut of 5 s.
                        await asyncio.sleep(0.025 if cut_at <= n < back_at else 0.001)

                counting = asyncio.create_task(count())
                await heard.until(lambda: heard.states[-1][0] == "failed", 20)
                assert "mend:" in heard.detail
                refused = await heard.write("topic:cmd/x", 1, 300)
                assert refused.outcome == "failed"
                assert "not sent" in refused.detail
                await counting
                await heard.until(lambda: heard.last(0) == (599.0, 0), 20)
                await heard.until(lambda: heard.last(1) == (599.0, 0), 20)
                assert {v for _, v, _ in heard.of(0)} == set(range(total))
                assert [v for _, v, _ in heard.of(1)] == list(range(total))
                # An order on the wire of a hung link is unknown, and never sent again later.
                proxy.hold(True)
                lost = await heard.write("topic:cmd/once", 1, 300)
                assert lost.outcome == "unknown"
                proxy.cut(True)
                proxy.hold(False)
                await heard.until(lambda: heard.states[-1][0] == "failed", 10)
                proxy.cut(False)
                await heard.until(lambda: heard.states[-1][0] == "connected", 15)
                assert (await heard.write("topic:cmd/last", 1)).outcome == "done"
                await heard.until(lambda: any(t == "cmd/last" for t, _, _ in device.heard))
                assert sum(t == "cmd/once" for t, _, _ in device.heard) <= 1
                assert heard.task.cancel()
        device.stop()


async def test_a_driver_that_is_killed_gets_what_came_meanwhile(tmp_path: Path) -> None:
    tags = [tag("N", "count#n")]
    async with Broker(tmp_path) as broker:
        device = Device(broker.port).start("will/edge")
        given = {"id": "s", **source(broker.port, presence={"topic": "will/edge"})}
        settings = {"state_dir": str(tmp_path)}
        with contextlib.suppress(ConnectionError):
            async with driver(given, tags, settings) as child:
                await child.until(lambda: child.state == "connected")
                device.publish("count", '{"n": 1}')
                await child.until(lambda: child.last(0) == (1.0, 0))
                child.process.kill()
                await child.until(lambda: ("will/edge", b"offline", False) in device.heard)
        for n in range(2, 52):
            device.publish("count", json.dumps({"n": n}))
        async with driver(given, tags, settings) as child:
            await child.until(lambda: child.last(0) == (51.0, 0))
            assert [v for _, v, _ in child.of(0)] == list(range(2, 52))
        device.stop()


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
    import base64
    import hashlib
    import os

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


async def test_two_connections_of_one_client_id_are_told_apart_and_shared_ones_share(
    tmp_path: Path,
) -> None:
    tags = [tag("N", "count#n")]
    async with Broker(tmp_path) as broker:
        device = Device(broker.port).start()
        shared = source(broker.port, subscriptions=[{"filter": "count", "shared": "edges"}])
        twin = {**shared, "options": {**shared["options"], "client_id": "two"}}
        async with here(shared, tags) as one, here(twin, tags) as two:
            for n in range(20):
                device.publish("count", json.dumps({"n": n}))
            await one.until(lambda: len(one.of(0)) + len(two.of(0)) == 20)
            assert len(one.of(0)) in range(5, 16)
            # Another program with the same name throws this one out: said with the mend.
            thief = Device(broker.port, client_id="two").start()
            with pytest.raises(AndonError, match=r"same client id|connection is lost"):
                await two.until(lambda: False, 5)
            thief.stop()
        device.stop()
