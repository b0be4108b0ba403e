"""What people see of early warning at a factory: models in force, what was said lately, warnings.

Called by the routes; reads only.
"""

from __future__ import annotations

from collections.abc import Sequence

from factory_brain.application.warning.ports import EarlyWarning, Judged, Model
from factory_brain.application.warning.windows import Ground
from factory_brain.domain.warning import LATENESS_DAYS, Plant
from shared.alarm.warning_schema import WINDOW_MS
from shared.messages.warning import read
from shared.web import dto_warning as dto

RECENT = 96
"""Windows of the sparkline: two days."""
LISTED = 50


class WarningView:
    """Early warning as it stands here."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def shown(self) -> dto.EarlyWarnings:
        """All plants of this factory, and the newest warnings."""
        rows = self._ground.rows
        models = {model.plant: model for model in await rows.models()}
        plants = [
            await self._plant(plant, models.get(plant.key)) for plant in self._ground.plants()
        ]
        warnings = [_warning(each) for each in await rows.listed(LISTED)]
        return dto.EarlyWarnings(plants=plants, warnings=warnings)

    async def _plant(self, plant: Plant, model: Model | None) -> dto.WarningPlant:
        rows, now = self._ground.rows, self._ground.clock.now_ms()
        norm = await rows.norm(plant.key)
        said = await rows.judged(plant.key, now - RECENT * WINDOW_MS)
        push = read(model.payload) if model is not None else None
        return dto.WarningPlant(
            plant=plant.key,
            line=plant.line,
            tags=list(plant.tags),
            commissioned=[] if norm is None else list(norm.days),
            lateness_days=LATENESS_DAYS,
            model=None
            if push is None
            else dto.WarningInForce(
                push=push.id,
                approved_by=push.approved_by,
                issued_at=push.issued_at,
                expires_at=push.expires_at,
                expired=now >= push.expires_at,
                figures=push.figures,
            ),
            recent=_recent(said),
        )


def _recent(said: Sequence[Judged]) -> list[dto.WarningJudged]:
    return [
        dto.WarningJudged(
            at=each.at, confidence=None if each.silent else each.confidence,
            threshold=each.threshold, silent=each.silent, tags=list(each.tags),
            outside=each.outside,
        )
        for each in said
    ]  # fmt: skip


def _warning(each: EarlyWarning) -> dto.EarlyWarningOut:
    return dto.EarlyWarningOut(
        occurrence=each.occurrence, line=each.line, raised_at=each.raised_at,
        returned_at=each.returned_at, confidence=each.confidence, threshold=each.threshold,
        tags=list(each.tags), outside=each.outside, acked_by=each.acked_by, label=each.label,
        label_by=each.label_by,
    )  # fmt: skip
