"""What is kept from people and by whom: shelved, suppressed, out of service; and every known alarm.

Reads the newest occurrence of each alarm and what stands said about it; decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

from factory_brain.application.said import Said
from factory_brain.domain.holds import Hold, SaidOfAlarm
from factory_brain.domain.rows import Occurrence, suppressed_by, text
from shared.alarm.definition import AlarmDefinition
from shared.alarm.states import NORMAL, AlarmState
from shared.clock import Clock
from shared.web.dto_base import Text
from shared.web.dto_desk import HeldAlarm, HeldList, KnownAlarm, KnownAlarms, RefusedAction
from shared.web.paging import cursor_of

Kind = Literal["shelf", "suppressed", "out_of_service"]
FAR = 1 << 62


class Newest(Protocol):
    """Reads of the newest occurrences."""

    async def hidden(self, alarms: list[str]) -> list[Occurrence]:
        """Those of these alarms that something keeps from people."""
        ...

    async def newest(self, alarms: list[str]) -> list[Occurrence]:
        """Those of these alarms that ever had one."""
        ...


class DeskLists:
    """The desk's lists."""

    def __init__(
        self, definitions: Mapping[str, AlarmDefinition], store: Newest, said: Said, clock: Clock
    ) -> None:
        self._definitions, self._store, self._said, self._clock = definitions, store, said, clock

    async def held(self, kind: Kind) -> HeldList:
        """One of the three lists, what ends first first."""
        hidden = {each.alarm: each for each in await self._store.hidden(self._alarms())}
        asked = [a for a in self._said.alarms if kind in self._said.of(a).holds and a not in hidden]
        # What was asked for at rest and what is on its way: the edge's state does not show it yet.
        for each in await self._store.newest(asked):
            hidden[each.alarm] = each
        now = self._clock.now_ms()
        rows = [
            row
            for alarm in {*hidden, *asked}
            if (row := self._row(kind, alarm, hidden.get(alarm), now)) is not None
        ]
        return HeldList(at=now, items=sorted(rows, key=_ends_first))

    def _alarms(self) -> list[str]:
        return sorted({*self._definitions, *self._said.alarms})

    def _row(self, kind: Kind, alarm: str, newest: Occurrence | None, now: int) -> HeldAlarm | None:
        said, definition = self._said.of(alarm), self._definitions.get(alarm)
        state = newest.view.state if newest else NORMAL
        hold = said.holds.get(kind)
        if not _IN_FORCE[kind](state, hold):
            return None
        until = _until(kind, state, hold)
        return HeldAlarm(
            alarm=alarm,
            occurrence=newest.occurrence if newest else "",
            version=newest.view.version if newest else 0,
            **_identity(alarm, definition, newest),
            active=state.active,
            acked=state.acked,
            mode=_mode(kind, state, hold),
            since=hold.since if hold else None,
            until=until,
            remaining_ms=until - now if until is not None else None,
            by=hold.by if hold else "",
            reason=hold.reason if hold else "",
            permit=hold.permit if hold else "",
            approved_by=hold.approved_by if hold else "",
            suppressed_by=_causes(newest, said, hold) if kind == "suppressed" else [],
            max_shelve_min=_longest(definition),
            pending=bool(hold and hold.pending) or _ending(kind, said),
        )  # fmt: skip

    async def known(self, query: str, limit: int, after: str = "") -> KnownAlarms:
        """The alarms of the site after `after` whose id or name holds `query`, by id."""
        wanted = query.strip().casefold()
        names = [
            alarm for alarm, definition in sorted(self._definitions.items())
            if alarm > after and (not wanted or wanted in _searched(definition))
        ]  # fmt: skip
        page = names[:limit]
        newest = {each.alarm: each for each in await self._store.newest(page)}
        items = [self._known(self._definitions[alarm], newest.get(alarm)) for alarm in page]
        return KnownAlarms(items=items, next=cursor_of(page[-1]) if len(names) > limit else None)

    def _known(self, definition: AlarmDefinition, newest: Occurrence | None) -> KnownAlarm:
        said = self._said.of(definition.id)
        return KnownAlarm(
            alarm=definition.id, name=text(definition.name), edge=definition.edge,
            asset=definition.asset, tag=definition.tag, priority=definition.priority,
            safety=definition.safety, max_shelve_min=_longest(definition) or 0.0,
            occurrence=newest.occurrence if newest else "",
            version=newest.view.version if newest else 0,
            state=newest.view.state.name if newest else "normal",
            pending=list(said.pending), refused=_refused(said),
        )  # fmt: skip


def _identity(
    alarm: str, definition: AlarmDefinition | None, newest: Occurrence | None
) -> dict[str, Any]:
    if definition is not None:
        return {
            "edge": definition.edge, "asset": definition.asset, "name": text(definition.name),
            "priority": definition.priority,
        }  # fmt: skip
    name = Text(zh=alarm, en=alarm)
    if newest is None:
        return {"edge": "", "asset": "", "name": name, "priority": 4}
    told = newest.transition
    return {"edge": newest.edge, "asset": told.asset, "name": name, "priority": told.priority}


def _shelved(state: AlarmState, hold: Hold | None) -> bool:
    return state.shelf != "U" or (hold is not None and hold.pending)


def _suppressed(state: AlarmState, hold: Hold | None) -> bool:
    # At rest the edge keeps a person's suppression to itself: the fact stands until it is undone.
    return state.suppressed or hold is not None


def _out(state: AlarmState, hold: Hold | None) -> bool:
    return state.out_of_service or (hold is not None and hold.pending)


_IN_FORCE: Mapping[Kind, Callable[[AlarmState, Hold | None], bool]] = {
    "shelf": _shelved, "suppressed": _suppressed, "out_of_service": _out,
}  # fmt: skip


def _until(kind: Kind, state: AlarmState, hold: Hold | None) -> int | None:
    if kind == "shelf":
        return state.shelved_until if state.shelf != "U" else hold.until if hold else None
    return hold.permit_until if hold else None


def _mode(kind: Kind, state: AlarmState, hold: Hold | None) -> str:
    if kind != "shelf":
        return ""
    if state.shelf == "U":
        return hold.mode if hold else ""
    return "timed" if state.shelf == "T" else "one_shot"


def _causes(newest: Occurrence | None, said: SaidOfAlarm, hold: Hold | None) -> list[str]:
    causes = suppressed_by(newest, said) if newest else []
    return causes or (["operator"] if hold else [])


def _ending(kind: Kind, said: SaidOfAlarm) -> bool:
    ends = {"shelf": "unshelve", "suppressed": "unsuppress", "out_of_service": "in_service"}
    return ends[kind] in said.pending


def _longest(definition: AlarmDefinition | None) -> float | None:
    return definition.policy.max_shelve_ms / 60_000 if definition else None


def _searched(definition: AlarmDefinition) -> str:
    parts: Iterable[str] = (definition.id, definition.name.zh, definition.name.en, definition.asset)
    return " ".join(parts).casefold()


def _refused(said: SaidOfAlarm) -> RefusedAction | None:
    refused = said.refused
    if refused is None:
        return None
    return RefusedAction(
        action=refused.action, code=refused.code, actor=refused.actor, at=refused.at
    )


def _ends_first(row: HeldAlarm) -> tuple[int, int, str]:
    return row.until if row.until is not None else FAR, row.priority, row.alarm
