"""The OPC UA driver as the registry sees it: its options and the grammar of its addresses.

Loaded by a site's check, so it imports no OPC UA library; `opcua_client` does the work.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from edge_node.adapters.sources.port import Driver, DriverInfo, Options, Sink, Source
from shared.clock import Clock

_NODE = re.compile(
    r"(ns=(\d{1,5});|nsu=[^;]+;)?(i=\d{1,10}|s=.+|g=[0-9A-Fa-f-]{36}|b=[A-Za-z0-9+/=]+)", re.DOTALL
)
_NAMESPACE = re.compile(r"nsu=([^;]+);")
_NODE_RULE = "write it as ns=2;s=NAME, ns=2;i=NUMBER or nsu=URI;s=NAME"
_NOWHERE = 65_535
_ELEMENT = re.compile(r"(.+)\[(\d{1,6})\]", re.DOTALL)
EVENT_FIELDS = {
    "Active": "boolean", "Acked": "boolean", "Confirmed": "boolean", "Enabled": "boolean",
    "Severity": "number", "Message": "string",
}  # fmt: skip


class OpcuaOptions(Options):
    """`options:` of an OPC UA source. User and password stand in the edge's settings."""

    security: Literal["none", "sign", "sign_and_encrypt"] = "none"
    policy: Literal["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"] = (
        "Basic256Sha256"
    )
    server_thumbprint: str = ""
    """SHA-256 (or SHA-1, as most tools show it) of the server's certificate, in hexadecimal."""
    queue: int = Field(default=0, ge=0, le=100_000)
    """Values per tag that the server is asked to keep over a cut; 0: a minute's worth."""

    @field_validator("server_thumbprint")
    @classmethod
    def _thumbprint(cls, value: str) -> str:
        plain = re.sub(r"[\s:]", "", value).lower()
        if plain and not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", plain):
            raise ValueError("a thumbprint has 64 (SHA-256) or 40 (SHA-1) hexadecimal digits")
        return plain


@dataclass(frozen=True, slots=True)
class EventAddress:
    """`event:<source node>|<condition or *>|<field>`, taken apart."""

    node: str
    condition: str
    field: str


def element_of(address: str) -> tuple[str, int] | None:
    """`ns=2;s=X[3]` as (`ns=2;s=X`, 3); None when it names no element."""
    match = _ELEMENT.fullmatch(address)
    return (match[1], int(match[2])) if match else None


def in_namespaces(address: str, known: Sequence[str]) -> str:
    """An address with the indices that this server gives to namespaces named by `nsu=`; one that it
    does not have becomes an index that none has, so that the tag alone is refused.
    """
    if "nsu=" not in address:
        return address
    places = {uri: index for index, uri in enumerate(known)}
    return _NAMESPACE.sub(lambda found: f"ns={places.get(found[1], _NOWHERE)};", address)


def event_address(address: str) -> EventAddress | None:
    """An event address; None when it is not one; ValueError with the rule when it is wrong."""
    if not address.startswith("event:"):
        return None
    parts = address.removeprefix("event:").split("|")
    # The node's name and the condition's may hold anything but the bar.
    if len(parts) != 3 or not all(parts):
        raise ValueError(
            f"{address!r}: write event:SOURCE NODE|CONDITION or *|FIELD, "
            "for example event:i=2253|*|Active"
        )
    if wrong := _node_fault(parts[0]):
        raise ValueError(f"{address!r}: {wrong}")
    if parts[2] not in EVENT_FIELDS:
        raise ValueError(f"{address!r}: the field must be one of {', '.join(EVENT_FIELDS)}")
    return EventAddress(*parts)


def method_address(address: str) -> tuple[str, str] | None:
    """`method:<object>|<method>` as both node ids; ValueError with the rule when it is wrong."""
    if not address.startswith("method:"):
        return None
    parts = address.removeprefix("method:").split("|")
    if len(parts) != 2 or not all(parts):
        raise ValueError(f"{address!r}: write method:OBJECT NODE|METHOD NODE")
    for part in parts:
        if wrong := _node_fault(part):
            raise ValueError(f"{address!r}: {wrong}")
    return parts[0], parts[1]


def _node_fault(text: str) -> str:
    match = _NODE.fullmatch(text)
    if match and int(match[2] or 0) <= 65_535:
        return ""
    return f"{text!r} is not a node id: {_NODE_RULE}"


def check_address(address: str, kind: str) -> str:
    """Whether a tag's address is a node id, an element of an array or a field of a condition."""
    try:
        event = event_address(address)
    except ValueError as error:
        return str(error)
    if event is None:
        return _node_fault(address)
    expected = EVENT_FIELDS[event.field]
    if kind != expected:
        return f"{address!r}: {event.field} is a {expected}: write `type: {expected}`"
    return ""


def check_write(address: str) -> str:
    """Whether an operation's address is a node id or a method."""
    try:
        return "" if method_address(address) else _node_fault(address)
    except ValueError as error:
        return str(error)


def build(source: Source, sink: Sink, clock: Clock) -> Driver:
    """The client, with its library."""
    from edge_node.adapters.sources.opcua_client import OpcuaDriver

    return OpcuaDriver(source, sink, clock)


DRIVER = DriverInfo(
    name="opcua",
    options=OpcuaOptions,
    build=build,
    check_address=check_address,
    check_write=check_write,
    schemes=("opc.tcp",),
)
