"""A batch push of alarm settings to many edges: looked at first, then rolled out by stages.

Called by the web. The push is a roll-out like that of a learnt proposal: signed per edge, approved
by the factory's own policy, rehearsed, gated, reported per node and taken back as a whole. Of a
site's settings it moves the alarm points' limits, deadbands and delays within the plant's bounds,
and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from group_cloud.application.ports import Records, Transaction
from group_cloud.domain.evidence import Point
from group_cloud.domain.push import Pushed, Wanted, digest, pushed
from group_cloud.domain.rollout_plan import Change, Plan
from group_cloud.domain.scope import Scope
from shared.alarm.shadow import setting_data
from shared.errors import Rejected
from shared.web import dto_dispatch as dto
from shared.web.dto_base import Text

MOST = 2_000
"""Alarm points in one push."""


class PushRows(Protocol):
    """See `adapters/postgres/fleet_store.py`."""

    async def points(
        self, scope: Scope, sites: list[str], tag_class: str, asset_class: str
    ) -> Sequence[Any]:
        """Alarm points whose settings may be moved."""
        ...


class BeginsRollouts(Protocol):
    """See `rollout/desk.py`."""

    async def begin_changes(
        self, tx: Transaction, changes: Sequence[Change], policy_name: str, reason: str,
        actor: str, /,
    ) -> Plan | Rejected:  # fmt: skip
        """A new roll-out of these changes."""
        ...


class FleetPush:
    """Pushes one declared class of settings: alarm points'."""

    def __init__(self, rows: PushRows, records: Records, rollouts: BeginsRollouts) -> None:
        self._rows, self._records, self._rollouts = rows, records, rollouts
        self.on_begun: Callable[[], None] = lambda: None

    async def preview(self, asked: dto.PushRequest, scope: Scope) -> dto.PushPreview:
        """What would change, node by node; changes nothing."""
        found = await self._points(asked, scope)
        changing = [each for each in found if each.new != each.old]
        nodes: dict[str, int] = {}
        for each in changing:
            if each.refused is None:
                node = f"{each.site}/{each.edge}"
                nodes[node] = nodes.get(node, 0) + 1
        return dto.PushPreview(
            digest=digest(changing), points=[_shown(each) for each in changing[:MOST]],
            changes=sum(nodes.values()), refused=sum(each.refused is not None for each in changing),
            unchanged=len(found) - len(changing), nodes=nodes,
        )  # fmt: skip

    async def push(
        self, asked: dto.PushRequest, actor: str, scope: Scope
    ) -> dto.PushBegun | Rejected:
        """Roll it out, if what was looked at still is what is."""
        if _wanted(asked).empty:
            return Rejected("push_empty")
        if not asked.reason.strip():
            return Rejected("reason_required")
        changing = [p for p in await self._points(asked, scope) if p.new != p.old]
        if asked.expect != digest(changing):
            return Rejected("preview_stale")
        allowed = [each for each in changing if each.refused is None]
        if not allowed:
            return Rejected("push_empty")
        if len(allowed) > MOST:
            return Rejected("push_too_large", {"points": len(allowed), "most": MOST})
        changes = [
            Change(Point(p.site, p.edge, p.alarm), p.line, p.old, p.new, p.side) for p in allowed
        ]
        async with self._records.transaction() as tx:
            plan = await self._rollouts.begin_changes(
                tx, changes, asked.policy, asked.reason, actor
            )
            if isinstance(plan, Rejected):
                return plan
        self.on_begun()
        return dto.PushBegun(rollout=plan.id, changes=len(changes))

    async def _points(self, asked: dto.PushRequest, scope: Scope) -> list[Pushed]:
        wanted = _wanted(asked)
        rows = await self._rows.points(scope, asked.sites, asked.tag_class, asked.asset_class)
        found = (pushed(row, wanted) for row in rows)
        return [each for each in found if each is not None]


def _wanted(asked: dto.PushRequest) -> Wanted:
    return Wanted(
        asked.alarm, asked.side, asked.on_delay_s, asked.off_delay_s, asked.deadband_factor,
        asked.limit_steps,
    )  # fmt: skip


def _shown(each: Pushed) -> dto.PushPoint:
    return dto.PushPoint(
        site=each.site, edge=each.edge, alarm=each.alarm, unit=each.unit,
        name=Text(zh=each.names.get("zh", ""), en=each.names.get("en", "")),
        current=setting_data(each.old), proposed=setting_data(each.new),
        refused=each.refused.code if each.refused else "",
        params=each.refused.params if each.refused else {},
    )  # fmt: skip
