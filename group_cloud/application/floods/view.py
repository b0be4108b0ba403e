"""What people at the group are shown of floods: what each resembles, and how right that was.

Called by the web within the asker's scope; starts nothing.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from group_cloud.application.floods.ports import FloodQuestions
from group_cloud.domain.floods import Judged, figures
from group_cloud.domain.scope import Scope
from shared.web.dto_base import Text
from shared.web.dto_floods import (
    FloodDone,
    FloodFigures,
    FloodLike,
    FloodLikeness,
    GroupFlood,
    GroupFloodList,
)

LISTED = 100


class FloodView:
    """Answers the group's console."""

    def __init__(self, ask: FloodQuestions) -> None:
        self._ask = ask

    async def listed(
        self, scope: Scope, site: str | None = None, incident: str | None = None
    ) -> GroupFloodList:
        """Newest first."""
        rows = await self._ask.listed(scope, site, incident, LISTED)
        return GroupFloodList(floods=[_flood(row, incident is not None) for row in rows])

    async def figures(self, scope: Scope) -> FloodFigures:
        """How right the answers were so far."""
        found = [Judged(**dict(row)) for row in await self._ask.judged(scope)]
        return FloodFigures(**dict(await self._ask.totals(scope)), **figures(found))  # type: ignore[arg-type]


def _flood(row: Any, whole: bool) -> GroupFlood:
    answered = row["horizon"] is not None
    judged = (
        Judged(
            row["horizon"], row["settled"], row["known"], row["cause"],
            (row["nearest"] or {}).get("cause", ""), row["novel"],
        )
        if answered and row["settled"] and row["novel"] is not None and row["why"] != "too_few"
        else None
    )  # fmt: skip
    return GroupFlood(
        site=row["site"], site_name=_text(row["names"]), incident=row["incident"],
        begun_at=row["first_at"], ended_at=row["ended_at"], answers=row["answers"],
        complete=bool(row["complete"]), likeness=_likeness(row) if answered else None,
        others=_others(row) if whole and row["ours"] else [],
        cause=row["cause"], right=judged.right if judged else None,
    )  # fmt: skip


def _others(row: Any) -> list[FloodLike]:
    """Next after what was named; of an answer that names none, all that came near."""
    first = [row["nearest"]] if row["nearest"] and not row["known"] else []
    return [like_of(each) for each in [*first, *(row["others"] or [])]]


def _likeness(row: Any) -> FloodLikeness:
    known = row["known"] and row["ours"] and row["nearest"] is not None
    state = "known" if known else "unknown" if row["settled"] else "comparing"
    why = "" if state != "unknown" else "too_few" if row["why"] == "too_few" else "unlike"
    return FloodLikeness(
        state=state, why=why, trust=row["trust"] if isfinite(row["trust"]) else 0.0,
        horizon_min=row["horizon"], at=row["at"],
        remembered=row["remembered"], nearest=like_of(row["nearest"]) if known else None,
    )  # fmt: skip


def like_of(kept: dict[str, Any]) -> FloodLike:
    """An earlier flood as people are shown it."""
    names = kept.get("cause_names") or {}
    return FloodLike(
        site=kept["site"], site_name=_text(kept.get("site_names") or {}),
        incident=kept["incident"], at=kept["at"], cause=kept["cause"],
        cause_name=_text(names) if names else None,
        done=[FloodDone(**each) for each in kept.get("done") or []],
        words=kept.get("words") or "", took_min=kept["took_min"], similarity=kept["similarity"],
    )  # fmt: skip


def _text(names: dict[str, str]) -> Text:
    return Text(zh=names.get("zh", ""), en=names.get("en", ""))
