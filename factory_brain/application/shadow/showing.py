"""What is counted in shadow, and why, as people read it; the assets that a fault may lie in.

Called by the web; reads only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from factory_brain.application.shadow.ports import Point
from shared.alarm.grid import Grid
from shared.alarm.point import Setting
from shared.alarm.shadow import setting_data
from shared.clock import Clock
from shared.errors import ContractError
from shared.site.site import Site
from shared.web.dto_base import Text
from shared.web.dto_faults import AssetList, AssetOut, CountedPoint, CountedPoints
from shared.web.dto_group import Setting as SettingOut

DAY_MS = 86_400_000
WINDOW_DAYS = 60
MOST = 2_000


class CountedReads(Protocol):
    """See `adapters/postgres/shadow_reads.py`."""

    async def points(self) -> list[Point]:
        """All that are nominated now."""
        ...

    async def days(self, since_day: int) -> Mapping[str, tuple[int, int]]:
        """alarm -> (days counted, how far)."""
        ...

    async def settings(self) -> Mapping[str, Setting]:
        """alarm -> the setting that a directive has made of it."""
        ...


class ShadowView:
    """Looks at the shadow counting of one factory."""

    def __init__(self, site: Site, reads: CountedReads, clock: Clock, most: int) -> None:
        self._site, self._reads, self._clock, self._most = site, reads, clock, most

    async def listed(self) -> CountedPoints:
        """Every nominated point, by edge."""
        points = (await self._reads.points())[:MOST]
        days = await self._reads.days(self._clock.now_ms() // DAY_MS - WINDOW_DAYS)
        live = await self._reads.settings()
        return CountedPoints(
            enabled=self._most > 0, most=self._most,
            points=[self._shown(each, days.get(each.alarm), live) for each in points],
        )  # fmt: skip

    def assets(self) -> AssetList:
        """The assets of the site's files, and those that its alarms name."""
        listed = {
            each.id: AssetOut(
                id=each.id, name=Text(zh=each.name.zh, en=each.name.en), kind=each.kind
            )
            for each in self._site.asset_specs.values()
        }
        for alarm in self._site.alarms.values():
            listed.setdefault(alarm.asset, AssetOut(id=alarm.asset, name=Text(), kind=""))
        return AssetList(assets=[listed[name] for name in sorted(listed)])

    def _shown(
        self, point: Point, counted: tuple[int, int] | None, live: Mapping[str, Setting]
    ) -> CountedPoint:
        definition = self._site.alarms.get(point.alarm)
        runs = live.get(point.alarm, definition.setting if definition else None)
        grid = _grid(point)
        return CountedPoint(
            alarm=point.alarm, edge=point.edge, source=point.source, reason=point.reason,
            name=Text(zh=definition.name.zh, en=definition.name.en) if definition else Text(),
            asset=definition.asset if definition else "", since=point.since,
            runs=_out(runs), candidate=_out(point.candidate),
            candidates=len(grid) if grid else 0, limits=list(grid.limits)[:50] if grid else [],
            days=counted[0] if counted else 0, until=counted[1] if counted else None,
        )  # fmt: skip


def _grid(point: Point) -> Grid | None:
    data = point.given or point.grid
    try:
        return Grid.from_dict(data) if data else None
    except (ContractError, KeyError, TypeError, ValueError):
        return None


def _out(setting: Setting | None) -> SettingOut | None:
    return SettingOut.model_validate(setting_data(setting)) if setting else None
