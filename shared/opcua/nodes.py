"""The address space of the alarm server: assets as notifiers, alarms as conditions below them.

Used by the server, decides nothing. Nodes are made item by item: the library's own instantiation of
a condition takes twenty times as long and makes methods that nobody would answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from asyncua import Server, ua
from asyncua.common.events import Event

from shared.opcua.alarms import Place, Shown

_V = ua.VariantType
_I = ua.ObjectIds
LOCALE = "zh-CN"


def node_id(name: Any, index: Any = 0) -> ua.NodeId:
    """A node id; the library's annotations want types of its own that are plain ones."""
    return ua.NodeId(name, index)


METHODS = {
    node_id(_I.AcknowledgeableConditionType_Acknowledge): "acknowledge",
    node_id(_I.AcknowledgeableConditionType_Confirm): "confirm",
    node_id(_I.ConditionType_AddComment): "comment",
}
_SHELVE = {
    "TimedShelve": ("shelve", 1), "TimedShelve2": ("shelve", 2),
    "OneShotShelve": ("shelve", 0), "OneShotShelve2": ("shelve", 1),
    "Unshelve": ("unshelve", 0), "Unshelve2": ("unshelve", 1),
}  # fmt: skip
SHELVING = {
    node_id(getattr(_I, f"{owner}_{name}")): (name, *what)
    for name, what in _SHELVE.items()
    for owner in ("ShelvedStateMachineType", "AlarmConditionType_ShelvingState")
}
"""Method -> its name, the action and how many arguments it takes; the `2` carry a comment."""
_SHELF_METHODS = [node_id(getattr(_I, f"ShelvedStateMachineType_{name}")) for name in _SHELVE]
SHELF, UNSHELVE_TIME = "ShelvingState", "ShelvingState/UnshelveTime"
SERVER = node_id(_I.Server)
_STATES = {
    "EnabledState": ("启用", "停用"), "ActiveState": ("报警", "正常"),
    "AckedState": ("已确认", "未确认"), "ConfirmedState": ("已复核", "未复核"),
    "SuppressedState": ("已抑制", "未抑制"), "OutOfServiceState": ("停运", "在运"),
    "LatchedState": ("已锁存", "未锁存"),
}  # fmt: skip
_SHELVES = {
    "U": (_I.ShelvedStateMachineType_Unshelved, "未搁置"),
    "T": (_I.ShelvedStateMachineType_TimedShelved, "限时搁置"),
    "O": (_I.ShelvedStateMachineType_OneShotShelved, "单次搁置"),
}


class Value(NamedTuple):
    """One field of an event and variable of a condition."""

    value: Any
    kind: ua.VariantType


def moment(ms: int) -> datetime | None:
    """UTC ms as the wire wants it; None for never."""
    return datetime.fromtimestamp(ms / 1000, UTC) if ms else None


def words(text: str) -> ua.LocalizedText:
    """A text for people."""
    return ua.LocalizedText(text, LOCALE)


def unshelve_ms(shown: Shown, now: int) -> float:
    """How long it stays shelved yet; 0 if it is not."""
    return float(max(0, (shown.state.shelved_until or 0) - now))


def fields_of(shown: Shown, source: ua.NodeId, now: int) -> dict[str, Value]:
    """Browse path -> value, as Part 9 names them."""
    state = shown.state
    shelf, shelf_text = _SHELVES[state.shelf]
    found = {
        "EventId": Value(shown.event_id or None, _V.ByteString),
        "EventType": Value(node_id(_I.AlarmConditionType), _V.NodeId),
        "SourceNode": Value(source, _V.NodeId),
        "SourceName": Value(shown.place.asset, _V.String),
        "Time": Value(moment(shown.at), _V.DateTime),
        "ReceiveTime": Value(moment(shown.received_at), _V.DateTime),
        "Message": Value(words(shown.message), _V.LocalizedText),
        "Severity": Value(shown.severity, _V.UInt16),
        "ConditionClassId": Value(node_id(_I.ProcessConditionClassType), _V.NodeId),
        "ConditionClassName": Value(ua.LocalizedText("Process", "en"), _V.LocalizedText),
        "ConditionName": Value(shown.place.alarm, _V.String),
        "BranchId": Value(ua.NodeId(), _V.NodeId),
        "Retain": Value(state.retained, _V.Boolean),
        "Quality": Value(ua.StatusCode(), _V.StatusCode),
        "Quality/SourceTimestamp": Value(moment(shown.at), _V.DateTime),
        "LastSeverity": Value(shown.last_severity, _V.UInt16),
        "LastSeverity/SourceTimestamp": Value(moment(shown.at), _V.DateTime),
        "Comment": Value(words(shown.comment), _V.LocalizedText),
        "Comment/SourceTimestamp": Value(moment(shown.comment_at), _V.DateTime),
        "ClientUserId": Value(shown.by or None, _V.String),
        "InputNode": Value(ua.NodeId(), _V.NodeId),
        "SuppressedOrShelved": Value(state.hidden, _V.Boolean),
        "ShelvingState/CurrentState": Value(words(shelf_text), _V.LocalizedText),
        "ShelvingState/CurrentState/Id": Value(node_id(shelf), _V.NodeId),
        UNSHELVE_TIME: Value(unshelve_ms(shown, now), _V.Double),
    }
    if shown.place.max_shelve_ms:
        found["MaxTimeShelved"] = Value(float(shown.place.max_shelve_ms), _V.Double)
    flags = (
        state.enabled, state.active, state.acked, state.confirmed, state.suppressed,
        state.out_of_service, state.latched,
    )  # fmt: skip
    for (name, texts), on in zip(_STATES.items(), flags, strict=True):
        found[name] = Value(words(texts[0] if on else texts[1]), _V.LocalizedText)
        found[f"{name}/Id"] = Value(on, _V.Boolean)
    return found


