"""Real OPC UA servers for driver tests: a few nodes, a method, an alarm, secured or not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncua import Node, Server, ua, uamethod
from asyncua.crypto import cert_gen
from asyncua.server.user_managers import User, UserManager, UserRole
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from simulators.servers.opcua import stop_listening
from tests.support.edge_plants import free_port

SECURED = [
    ua.SecurityPolicyType.NoSecurity,
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]


class OneUser(UserManager):
    """Lets in one user with a password or any with a certificate, nobody else."""

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None,
        certificate: Any = None,
    ) -> User | None:  # fmt: skip
        known = (username, password) == ("andon", "s3cret")
        return User(role=UserRole.Admin, name="andon") if known or certificate else None


@dataclass
class Alarm:
    """An alarm of the server's, as a test moves it."""

    generator: Any

    async def tell(self, active: bool, acked: bool, severity: int, message: str) -> None:
        """One event with the whole state."""
        event = self.generator.event
        event.Retain = active or not acked
        for field, value in (("ActiveState/Id", active), ("AckedState/Id", acked)):
            setattr(event, field, value)
        event.Severity, event.Message = severity, ua.LocalizedText(message)
        await self.generator.trigger()


@dataclass
class Plant:
    """A running server."""

    server: Server
    port: int
    nodes: dict[str, Node]
    calls: list[tuple[Any, ...]]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"opc.tcp://127.0.0.1:{self.port}/x"

    async def set(self, name: str, value: Any, code: int = 0) -> None:
        """Give a node a value and a status."""
        kind = await self.nodes[name].read_data_type_as_variant_type()
        status = ua.StatusCode(ua.UInt32(code))
        await self.nodes[name].write_value(ua.DataValue(ua.Variant(value, kind), status))

    async def alarm(self, name: str) -> Alarm:
        """An alarm that the server's own node notifies of."""
        generator = await self.server.get_event_generator(
            ua.ObjectIds.AlarmConditionType, ua.ObjectIds.Server
        )
        event = generator.event
        event.ConditionName, event.SourceName = name, "Boiler"
        event.NodeId = ua.NodeId(f"Boiler.{name}", 1)
        event.BranchId = ua.NodeId()
        return Alarm(generator)


_NODES = {
    "Count": (0, ua.VariantType.Int64), "Slow": (0.5, ua.VariantType.Double),
    "Small": (0, ua.VariantType.Int16), "On": (False, ua.VariantType.Boolean),
    "Word": ("a", ua.VariantType.String), "Real": (0.0, ua.VariantType.Float),
    "List": ([1.5, 2.5, 3.5], ua.VariantType.Double),
}  # fmt: skip


@contextlib.asynccontextmanager
async def opcua_plant(
    port: int = 0, folder: Path | None = None, users: UserManager | None = None
) -> AsyncIterator[Plant]:
    """Run a server; with `folder` it has a certificate there and offers security."""
    port = port or free_port()
    server = Server(user_manager=users)
    server.iserver.bind_condition_methods = 500  # it answers ConditionRefresh
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/x")
    if folder is None:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    else:
        server.set_security_policy(SECURED)
        certificate, key = server_certificate(folder)
        await server.load_certificate(str(certificate))
        await server.load_private_key(str(key))
    plant = Plant(server, port, {}, [])
    for name, (value, kind) in _NODES.items():
        node = await server.nodes.objects.add_variable(
            ua.NodeId(name, 1), f"1:{name}", ua.Variant(value, kind)
        )
        await node.set_writable()
        plant.nodes[name] = node
    await _add_methods(plant)
    async with server:
        try:
            yield plant
        finally:
            await stop_listening(server)


async def _add_methods(plant: Plant) -> None:
    @uamethod
    def add(parent: Any, left: float, right: int) -> Any:
        plant.calls.append((left, right))
        if right < 0:
            return ua.StatusCode(ua.UInt32(ua.StatusCodes.BadOutOfRange))
        return left + right

    @uamethod
    def reset(parent: Any) -> None:
        plant.calls.append(())

    objects = plant.server.nodes.objects
    kinds = [ua.VariantType.Double, ua.VariantType.Int32]
    await objects.add_method(ua.NodeId("Add", 1), "1:Add", add, kinds, [ua.VariantType.Double])
    await objects.add_method(ua.NodeId("Reset", 1), "1:Reset", reset, [], [])


def server_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for a test's server, and its key."""
    certificate, key = folder / "server.der", folder / "server.pem"
    if not certificate.exists():
        private = cert_gen.generate_private_key()
        made = cert_gen.generate_self_signed_app_certificate(
            private, "test server", {},
            [x509.UniformResourceIdentifier("urn:test"), x509.DNSName("localhost")],
            extended=[ExtendedKeyUsageOID.SERVER_AUTH],
        )  # fmt: skip
        key.write_bytes(cert_gen.dump_private_key_as_pem(private))
        certificate.write_bytes(made.public_bytes(Encoding.DER))
    return certificate, key
