"""A host's view of Sparkplug edge nodes: births, deaths, sequence numbers, rebirths; pure.

Fed by `sparkplug_client` with each message and with the time; says what became known, what is gone
and whom to ask for a rebirth. Sends nothing, knows no tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from edge_node.adapters.sources.sparkplug_births import Definition, Reading, define, readings
from edge_node.adapters.sources.sparkplug_codec import Payload

REBIRTH = "Node Control/Rebirth"
BDSEQ = "bdSeq"
REBORN_WITHIN_MS = 5_000
"""After a node's rebirth its devices must be born again within this time."""
MAX_WAITING = 64


@dataclass(frozen=True, slots=True)
class Born:
    """A birth: the node's own metrics (device ""), or a device's."""

    node: str
    device: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Values:
    """What a birth or a data message says."""

    node: str
    device: str
    rows: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Gone:
    """A death: of a device, or of a node's own metrics (device "")."""

    node: str
    device: str
    at: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something was missed: what is known of the node may be out of date until its rebirth."""

    node: str


@dataclass(frozen=True, slots=True)
class AskRebirth:
    """The node is to be told `Node Control/Rebirth`."""

    node: str
    why: str


Effect = Born | Values | Gone | Doubt | AskRebirth


@dataclass(slots=True)
class _Device:
    metrics: dict[str, Definition]
    reborn: bool = True


@dataclass(slots=True)
class EdgeNode:
    """One edge node as its messages show it."""

    name: str
    born: bool = False
    """In step: a birth was heard, and nothing was missed since."""
    online: bool = False
    bdseq: int | None = None
    expected: int = 0
    metrics: dict[str, Definition] = field(default_factory=dict)
    aliases: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Alias -> (device, metric); unique in the whole node."""
    devices: dict[str, _Device] = field(default_factory=dict)
    waiting: dict[int, tuple[str, str, Payload]] = field(default_factory=dict)
    """Sequence number -> a message that came before an earlier one."""
    waiting_since: int = 0
    reborn_by: int = 0
    asked_at: int | None = None
    wish: str = ""
    """Why a rebirth is wanted; empty: none is."""

    def known(self, device: str) -> dict[str, Definition] | None:
        """The metrics of a living device ("": of the node); None when it is not born."""
        if not device:
            return self.metrics if self.born else None
        found = self.devices.get(device)
        return found.metrics if found is not None and found.reborn else None