class Told(Event):
    """An event made once and told to many: nobody changes it, so nobody needs a copy."""

    def to_event_fields(self, select_clauses: list[ua.SimpleAttributeOperand]) -> list[ua.Variant]:
        """What a client has asked for."""
        fields: list[ua.Variant] = []
        for clause in select_clauses:
            name = (
                self.browse_path_to_attribute_name(clause.BrowsePath)
                if clause.BrowsePath
                else ua.AttributeIds(clause.AttributeId).name
            )
            value = getattr(self, name, None)
            known = value is not None and name in self.data_types
            fields.append(ua.Variant(value, self.data_types[name]) if known else ua.Variant(None))
        return fields


def event_of(fields: dict[str, Value], condition: ua.NodeId) -> Event:
    """The event that tells these fields."""
    event = Told()
    for name, (value, kind) in fields.items():
        event.add_property(name, value, kind)
    event.add_property("NodeId", condition, _V.NodeId)
    return event


def _typed(path: str) -> tuple[int, int]:
    """Reference type and type definition of a variable."""
    if path in _STATES:
        return _I.HasComponent, _I.TwoStateVariableType
    if path == "ShelvingState/CurrentState":
        return _I.HasComponent, _I.FiniteStateVariableType
    if path in ("Quality", "LastSeverity", "Comment"):
        return _I.HasComponent, _I.ConditionVariableType
    return _I.HasProperty, _I.PropertyType


