"""Looking through an OPC UA server's nodes, for the engineer who writes tags.

Used by `andon tags browse` through the client; reads only.
"""

from __future__ import annotations

from typing import Any

from asyncua import Client, ua

from edge_node.adapters.sources.opcua_items import node_id
from edge_node.adapters.sources.opcua_values import plain, standard
from edge_node.adapters.sources.port import Node, Source
from shared.errors import ConfigError, RetryableTransportError

MAX_NODES = 2_000
_SHOWN = (ua.NodeClass.Object, ua.NodeClass.Variable, ua.NodeClass.Method)
_REFERENCES = ua.ObjectIds.HierarchicalReferences


async def look_into(client: Client, source: Source, path: str) -> list[Node]:
    """The nodes below `path`, with the type and value of variables."""
    start = node_id(source, path) if path else standard(ua.ObjectIds.ObjectsFolder)
    try:
        found = await client.get_node(start).get_references(
            _REFERENCES, ua.BrowseDirection.Forward, includesubtypes=True
        )
        if path and not found:
            await client.get_node(start).read_node_class()  # says so when there is no such node
        found = [r for r in found if r.NodeClass in _SHOWN][:MAX_NODES]
        values = await _values(
            client, [r.NodeId for r in found if r.NodeClass == ua.NodeClass.Variable]
        )
    except ua.UaStatusCodeError as error:
        raise ConfigError(
            f"source {source.id}: cannot look into {path or 'the objects'}: {error}",
            mend="give the address of a node that `andon tags browse` has listed",
        ) from error
    except (ua.UaError, OSError, TimeoutError) as error:
        raise RetryableTransportError(
            f"source {source.id}: {source.url} does not answer: {error or type(error).__name__}"
        ) from error
    return [_node(reference, values.get(reference.NodeId)) for reference in found]


def _node(reference: Any, value: ua.DataValue | None) -> Node:
    address = reference.NodeId.to_string()
    name = str(reference.DisplayName.Text or reference.BrowseName.Name)
    if reference.NodeClass == ua.NodeClass.Variable:
        variant = value.Value if value is not None else None
        array = "[]" if variant is not None and isinstance(variant.Value, list) else ""
        kind = f"{variant.VariantType.name}{array}" if variant is not None else "?"
        raw = plain(variant.Value) if variant is not None else None
        return Node(address, name, kind, children=True, value=raw, path=address)
    kind = "method" if reference.NodeClass == ua.NodeClass.Method else "folder"
    return Node("", name, kind, children=kind == "folder", path=address)


async def _values(client: Client, nodes: list[Any]) -> dict[Any, ua.DataValue]:
    if not nodes:
        return {}
    wanted = [client.get_node(node) for node in nodes]
    read = await client.uaclient.session.read_attributes(
        [node.nodeid for node in wanted], ua.AttributeIds.Value
    )
    return dict(zip(nodes, read, strict=True))