class Host:
    """All edge nodes of a group."""

    def __init__(self, reorder_ms: int, rebirth_ms: int) -> None:
        self._reorder_ms, self._rebirth_ms = reorder_ms, rebirth_ms
        self.nodes: dict[str, EdgeNode] = {}

    def node(self, name: str) -> EdgeNode:
        """The state of a node, new when it was never heard of."""
        return self.nodes.setdefault(name, EdgeNode(name))

    def want(self, name: str, why: str, mono: int) -> list[Effect]:
        """Ask for a rebirth, now or as soon as the last one was asked long enough ago."""
        node = self.node(name)
        node.wish = node.wish or why
        return self._ask(node, mono)

    def take(
        self, name: str, kind: str, device: str, payload: Payload, now: int, mono: int
    ) -> list[Effect]:
        """What a message means; kind as in the topic, `now` UTC ms, `mono` the steady time."""
        node = self.node(name)
        if kind == "NBIRTH":
            return list(self._birth(node, payload, now, mono))
        if kind == "NDEATH":
            return list(self._death(node, payload, now))
        if not node.born:
            return self.want(name, f"{kind} before a birth", mono)
        seq = payload.seq
        if seq is None or not 0 <= seq <= 255:
            return self._lose_step(node, f"{kind} without a sequence number", mono)
        if seq != node.expected:
            return self._wait(node, seq, (kind, device, payload), mono)
        return list(self._in_order(node, kind, device, payload, now, mono))

    def tick(self, now: int, mono: int) -> list[Effect]:
        """What the passing of time brings; called about once a second."""
        found: list[Effect] = []
        for node in self.nodes.values():
            if node.waiting and mono - node.waiting_since >= self._reorder_ms:
                missing = f"message {node.expected} is missing"
                found += self._lose_step(node, missing, mono)
            if node.reborn_by and mono >= node.reborn_by:
                node.reborn_by = 0
                for device, known in list(node.devices.items()):
                    if not known.reborn:
                        del node.devices[device]
                        found.append(Gone(node.name, device, now))
            found += self._ask(node, mono)
        return found

    def _birth(self, node: EdgeNode, payload: Payload, now: int, mono: int) -> Iterator[Effect]:
        bdseq = _bdseq(payload)
        same = node.online and node.bdseq == bdseq
        if same:
            # A rebirth: its devices live on, and are born again right after it.
            for known in node.devices.values():
                known.reborn = False
            node.reborn_by = mono + REBORN_WITHIN_MS if node.devices else 0
        else:
            yield from (Gone(node.name, device, now) for device in node.devices)
            node.devices.clear()
            node.reborn_by = 0
        node.born = node.online = True
        node.bdseq, node.wish = bdseq, ""
        node.waiting.clear()
        node.expected = ((payload.seq or 0) + 1) % 256
        node.aliases.clear()
        node.metrics = self._define(node, "", payload)
        yield Born(node.name, "", frozenset(node.metrics))
        yield Values(node.name, "", tuple(readings(payload, node.metrics, {}, now)[0]))

    @staticmethod
    def _define(node: EdgeNode, device: str, payload: Payload) -> dict[str, Definition]:
        for alias in [a for a, (owner, _) in node.aliases.items() if owner == device]:
            del node.aliases[alias]
        metrics = define(payload)
        for metric in metrics.values():
            if metric.alias is not None:
                node.aliases[metric.alias] = (device, metric.name)
        return metrics

    def _death(self, node: EdgeNode, payload: Payload, now: int) -> Iterator[Effect]:
        bdseq = _bdseq(payload)
        if node.bdseq is not None and bdseq is not None and bdseq != node.bdseq:
            return  # of an earlier connection of this node; the present one lives
        node.born = node.online = False
        node.wish = ""
        node.waiting.clear()
        node.reborn_by = 0
        yield Gone(node.name, "", now)
        yield from (Gone(node.name, device, now) for device in node.devices)
        node.devices.clear()

    def _wait(
        self, node: EdgeNode, seq: int, message: tuple[str, str, Payload], mono: int
    ) -> list[Effect]:
        if self._reorder_ms <= 0 or len(node.waiting) >= MAX_WAITING:
            why = f"message {seq} came instead of {node.expected}"
            return self._lose_step(node, why, mono)
        if not node.waiting:
            node.waiting_since = mono
        node.waiting[seq] = message
        return []

    def _lose_step(self, node: EdgeNode, why: str, mono: int) -> list[Effect]:
        # A missed birth may have given the aliases another meaning: nothing is taken until then.
        node.born = False
        node.waiting.clear()
        return [Doubt(node.name), *self.want(node.name, why, mono)]

    def _in_order(
        self, node: EdgeNode, kind: str, device: str, payload: Payload, now: int, mono: int
    ) -> Iterator[Effect]:
        following: tuple[str, str, Payload] | None = (kind, device, payload)
        while following is not None and node.born:
            node.expected = (node.expected + 1) % 256
            yield from self._apply(node, *following, now, mono)
            following = node.waiting.pop(node.expected, None)
            if node.waiting or following is not None:
                node.waiting_since = mono

    def _apply(
        self, node: EdgeNode, kind: str, device: str, payload: Payload, now: int, mono: int
    ) -> Iterator[Effect]:
        if kind == "DBIRTH":
            metrics = self._define(node, device, payload)
            node.devices[device] = _Device(metrics)
            yield Born(node.name, device, frozenset(metrics))
            yield Values(node.name, device, tuple(readings(payload, metrics, {}, now)[0]))
        elif kind == "DDEATH":
            node.devices.pop(device, None)
            at = payload.timestamp if payload.timestamp is not None else now
            yield Gone(node.name, device, min(at, now))
        elif kind in ("NDATA", "DDATA"):
            known = node.known(device)
            if known is None:
                yield from self.want(node.name, f"data of {device} before its birth", mono)
                return
            aliases = {a: name for a, (owner, name) in node.aliases.items() if owner == device}
            rows, strange = readings(payload, known, aliases, now)
            yield Values(node.name, device, tuple(rows))
            if strange:
                yield from self.want(node.name, f"no birth has named {strange}", mono)

    def _ask(self, node: EdgeNode, mono: int) -> list[Effect]:
        early = node.asked_at is not None and mono - node.asked_at < self._rebirth_ms
        if not node.wish or early:
            return []
        node.asked_at = mono
        return [AskRebirth(node.name, node.wish)]


def _bdseq(payload: Payload) -> int | None:
    for metric in payload.metrics:
        if metric.name == BDSEQ and metric.raw is not None and isinstance(metric.raw.content, int):
            return metric.raw.content
    return None