class AddressSpace:
    """The nodes of one site's alarms."""

    def __init__(
        self, server: Server, index: int, path: Callable[[str], tuple[str, ...]],
        left: Callable[[str], float],
    ) -> None:  # fmt: skip
        self._server, self._index, self._path, self._left = server, index, path, left
        self._session = server.iserver.isession
        self.assets: dict[str, str] = {}
        """Asset -> its parent."""
        self.alarms: dict[str, Place] = {}
        self._variables: dict[str, list[str]] = {}
        """Alarm -> what lies below its condition."""

    def asset(self, asset: str) -> ua.NodeId:
        """The node of an asset."""
        return node_id(f"asset/{asset}", self._index)

    def source(self, asset: str) -> ua.NodeId:
        """The node of the asset that an alarm stands at; of the site for one without."""
        return self.asset(self._path(asset)[-1])

    def alarm(self, alarm: str) -> ua.NodeId:
        """The node of an alarm: its ConditionId."""
        return node_id(f"alarm/{alarm}", self._index)

    def named(self, node: ua.NodeId) -> str | None:
        """The alarm of a ConditionId, or of its ShelvingState."""
        name = str(node.Identifier).removeprefix("alarm/").removesuffix(f"#{SHELF}")
        known = name in self.alarms and node in (
            self.alarm(name), self._below(self.alarm(name), SHELF)
        )  # fmt: skip
        return name if known else None

    def notifiers(self, asset: str) -> list[ua.NodeId]:
        """Who notifies of an alarm at an asset: the server and every asset that holds it."""
        return [SERVER, *(self.asset(each) for each in self._path(asset))]

    async def add_asset(self, asset: str, name: str) -> None:
        """An asset and all that it lies in."""
        above = ""
        for each in self._path(asset):
            if each not in self.assets:
                await self._object(each, above)
                self.assets[each] = above
            above = each
        if name:
            node = self._server.get_node(self.asset(asset))
            text = ua.Variant(words(name))
            await node.write_attribute(ua.AttributeIds.DisplayName, ua.DataValue(text))

    async def _object(self, asset: str, above: str) -> None:
        parent = self.asset(above) if above else node_id(_I.ObjectsFolder)
        item = self._item(self.asset(asset), parent, _I.Organizes, asset, _I.FolderType)
        item.NodeAttributes.EventNotifier = ua.EventNotifierType.SubscribeToEvents.value
        await self._add([item])
        notifier = self.asset(above) if above else SERVER
        await self._refer(notifier, _I.HasNotifier, self.asset(asset), ua.NodeClass.Object)

    async def add_alarm(self, shown: Shown, fields: dict[str, Value]) -> None:
        """An alarm's condition, with all its variables and the methods that are answered."""
        place, node = shown.place, self.alarm(shown.place.alarm)
        source = self.source(place.asset)
        items = [self._item(node, source, _I.HasComponent, place.alarm, _I.AlarmConditionType)]
        items[0].NodeAttributes.DisplayName = words(place.name.zh)
        shelf = self._below(node, SHELF)
        items.append(self._item(shelf, node, _I.HasComponent, SHELF, _I.ShelvedStateMachineType, 0))
        items += [self._variable(node, path, fields[path]) for path in sorted(fields)]
        self._variables[place.alarm] = [SHELF, *fields]
        await self._add(items)
        await self._refer(source, _I.HasCondition, node, ua.NodeClass.Object)
        for method in METHODS:
            await self._refer(node, _I.HasComponent, method, ua.NodeClass.Method)
        for method in _SHELF_METHODS:
            await self._refer(shelf, _I.HasComponent, method, ua.NodeClass.Method)
        self._server.iserver.set_attribute_value_callback(
            self._below(node, UNSHELVE_TIME),
            lambda *_: ua.DataValue(ua.Variant(self._left(place.alarm), _V.Double)),
        )  # fmt: skip
        self.alarms[place.alarm] = place

    async def show(self, shown: Shown, fields: dict[str, Value]) -> None:
        """Write the variables of a condition."""
        node = self.alarm(shown.place.alarm)
        at: Any = moment(shown.received_at)
        known = set(self._variables[shown.place.alarm])
        for path, (value, kind) in fields.items():
            if path == UNSHELVE_TIME or path not in known:
                continue  # it is worked out when it is read
            data = ua.DataValue(ua.Variant(value, kind), SourceTimestamp=at)
            await self._server.iserver.write_attribute_value(self._below(node, path), data)

    async def remove_alarm(self, alarm: str) -> None:
        """Take an alarm's nodes away."""
        del self.alarms[alarm]
        await self._delete(f"alarm/{alarm}", self._variables.pop(alarm))

    async def remove_asset(self, asset: str) -> None:
        """Take an empty asset away."""
        del self.assets[asset]
        await self._delete(f"asset/{asset}")

    def _below(self, node: ua.NodeId, path: str) -> ua.NodeId:
        return node_id(f"{node.Identifier}#{path}", self._index)

    def _item(
        self, node: ua.NodeId, parent: ua.NodeId, reference: int, name: str, kind: int,
        index: int | None = None,
    ) -> Any:  # fmt: skip
        space = self._index if index is None else index
        return ua.AddNodesItem(
            ParentNodeId=parent, ReferenceTypeId=node_id(reference), RequestedNewNodeId=node,
            BrowseName=ua.QualifiedName(name, space), NodeClass=ua.NodeClass.Object,
            NodeAttributes=ua.ObjectAttributes(DisplayName=ua.LocalizedText(name)),
            TypeDefinition=node_id(kind),
        )  # fmt: skip

    def _variable(self, node: ua.NodeId, path: str, value: Value) -> Any:
        above, _, name = path.rpartition("/")
        reference, kind = _typed(path)
        parent = self._below(node, above) if above else node
        item = self._item(self._below(node, path), parent, reference, name, kind, 0)
        item.NodeClass = ua.NodeClass.Variable
        # Readable and nothing else, as the library's attributes are unless told otherwise.
        item.NodeAttributes = ua.VariableAttributes(
            DisplayName=ua.LocalizedText(name), Value=ua.Variant(value.value, value.kind),
            DataType=node_id(value.kind.value),
        )  # fmt: skip
        return item

    async def _add(self, items: list[Any]) -> None:
        for result in await self._session.add_nodes(items):
            result.StatusCode.check()

    async def _refer(self, source: ua.NodeId, kind: int, target: ua.NodeId, what: Any) -> None:
        item = ua.AddReferencesItem(
            SourceNodeId=source, ReferenceTypeId=node_id(kind), IsForward=True,
            TargetNodeId=target, TargetNodeClass=what,
        )  # fmt: skip
        for result in await self._session.add_references([item]):
            result.check()

    async def _delete(self, name: str, below: Iterable[str] = ()) -> None:
        """The node with all that refers to it; what lies below is named by nothing else."""
        node = node_id(name, self._index)
        items = [ua.DeleteNodesItem(NodeId=node, DeleteTargetReferences=True)]
        items += [
            ua.DeleteNodesItem(NodeId=self._below(node, path), DeleteTargetReferences=False)
            for path in below
        ]
        for result in await self._session.delete_nodes(ua.DeleteNodesParameters(items)):
            result.check()
