"""What people do with notices of drift: see them, take one, close it with a reason.

Called by the web. Each act is one transaction with its audit entry; nothing follows from it but
that somebody has looked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from group_cloud.application.notices.ports import Notice, NoticeRows
from group_cloud.application.ports import Audit, Records
from group_cloud.domain.scope import Scope
from shared.clock import Clock
from shared.errors import Rejected
from shared.web.dto_base import Text
from shared.web.dto_notices import NoticeList, NoticeOut

LISTED = 300


class NoticeDesk:
    """Notices for people."""

    def __init__(self, rows: NoticeRows, records: Records, audit: Audit, clock: Clock) -> None:
        self._rows, self._records, self._audit, self._clock = rows, records, audit, clock
        self.on_change: Callable[[], None] = lambda: None

    async def listed(
        self, scope: Scope, site: str | None = None, state: str = "live"
    ) -> NoticeList:
        """Newest first; `live`: those that are not closed."""
        rows = await self._rows.listed(scope, site, state, LISTED)
        more = rows[0]["of_all"] - len(rows) if rows else 0
        return NoticeList(notices=[_shown(row) for row in rows], more=more)

    async def take(self, notice: str, actor: str, scope: Scope) -> Rejected | None:
        """Somebody looks into it; taking it over from another is said in the audit."""
        now = self._clock.now_ms()

        def taken(row: Notice) -> Notice | Rejected:
            if row.state == "closed":
                return Rejected("notice_closed", {"notice": notice, "by": row.closed_by})
            return replace(row, state="taken", taken_at=now, taken_by=actor)

        return await self._act(notice, actor, scope, "drift_notice_taken", taken)

    async def close(self, notice: str, reason: str, actor: str, scope: Scope) -> Rejected | None:
        """Somebody has looked, and says what it was."""
        now = self._clock.now_ms()

        def closed(row: Notice) -> Notice | Rejected:
            if row.state == "closed":
                return Rejected("notice_closed", {"notice": notice, "by": row.closed_by})
            return replace(row, state="closed", closed_at=now, closed_by=actor, reason=reason)

        return await self._act(notice, actor, scope, "drift_notice_closed", closed)

    async def _act(
        self, notice: str, actor: str, scope: Scope, action: str,
        change: Callable[[Notice], Notice | Rejected],
    ) -> Rejected | None:  # fmt: skip
        async with self._records.transaction() as tx:
            row = await self._rows.get(tx, scope, notice)
            if row is None:
                return Rejected("unknown_notice", {"notice": notice})
            moved = change(row)
            if isinstance(moved, Rejected):
                return moved
            await self._rows.save(tx, moved)
            await self._audit(
                tx, self._clock.now_ms(), actor, action, notice,
                {"site": row.site, "what": row.what, "alarm": row.alarm,
                 "before": row.taken_by, "reason": moved.reason},
            )  # fmt: skip
        self.on_change()
        return None


def _shown(row: Any) -> NoticeOut:
    names, site_names = row["names"] or {}, row["site_names"] or {}
    return NoticeOut(
        id=row["id"], site=row["site"],
        site_name=Text(zh=site_names.get("zh", ""), en=site_names.get("en", "")),
        what=row["what"], alarm=row["alarm"],
        name=Text(zh=names.get("zh", ""), en=names.get("en", "")), edge=row["edge"] or "",
        day=row["day"], before=row["before"], now=row["now"],
        trend=[(int(day), float(value)) for day, value in row["trend"]],
        state=row["state"], opened_at=row["opened_at"], taken_at=row["taken_at"],
        taken_by=row["taken_by"], closed_at=row["closed_at"], closed_by=row["closed_by"],
        reason=row["reason"],
    )  # fmt: skip
