"""What people see of the ranking: each factory's ranker with its figures, and the points.

Called by the web within the asker's scope; it computes figures of what was told, and ranks nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from group_cloud.application.nuisance.ports import NuisanceRows
from group_cloud.domain.scope import Scope
from shared.web.dto_base import Text
from shared.web.dto_notices import NuisanceModel, NuisancePoint, NuisanceRanking

TOLD = 2_000
"""Newest verdicts that the figures are made of."""
POINTS, SITES = 300, 50


class NuisanceView:
    """The ranking for people."""

    def __init__(self, rows: NuisanceRows) -> None:
        self._rows = rows

    async def shown(self, scope: Scope, site: str | None = None) -> NuisanceRanking:
        """Rankers, and points with the likeliest nuisance first."""
        models, known = [], await self._rows.models(scope, site)
        for row in known[:SITES]:
            told = await self._rows.told(scope, row["site"], TOLD)
            models.append(await asyncio.to_thread(_model, row, told))
        rows = await self._rows.ranked(scope, site, POINTS)
        return NuisanceRanking(
            models=models, points=[_point(row) for row in rows],
            more=rows[0]["of_all"] - len(rows) if rows else 0, models_more=len(known) - len(models),
        )  # fmt: skip


def _model(row: Any, told: Sequence[Any]) -> NuisanceModel:
    share = row["nuisance"] / row["labels"] if row["labels"] else 0.5
    said = [(each["said"], each["nuisance"]) for each in told if each["said"] is not None]
    return NuisanceModel(
        site=row["site"], champion=row["champion"], labels=row["labels"],
        nuisance=row["nuisance"], scored=len(said),
        auc_logistic=auc([(each["logistic"], each["nuisance"]) for each in told]),
        auc_bayes=auc([(each["bayes"], each["nuisance"]) for each in told]),
        brier=_brier(said), brier_base=_brier([(share, y) for _, y in said]), at=row["at"],
    )  # fmt: skip


def auc(told: Sequence[tuple[float | None, bool]]) -> float | None:
    """The chance that a nuisance alarm was ranked above a true one; None: one kind is missing.

    >>> auc([(0.9, True), (0.2, False), (0.4, False), (0.4, True)])
    0.875
    """
    known = sorted((score, label) for score, label in told if score is not None)
    positive = sum(label for _, label in known)
    if not 0 < positive < len(known):
        return None
    ranks, place = 0.0, 0
    while place < len(known):
        end = place
        while end < len(known) and known[end][0] == known[place][0]:
            end += 1
        middle = (place + end + 1) / 2
        ranks += middle * sum(label for _, label in known[place:end])
        place = end
    pairs = positive * (len(known) - positive)
    return round((ranks - positive * (positive + 1) / 2) / pairs, 4)


def _brier(said: Sequence[tuple[float, bool]]) -> float | None:
    return round(sum((p - y) ** 2 for p, y in said) / len(said), 4) if said else None


def _point(row: Any) -> NuisancePoint:
    names = row["names"] or {}
    return NuisancePoint(
        site=row["site"], alarm=row["alarm"], edge=row["edge"],
        name=Text(zh=names.get("zh", ""), en=names.get("en", "")),
        priority=row["priority"] or 0, probability=row["probability"], low=row["low"],
        high=row["high"], labels=row["labels"], nuisance=row["nuisance"], raised=row["raised"],
        last_true_at=row["last_true_at"], because=row["because"],
    )  # fmt: skip
