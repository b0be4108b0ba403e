"""A session with an OPC UA server: security, trust in certificates, user; not yet any reading.

Used by the client at each connect. The edge's own certificate is made on first use and kept; a
server's certificate is trusted by its thumbprint alone, never by having been seen before.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.client.ua_session import UaSession
from asyncua.common.shortcuts import Shortcuts
from asyncua.crypto import cert_gen, security_policies, uacrypto
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from edge_node.adapters.sources.opcua import OpcuaOptions
from edge_node.adapters.sources.port import Source
from shared.clock import Clock
from shared.errors import ConfigError

REQUEST_S = 4.0
STALE_FACTOR = 10.0
"""Silent keep-alives after which a subscription is made anew, on a wire that is up."""
VALID_DAYS = 3650
RENEW_DAYS = 30
_MODES = {
    "sign": ua.MessageSecurityMode.Sign,
    "sign_and_encrypt": ua.MessageSecurityMode.SignAndEncrypt,
}


class Publishes(UaSession):
    """The library's session, made to tell what a server has sent from what it has not.

    Left alone, the library takes two answers without content for messages, and both hide that
    values are missing: the source would look connected and repeat what is no longer true.
    """

    async def publish(self, acks: list[ua.SubscriptionAcknowledgement]) -> ua.PublishResponse:
        """A keep-alive carries the number of the message still to come: it is not yet received.

        Counted as received, the message would never be asked for after a cut.
        """
        response = await super().publish(acks)
        message = response.Parameters.NotificationMessage
        message.NotificationData = message.NotificationData or None
        return response

    async def republish(
        self, subscription_id: int, retransmit_sequence_number: int
    ) -> ua.NotificationMessage:
        """An empty answer means that the server has no such message, whatever its status says.

        Counted as a message, it would be a sign of life, and the next would be asked for, for ever.
        """
        message = await super().republish(subscription_id, retransmit_sequence_number)
        if not message.NotificationData:
            raise ua.uaerrors.BadMessageNotAvailable()
        return message


class Session(Client):
    """The library's client with what plants need: it takes a server's revised figures as they are.

    Left alone, the library answers a revised interval with a keep-alive of most of an hour, and
    makes a subscription anew (losing what the server kept) after 1.5 s of silence.
    """

    def __init__(self, url: str) -> None:
        super().__init__(
            url, timeout=REQUEST_S, watchdog_intervall=1.0, auto_reconnect=True,
            reconnect_max_delay=2.0, reconnect_request_timeout=2.0,
        )  # fmt: skip
        self._stale_check_margin = STALE_FACTOR
        self.uaclient.session = Publishes(self.uaclient)
        self.nodes = Shortcuts(self.uaclient.session)

    def get_subscription_revised_params(
        self, params: ua.CreateSubscriptionParameters, results: ua.CreateSubscriptionResult
    ) -> ua.ModifySubscriptionParameters | None:
        """Note what the server will really do; ask for nothing more."""
        params.RequestedPublishingInterval = results.RevisedPublishingInterval
        params.RequestedMaxKeepAliveCount = results.RevisedMaxKeepAliveCount
        params.RequestedLifetimeCount = results.RevisedLifetimeCount
        return None


async def session_of(source: Source, clock: Clock) -> Session:
    """A client ready to connect; ConfigError when trust or files are missing."""
    options: OpcuaOptions = source.options
    client = Session(source.url)
    client.name = client.description = f"Andon edge, source {source.id}"
    client.application_uri = f"urn:andon:edge:{source.id}"
    if options.security != "none":
        await _secure(client, source, options, clock)
    given = source.settings
    if user := given.get("user"):
        client.set_user(str(user))
        client.set_password(source.password())
    if given.get("user_certificate"):
        await _user_certificate(client, source, given)
    return client


async def _user_certificate(client: Session, source: Source, given: dict[str, Any]) -> None:
    try:
        await client.load_client_certificate(str(given["user_certificate"]))
        await client.load_private_key(Path(str(given.get("user_key", ""))))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"source {source.id}: cannot read the user's certificate or key: {error}",
            mend="correct user_certificate and user_key in the edge's device_credentials",
        ) from error


async def _secure(client: Session, source: Source, options: OpcuaOptions, clock: Clock) -> None:
    certificate, key = await asyncio.to_thread(own_certificate, source, clock)
    policy = getattr(security_policies, f"SecurityPolicy{options.policy}")
    mode = _MODES[options.security]
    endpoints = await client.connect_and_get_server_endpoints()
    shown = next(
        (e.ServerCertificate for e in endpoints
         if e.SecurityMode == mode and e.SecurityPolicyUri == policy.URI), None
    )  # fmt: skip
    if not shown:
        offered = sorted({_offer(endpoint) for endpoint in endpoints})
        raise ConfigError(
            f"source {source.id}: {source.url} does not offer {options.security} with "
            f"{options.policy}; it offers {', '.join(offered)}",
            mend="correct `security` and `policy` of the source's options, or the server",
        )
    server = first_certificate(shown)
    check_trust(source, options.server_thumbprint, server)
    await client.set_security(
        policy, str(certificate), str(key), mode=mode,
        server_certificate=uacrypto.CertProperties(server, "der"),
    )  # fmt: skip


def _offer(endpoint: ua.EndpointDescription) -> str:
    return f"{endpoint.SecurityMode.name} {str(endpoint.SecurityPolicyUri).rpartition('#')[2]}"


def first_certificate(chain: bytes) -> bytes:
    """The server's own certificate at the head of a chain of DER."""
    return chain[: int.from_bytes(chain[2:4], "big") + 4] if chain[1:2] == b"\x82" else chain


