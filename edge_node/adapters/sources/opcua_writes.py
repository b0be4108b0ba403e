"""Writes and method calls of an OPC UA source: once each, with what came of it.

Used by the client. Nothing is repeated; `unknown` whenever the request may have been carried out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from asyncua import Client, Node, ua

from edge_node.adapters.sources.opcua import in_namespaces, method_address
from edge_node.adapters.sources.opcua_items import node_id
from edge_node.adapters.sources.opcua_values import plain, variant_of
from edge_node.adapters.sources.port import Source
from edge_node.application.ipc import Write, WriteResult
from shared.errors import ConfigError

READBACK_S = 1.5
# The server answered, and its answer does not say that nothing was done.
AMBIGUOUS = {
    ua.StatusCodes.BadTimeout, ua.StatusCodes.BadRequestTimeout,
    ua.StatusCodes.BadCommunicationError, ua.StatusCodes.BadUnexpectedError,
    ua.StatusCodes.BadInternalError, ua.StatusCodes.BadDeviceFailure,
    ua.StatusCodes.BadConnectionClosed, ua.StatusCodes.BadNoCommunication,
    ua.StatusCodes.BadUnknownResponse, ua.StatusCodes.BadShutdown,
}  # fmt: skip
_NOT_SENT = (ConfigError, ValueError, ua.UaError, OSError, TimeoutError)


class Writer:
    """What is known of the nodes that are written, for one session."""

    def __init__(self, source: Source, client: Client, names: Sequence[str]) -> None:
        self._source, self._client, self._names = source, client, names
        self._types: dict[str, tuple[ua.VariantType, bool]] = {}
        self._arguments: dict[str, list[tuple[ua.VariantType, bool]]] = {}

    async def perform(self, order: Write) -> tuple[WriteResult, Node | None, ua.DataValue | None]:
        """Carry out an order; with the node and its value when it was written and read back."""
        until = asyncio.get_running_loop().time() + order.timeout_ms / 1000
        try:
            address = in_namespaces(order.address, self._names)
            method = method_address(address)
            if method is not None:
                return await self._call(order, method, until), None, None
            node = self._client.get_node(node_id(self._source, address))
            async with asyncio.timeout_at(until):
                value = await self._variant(order, node)
        except _NOT_SENT as error:
            return _failed(order, f"not sent: {_why(error)}"), None, None
        fault = await self._send(order, node.write_value(ua.DataValue(value)), until)
        if isinstance(fault, WriteResult):
            return fault, None, None
        return await self._read_back(order, node)

    async def _variant(self, order: Write, node: Node) -> ua.Variant:
        if order.address not in self._types:
            kind = await node.read_data_type_as_variant_type()
            self._types[order.address] = kind, int(await node.read_value_rank()) >= 0
        return variant_of(order.value, *self._types[order.address])

    async def _send(self, order: Write, request: Any, until: float) -> Any:
        """The answer, or the result when there was none or a refusal."""
        try:
            async with asyncio.timeout_at(until):
                return await request
        except ua.UaStatusCodeError as error:
            outcome = "unknown" if error.code in AMBIGUOUS else "failed"
            return WriteResult(id=order.id, outcome=outcome, detail=str(error))
        except (ua.UaError, OSError, TimeoutError) as error:
            detail = f"sent, no confirmation: {_why(error)}"
            return WriteResult(id=order.id, outcome="unknown", detail=detail)

    async def _read_back(
        self, order: Write, node: Node
    ) -> tuple[WriteResult, Node | None, ua.DataValue | None]:
        try:
            async with asyncio.timeout(READBACK_S):
                read = await node.read_data_value(raise_on_bad_status=False)
        except (ua.UaError, OSError, TimeoutError) as error:
            detail = f"confirmed; no read-back: {_why(error)}"
            return WriteResult(id=order.id, outcome="done", detail=detail), None, None
        raw = read.Value.Value if read.Value is not None else None
        return WriteResult(id=order.id, outcome="done", readback=plain(raw)), node, read

    async def _call(self, order: Write, method: tuple[str, str], until: float) -> WriteResult:
        """Call a method; its results are the read-back (several: as JSON)."""
        owner, called = (node_id(self._source, part) for part in method)
        async with asyncio.timeout_at(until):
            expected = await self._expected(order.address, called)
        given = order.value if isinstance(order.value, list) else [order.value]
        if given == [True] and expected == []:
            given = []  # an operation without argument and value
        if len(expected) != len(given):
            wanted = f"the method takes {len(expected)} arguments, {len(given)} are given"
            return _failed(order, f"not sent: {wanted}")
        pairs = zip(given, expected, strict=True)
        arguments = [variant_of(value, *kind) for value, kind in pairs]
        request = self._client.get_node(owner).call_method(called, *arguments)
        answer = await self._send(order, request, until)
        if isinstance(answer, WriteResult):
            return answer
        return WriteResult(id=order.id, outcome="done", readback=_results(answer))

    async def _expected(self, address: str, method: ua.NodeId) -> list[tuple[ua.VariantType, bool]]:
        """Types of the arguments, and whether each is an array."""
        if address not in self._arguments:
            node = self._client.get_node(method)
            try:
                listed = await node.get_child("0:InputArguments")
            except ua.UaStatusCodeError as error:
                if error.code in (ua.StatusCodes.BadNodeIdUnknown, ua.StatusCodes.BadNodeIdInvalid):
                    raise
                # A method without arguments has no such property.
                self._arguments[address] = []
            else:
                self._arguments[address] = [
                    (await _type_of(self._client, argument.DataType), argument.ValueRank >= 0)
                    for argument in await listed.read_value()
                ]
        return self._arguments[address]


async def _type_of(client: Client, kind: ua.NodeId) -> ua.VariantType:
    """The built-in type below a data type."""
    if kind.NamespaceIndex == 0 and isinstance(kind.Identifier, int) and kind.Identifier <= 25:
        return ua.VariantType(kind.Identifier)
    parents = await client.get_node(kind).get_referenced_nodes(
        refs=ua.ObjectIds.HasSubtype, direction=ua.BrowseDirection.Inverse
    )
    if not parents:
        raise ValueError(f"the type {kind.to_string()} of an argument is not known")
    return await _type_of(client, parents[0].nodeid)


def _results(answer: Any) -> float | bool | str | None:
    if isinstance(answer, list):
        return json.dumps([plain(item) for item in answer], ensure_ascii=False)
    return plain(answer)


def _failed(order: Write, detail: str) -> WriteResult:
    return WriteResult(id=order.id, outcome="failed", detail=detail)


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
