"""Mutual TLS on the leaf link, as the renderer writes it: a certificate of ours, or no link."""

from __future__ import annotations

import datetime
import ipaddress
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.bus.nats_conf import NatsServer, Tls, Upstream, edge_leaf, render
from shared.embedded.nats_server import find_nats_server
from shared.embedded.ports import LOOPBACK, Ports

pytestmark = pytest.mark.timeout(60)


def _authority(folder: Path, name: str) -> Tls:
    """A self-signed certificate for the loopback address that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{name}.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = folder / f"{name}.key"
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Tls(str(pem), str(secret), str(pem))


@contextmanager
def _running(folder: Path, *servers: NatsServer) -> Iterator[None]:
    running = []
    try:
        for server in servers:
            path = folder / f"{server.name}.conf"
            path.write_text(render(server))
            argv = [str(find_nats_server()), "-c", str(path), "-l", str(folder / server.name)]
            running.append(subprocess.Popen(argv))
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(10)


def _links(hub: NatsServer, within_s: float) -> int:
    """Leaf links of the hub, waiting for the first."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            url = f"http://{LOOPBACK}:{hub.http_port}/leafz"
            with urllib.request.urlopen(url, timeout=2) as answer:
                count = json.load(answer)["leafnodes"]
        except OSError:
            count = 0
        if count or time.monotonic() > deadline:
            return count
        time.sleep(0.05)


@pytest.mark.parametrize(("known", "links"), [(True, 1), (False, 0)])
def test_leaf_needs_a_certificate_that_the_hub_knows(
    tmp_path: Path, known: bool, links: int
) -> None:
    take = Ports().take
    ours, stranger = _authority(tmp_path, "ours"), _authority(tmp_path, "stranger")
    leaf = edge_leaf("f1", "e1", "pw")
    hub = NatsServer(
        "f1", "f1", str(tmp_path / "hub"), take(), take(), "a", "s",
        leaf_port=take(), leaves=(leaf,), leaf_tls=ours,
    )  # fmt: skip
    url = f"tls://e1:pw@{LOOPBACK}:{hub.leaf_port}"
    edge = NatsServer(
        "f1-e1", "f1-e1", str(tmp_path / "edge"), take(), take(), "a", "s",
        upstream=Upstream(url),
        upstream_tls=ours if known else replace(stranger, ca=ours.ca),
    )  # fmt: skip
    with _running(tmp_path, hub, edge):
        assert _links(hub, 5 if known else 3) == links
        if not known:
            assert "certificate" in (tmp_path / "f1").read_text()