def thumbprints(der: bytes) -> tuple[str, str]:
    """SHA-256 and SHA-1 of a certificate, in hexadecimal."""
    return hashlib.sha256(der).hexdigest(), hashlib.sha1(der, usedforsecurity=False).hexdigest()


def check_trust(source: Source, pinned: str, der: bytes) -> None:
    """Raise unless the server's certificate is the pinned one."""
    strong, short = thumbprints(der)
    if pinned and pinned in (strong, short):
        return
    shown = f"SHA-256 {strong} (SHA-1 {short})"
    if pinned:
        raise ConfigError(
            f"source {source.id}: {source.url} shows another certificate than the pinned one: "
            f"{shown}",
            mend="find out why it has changed; only then correct options.server_thumbprint",
        )
    raise ConfigError(
        f"source {source.id}: the certificate of {source.url} is not trusted: {shown}",
        mend="compare it with what the server itself displays, then write under the source: "
        f"options: {{server_thumbprint: {strong}}}",
    )


def own_certificate(source: Source, clock: Clock) -> tuple[Path, Path]:
    """The edge's certificate (DER) and key (PEM) for this source; made when there is none."""
    folder = source.settings.get("state_dir")
    if not folder:
        raise ConfigError(
            f"source {source.id}: a secured session needs a folder for the edge's certificate",
            mend="run it with the edge's settings: --config FILE",
        )
    place = Path(str(folder))
    certificate, key = place / "certificate.der", place / "key.pem"
    try:
        if not key.exists() or _ends_soon(certificate, clock):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make(source, certificate, key)
    except OSError as error:
        raise ConfigError(
            f"source {source.id}: cannot keep the edge's certificate in {place}: {error.strerror}",
            mend="give the edge's user write access to its state_dir",
        ) from error
    return certificate, key


def _ends_soon(path: Path, clock: Clock) -> bool:
    try:
        certificate = x509.load_der_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return True
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    return certificate.not_valid_after_utc - now < timedelta(days=RENEW_DAYS)


def _make(source: Source, certificate: Path, key: Path) -> None:
    private = cert_gen.generate_private_key()
    made = cert_gen.generate_self_signed_app_certificate(
        private, f"Andon edge, source {source.id}", {"organizationName": "Andon"},
        [
            x509.UniformResourceIdentifier(f"urn:andon:edge:{source.id}"),
            x509.DNSName(socket.gethostname()),
        ],
        extended=[ExtendedKeyUsageOID.CLIENT_AUTH], days=VALID_DAYS,
    )  # fmt: skip
    _put(key, cert_gen.dump_private_key_as_pem(private))
    _put(certificate, made.public_bytes(Encoding.DER))


def _put(path: Path, content: bytes) -> None:
    """Written beside and moved into place: a power cut leaves the old one or the new one."""
    new = path.with_name(path.name + ".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def own_thumbprint(source: Source) -> str:
    """What the server's operator must trust; "" when there is no certificate yet."""
    path = Path(str(source.settings.get("state_dir", ""))) / "certificate.der"
    try:
        return f"{path} (SHA-1 {thumbprints(path.read_bytes())[1]})"
    except OSError:
        return ""
