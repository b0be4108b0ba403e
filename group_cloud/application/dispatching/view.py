"""The dispatch centre as people see it: factories by urgency, resources, assignments.

Called by the web and by the stream, always within a scope; it sorts and shows, it sends nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from group_cloud.application.dispatching.ports import Assignment, DispatchRows
from group_cloud.application.ports import Records
from group_cloud.domain.assignment import LIVE
from group_cloud.domain.scope import Scope
from group_cloud.domain.urgency import Plight, score, urgency
from shared.clock import Clock
from shared.web import dto_dispatch as dto
from shared.web.dto_base import Text


class DispatchView:
    """What the dispatch centre shows."""

    def __init__(
        self, rows: DispatchRows, records: Records, clock: Clock,
        seen: Callable[[str], int | None], online: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self._rows, self._records, self._clock = rows, records, clock
        self._seen, self._online = seen, online

    async def factories(self, scope: Scope) -> dto.UrgentList:
        """The most urgent first."""
        now = self._clock.now_ms()
        found = [self._urgent(row, now) for row in await self._rows.plights(scope, now)]
        return dto.UrgentList(factories=sorted(found, key=lambda each: (-each.score, each.site)))

    def _urgent(self, row: Any, now: int) -> dto.UrgentFactory:
        heard = self._seen(row["site"]) or row["last_seen"]
        oldest = row["oldest"]
        parts = urgency(
            Plight(
                worst_priority=row["worst_priority"] if row["active"] or row["unacked"] else None,
                oldest_unacked_ms=None if oldest is None else now - oldest,
                in_ten_minutes=row["ten"],
                silent_ms=None if heard is None or self._online(row["site"]) else now - heard,
                grave_incidents=row["grave"],
                missed=row["missed"],
            )
        )
        names = row["names"]
        return dto.UrgentFactory(
            site=row["site"], name=Text(zh=names.get("zh", ""), en=names.get("en", "")),
            score=score(parts), parts=parts, online=self._online(row["site"]),
            active=row["active"], unacked=row["unacked"], worst_priority=row["worst_priority"],
            oldest_unacked_at=oldest, in_ten_minutes=row["ten"], incidents=row["incidents"],
            last_seen=heard,
        )  # fmt: skip

    async def resources(self, scope: Scope) -> dto.ResourceList:
        """Experts and mobile resources."""
        async with self._records.transaction() as tx:
            found = await self._rows.resources(tx, scope)
            busy = await self._rows.busy(tx)
        return dto.ResourceList(
            resources=[
                dto.ResourceOut(
                    id=each.id, tenant=each.tenant,
                    kind="mobile" if each.kind == "mobile" else "expert",
                    name=Text(zh=each.names.get("zh", ""), en=each.names.get("en", "")),
                    skills=list(each.skills), site=each.site, available=each.available,
                    busy=each.id in busy, contact=each.contact,
                )
                for each in found
            ]
        )  # fmt: skip

    async def assignments(
        self, scope: Scope, site: str | None = None, incident: str | None = None,
        live: bool = False,
    ) -> dto.AssignmentList:  # fmt: skip
        """Newest first."""
        rows = await self._rows.listed(scope, site, incident, live)
        return dto.AssignmentList(assignments=[shown(row) for row in rows])


def shown(row: Assignment) -> dto.AssignmentOut:
    """An assignment as people see it."""
    given: dict[str, Any] = {n: getattr(row, n) for n in dto.AssignmentOut.model_fields}
    given["missed"] = row.missed and row.state in (*LIVE, "done")
    return dto.AssignmentOut(**given)
