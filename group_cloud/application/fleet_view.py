"""The group's inventory: factories, brains and edges, what they run and should, how they are.

Called by the web within a scope; shows what the factories themselves reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from group_cloud.application.fleet import FactoryView
from group_cloud.domain.scope import Scope
from shared.web import dto_dispatch as dto
from shared.web.dto_base import Text
from shared.web.safe_link import safe_link


class FleetRows(Protocol):
    """See `adapters/postgres/fleet_store.py`."""

    async def reports(self, scope: Scope) -> Sequence[Any]:
        """All factories within, with what they said if they did."""
        ...


class GroupFleet:
    """The inventory."""

    def __init__(self, rows: FleetRows, factories: FactoryView) -> None:
        self._rows, self._factories = rows, factories

    async def inventory(self, scope: Scope) -> dto.FleetInventory:
        """Every factory within."""
        rows = await self._rows.reports(scope)
        return dto.FleetInventory(factories=[self._factory(row) for row in rows])

    def _factory(self, row: Any) -> dto.FleetFactory:
        body, online = row["body"] or {}, self._factories.online(row["site"])
        brain, here = body.get("brain", {}), body.get("site_here", "")
        return dto.FleetFactory(
            site=row["site"], name=_text(row["names"]), tenant=row["tenant"], online=online,
            last_seen=row["last_seen"], reported_at=row["at"], site_here=here,
            buffered=brain.get("buffered") or 0,
            oldest_buffered_ms=brain.get("oldest_buffered_ms"),
            console=safe_link(brain.get("console")),
            # What a factory that is silent said of its edges is old: none of them counts as heard.
            edges=[_edge(edge, here, online) for edge in body.get("edges", [])],
        )  # fmt: skip


def _edge(edge: Mapping[str, Any], here: str, online: bool) -> dto.FleetEdge:
    reported = edge.get("site_version") or ""
    desired = edge.get("site_desired") or here
    return dto.FleetEdge(
        edge=edge.get("edge", ""), name=_text(edge.get("names", {})),
        online=online and bool(edge.get("online")), last_seen=edge.get("last_seen"),
        reported=reported, desired=desired, drifts=bool(desired) and reported != desired,
        settings_version=edge.get("settings_version"), fragments=edge.get("fragments") or "",
        buffered=edge.get("buffered") or 0, oldest_buffered_ms=edge.get("oldest_buffered_ms"),
        clock_offset_ms=edge.get("clock_offset_ms"),
        journal_degraded=bool(edge.get("journal_degraded")),
        drivers={str(k): str(v) for k, v in (edge.get("drivers") or {}).items()},
    )  # fmt: skip


def _text(names: Mapping[str, str]) -> Text:
    return Text(zh=names.get("zh", ""), en=names.get("en", ""))
