"""The furnace behind a real OPC UA server: nodes, source timestamps, status codes, write records.

Opened and published by `simulators.simulation`; never decides what the plant does.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from datetime import UTC, datetime
from typing import Any

from asyncua import Server, ua
from asyncua.common.callback import Callback, CallbackService, CallbackType, ServerItemCallback

from shared.clock import Clock
from simulators.equipment.model import Value
from simulators.plant import Plant

NAMESPACE = "urn:andon:sim:furnace"
PREFIX = "FUR01"
PATH = "/furnace"

_KINDS: dict[type, ua.VariantType] = {
    bool: ua.VariantType.Boolean,
    int: ua.VariantType.Int32,
    float: ua.VariantType.Double,
    str: ua.VariantType.String,
}


async def stop_listening(server: Server) -> None:
    """Close the listening socket first, then every session.

    The library does it the other way round: a client that comes back in between keeps its
    session, and the library waits for that client for ever.
    """
    binary = server.bserver
    if binary is None:
        return
    if binary._server is not None:
        binary._server.close()
    await binary.stop()
    for late in list(server.iserver.asyncio_transports):
        late.close()


class OpcuaWire:
    """An OPC UA server whose address space shows one plant."""

    def __init__(self, plant: Plant, clock: Clock, host: str, port: int) -> None:
        self._plant, self._clock = plant, clock
        self._host, self._port = host, port
        self._server: Server | None = None
        self._index = 0
        self._kinds: dict[str, ua.VariantType] = {}
        self._shown: dict[str, Value | None] = {}

    async def open(self) -> None:
        """Build the address space once, then listen; later calls listen again on the same port."""
        if self._server is None:
            self._server = await self._build()
            await self._server.start()
            assert self._server.bserver is not None
            self._port = self._server.bserver.port
            _give_back_memory()
        elif self._server.bserver is not None:
            # Only the sockets come and go: the address space takes a second to build, and a
            # device that was cut off keeps its memory too.
            await self._server.bserver.start()
        self._shown.clear()
        await self.publish()

    async def close(self, *, silent: bool = False) -> None:
        """Close the listening socket and every session."""
        if self._server is not None and self._server.bserver is not None:
            await stop_listening(self._server)

    async def shutdown(self) -> None:
        """Stop for good."""
        if self._server is not None:
            await stop_listening(self._server)
            await self._server.stop()
            self._server = None

    async def publish(self) -> None:
        """Write the nodes that changed by more than their resolution."""
        now = self._now()
        for signal in self._plant.equipment.signals:
            value = self._plant.readings[signal.name]
            if self._changed(signal.name, value, signal.resolution):
                await self._show(signal.name, value, now)

    def endpoint(self) -> dict[str, Any]:
        """The server's address and namespace."""
        url = f"opc.tcp://{self._host}:{self._port}{PATH}"
        return {"protocol": "opcua", "url": url, "port": self._port, "namespace": NAMESPACE}

    async def _build(self) -> Server:
        server = Server()
        # "admin" would otherwise be let in unchecked and could write every node.
        server.iserver.allow_remote_admin = False
        await server.init()
        server.set_endpoint(f"opc.tcp://{self._host}:{self._port}{PATH}")
        server.set_server_name("Andon simulated furnace")
        await server.set_application_uri("urn:andon:sim:opcua-server")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        index = await server.register_namespace(NAMESPACE)
        self._index = index
        folder = await server.nodes.objects.add_object(
            ua.NodeId.from_string(f"ns={index};s={PREFIX}"), f"{index}:{PREFIX}"
        )
        for signal in self._plant.equipment.signals:
            value = self._plant.readings[signal.name]
            kind = _KINDS[type(value) if value is not None else float]
            self._kinds[signal.name] = kind
            node = await folder.add_variable(
                self._node(signal.name), f"{index}:{signal.name}", value, kind
            )
            if signal.writable:
                await node.set_writable()
        # The library's dispatcher keys by the enumeration although it is annotated with str.
        event: Any = CallbackType.PostWrite
        server.iserver.callback_service.addListener(event, self._written)
        before: Any = CallbackType.PreWrite
        server.iserver.callback_service.addListener(before, self._writing)
        return server

    def _changed(self, name: str, value: Value | None, resolution: float) -> bool:
        if name not in self._shown:
            return True
        shown = self._shown[name]
        if isinstance(value, float) and isinstance(shown, float):
            return abs(value - shown) > resolution
        return value != shown

    async def _show(self, name: str, value: Value | None, now: Any) -> None:
        assert self._server is not None
        kind = self._kinds[name]
        if value is None:
            data = ua.DataValue(
                StatusCode=ua.StatusCode(ua.UInt32(ua.StatusCodes.BadSensorFailure)),
                SourceTimestamp=now,
                ServerTimestamp=now,
            )
        else:
            data = ua.DataValue(ua.Variant(value, kind), SourceTimestamp=now, ServerTimestamp=now)
        # Straight to the address space: no session, so our own writes never look like a client's.
        await self._server.write_attribute_value(self._node(name), data)
        self._shown[name] = value

    async def _writing(self, event: Callback, service: CallbackService) -> None:
        """A write is about to be taken; a faulty device does not."""
        del service
        if not isinstance(event, ServerItemCallback) or not event.is_external:
            return
        if self._plant.refuses:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadNotWritable)
        if self._plant.deaf_s:
            await asyncio.sleep(self._plant.deaf_s)
            raise ua.UaStatusCodeError(ua.StatusCodes.BadTimeout)

    async def _written(self, event: Callback, service: CallbackService) -> None:
        """A write arrived; record the clients' ones that the server let through."""
        del service
        if not isinstance(event, ServerItemCallback) or not event.is_external:
            return
        results = zip(event.request_params.NodesToWrite, event.response_params, strict=True)
        for item, status in results:
            identifier = item.NodeId.Identifier
            if item.AttributeId != ua.AttributeIds.Value or not isinstance(identifier, str):
                continue
            if not status.is_good() or item.NodeId.NamespaceIndex != self._index:
                continue
            name = identifier.removeprefix(f"{PREFIX}.")
            raw = item.Value.Value.Value if item.Value.Value is not None else None
            self._plant.write(name, raw, f"ns={self._index};s={identifier}")
            # The client's value may lack a source time or lie outside the limits.
            await self._show(name, self._plant.readings[name], self._now())
        if self._plant.late_s:
            await asyncio.sleep(self._plant.late_s)

    def _node(self, name: str) -> ua.NodeId:
        return ua.NodeId.from_string(f"ns={self._index};s={PREFIX}.{name}")

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)


def _give_back_memory() -> None:
    """Return what building the standard address space used: about 35 MB of generated code and heap.

    The generated modules only build nodes and are never called again in this process.
    """
    prefix = "asyncua.server.standard_address_space"
    for name in [name for name in sys.modules if name.startswith(prefix)]:
        del sys.modules[name]
    vars(sys.modules["asyncua.server"]).pop("standard_address_space", None)
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
        if trim is not None:
            trim(0)
