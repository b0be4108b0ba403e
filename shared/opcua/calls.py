"""What OPC UA clients ask of conditions: their methods, answered with the caller's rights.

Called by the sessions, answers with status codes; whether something may be done, the tier says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asyncua import ua

from shared.opcua.alarms import GOOD, REFUSALS, AlarmBook, Said, Tier
from shared.opcua.nodes import METHODS, SHELVING, AddressSpace, node_id
from shared.opcua.sessions import Session
from shared.telemetry import logger

log = logger("opcua")
REASON = "OPC UA"
"""Why an alarm is shelved, where the client's method carries no comment."""
_REFRESH = {
    node_id(ua.ObjectIds.ConditionType_ConditionRefresh): 1,
    node_id(ua.ObjectIds.ConditionType_ConditionRefresh2): 2,
}
Refresh = Callable[[Any, Any, ua.NodeId], Awaitable[int]]


class Calls:
    """Answers the methods of conditions."""

    def __init__(
        self, tier: Tier, book: AlarmBook, space: Callable[[], AddressSpace], refresh: Refresh
    ) -> None:
        self._tier, self._book, self._space, self._refresh = tier, book, space, refresh

    async def call(self, session: Session, asked: ua.CallMethodRequest) -> ua.StatusCode | None:
        """The answer to a condition's method; None for every other method."""
        values = [each.Value for each in asked.InputArguments or []]
        if asked.MethodId in _REFRESH:
            if len(values) != _REFRESH[asked.MethodId]:
                return _status("BadArgumentsMissing")
            item = values[1] if len(values) > 1 else None
            code = await self._refresh(values[0], item, session.session_id)
            return ua.StatusCode(ua.UInt32(code))
        if asked.MethodId in SHELVING:
            name, action, count = SHELVING[asked.MethodId]
            found = self._shelving(asked.ObjectId, name, action, count, values)
        elif asked.MethodId in METHODS:
            action = METHODS[asked.MethodId]
            found = self._answer(asked.ObjectId, action, values)
        else:
            return None
        return _status(await self._say(session, found))

    def _answer(self, node: ua.NodeId, action: str, values: list[Any]) -> _Wish | str:
        alarm = self._space().named(node)
        if alarm is None:
            return "BadNodeIdUnknown"
        if len(values) != 2:
            return "BadArgumentsMissing"
        event_id, text = values[0], _text(values[1])
        if not isinstance(event_id, bytes) or text is None:
            return "BadInvalidArgument"
        args = {"text" if action == "comment" else "comment": text} if text else {}
        return alarm, action, args, event_id

    def _shelving(
        self, node: ua.NodeId, name: str, action: str, count: int, values: list[Any]
    ) -> _Wish | str:
        alarm = self._space().named(node)
        if alarm is None:
            return "BadNodeIdUnknown"
        if len(values) != count:
            return "BadArgumentsMissing"
        text = _text(values[-1]) if name.endswith("2") else ""
        if text is None:
            return "BadInvalidArgument"
        if action == "unshelve":
            return alarm, action, {"comment": text} if text else {}, None
        args: dict[str, Any] = {"reason": text.strip() or REASON}
        if name.startswith("OneShot"):
            return alarm, action, {**args, "one_shot": True}, None
        time = values[0]
        if not isinstance(time, int | float) or isinstance(time, bool):
            return "BadInvalidArgument"
        if not 1 <= time < 1e13:
            return "BadShelvingTimeOutOfRange"
        return alarm, action, {**args, "ms": int(time)}, None

    async def _say(self, session: Session, wish: _Wish | str) -> str:
        if isinstance(wish, str):
            return wish
        alarm, action, args, event_id = wish
        actor = await self._tier.actor(session.shown, alarm, action)
        if not actor:
            return "BadUserAccessDenied"
        shown = self._book.of(alarm)
        if not shown.state.enabled:
            return "BadConditionDisabled"
        # Shelving names no event: it speaks of what is shown now.
        told = (shown.occurrence, shown.version)
        if event_id is not None:
            known = self._book.told(alarm, event_id)
            if known is None:
                return "BadEventIdUnknown"
            told = known
        refused = await self._tier.act(actor, Said(alarm, *told, action, args))
        if refused:
            return REFUSALS.get(refused, "BadInvalidState")
        log.info("opcua_said", alarm=alarm, action=action, actor=actor)
        return GOOD


_Wish = tuple[str, str, dict[str, Any], bytes | None]
"""Alarm, action, arguments, and the event that is answered."""


def _text(value: Any) -> str | None:
    """A comment; None if it is none."""
    text = value.Text if isinstance(value, ua.LocalizedText) else value
    return (text or "") if isinstance(text, str | None) else None


def _status(name: str) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(getattr(ua.StatusCodes, name)))
