"""Try before you change: what any setting would have told over a factory's own history.

Called by the web. It asks and shows, changes nothing and proposes nothing; the histories put the
question where the factory reads, and give back its answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

from group_cloud.application.histories import Question, digest_of, history_of
from group_cloud.application.own_proposals import TunablePoint, refusal_of, wished
from group_cloud.application.ports import Transaction
from group_cloud.domain.evidence import Point
from group_cloud.domain.scope import ALL, Scope
from shared.alarm.point import Setting
from shared.alarm.shadow import setting_data, setting_of
from shared.clock import Clock
from shared.errors import Rejected
from shared.messages.bodies import TrialAnswer
from shared.web.dto_base import Text
from shared.web.dto_group import Setting as SettingOut
from shared.web.dto_proposals import ProposalHistory
from shared.web.dto_tries import Refusal, TryAnswer, TryRequest, TunablePointList
from shared.web.dto_tries import TunablePoint as PointOut

MARK = "try-"
"""What a question's name begins with, unlike that of any proposal."""
OPEN_MS = 120_000
"""So long a question stands: whoever asked looks no longer."""
GOOD_MS, EMPTY_MS = 600_000, 60_000
"""How long an answer holds; sooner asked again where there were no samples."""
KEPT_MS = 86_400_000
MOST_OPEN = 20
"""Tries of one factory that stand open, the newest first."""
MOST_POINTS = 2_000


@dataclass(frozen=True, slots=True)
class Tried:
    """One try as it is stored."""

    id: str
    point: Point
    current: Setting
    proposed: Setting
    asked_at: int
    answered_at: int | None = None
    body: dict[str, Any] | None = None


class TryRows(Protocol):
    """See `adapters/postgres/try_store.py`."""

    async def ask(self, tried: Tried, actor: str, forget_before: int) -> None:
        """Keep a question, or ask it anew; old ones are forgotten."""
        ...

    async def get(self, name: str) -> Tried | None:
        """One of them."""
        ...

    async def open(self, since: int) -> Sequence[Question]:
        """What was asked since and is not answered, the newest first."""
        ...

    async def sites(self, since: int) -> Sequence[str]:
        """Factories that were asked since."""
        ...

    async def keep(self, tx: Transaction, /, told: TrialAnswer, at: int) -> bool:
        """Keep an answer of the factory that was asked; whether it was one."""
        ...


class Points(Protocol):
    """See `adapters/postgres/limit_store.py`."""

    async def tunable(self, scope: Scope, site: str, alarm: str) -> TunablePoint | None:
        """One alarm point within a scope."""
        ...

    async def all_tunable(self, scope: Scope, site: str, limit: int) -> Sequence[TunablePoint]:
        """Those of a factory that may be moved."""
        ...


Sites = Callable[[Scope], Any]


class Trying:
    """The desk where people try settings."""

    def __init__(self, rows: TryRows, points: Points, clock: Clock, sites: Sites) -> None:
        self._rows, self._points, self._clock, self._sites = rows, points, clock, sites
        self.on_asked: Callable[[], None] = lambda: None

    async def points(self, site: str, scope: Scope = ALL) -> TunablePointList:
        """The alarm points of a factory that may be moved, with what runs and its bounds."""
        found = await self._points.all_tunable(scope, site, MOST_POINTS)
        return TunablePointList(points=[_point(each) for each in found if each.tuning is not None])

    async def ask(self, wish: TryRequest, actor: str, scope: Scope = ALL) -> TryAnswer | Rejected:
        """What this setting would have told; the factory's answer comes after a while."""
        known = await self._points.tunable(scope, wish.site, wish.alarm)
        if known is None:
            return Rejected("unknown_alarm_point", {"site": wish.site, "alarm": wish.alarm})
        if known.tuning is None:
            return Rejected("not_tunable", {"alarm": wish.alarm})
        current = setting_of(known.tuning["setting"])
        proposed = wished(wish.setting, current)
        if not (isfinite(proposed.limit) and isfinite(proposed.deadband)):
            return Rejected("not_a_number", {})
        now = self._clock.now_ms()
        name = _name(known.point, current, proposed)
        found = await self._rows.get(name)
        if found is None or not _holds(found, now):
            found = Tried(name, known.point, current, proposed, now)
            await self._rows.ask(found, actor, now - KEPT_MS)
            self.on_asked()
        refusal = refusal_of(known.tuning, current, proposed)
        return TryAnswer(
            id=name, history=_history(found),
            refusal=Refusal(code=refusal.code, params=refusal.params) if refusal else None,
        )  # fmt: skip

    async def shown(self, name: str, scope: Scope = ALL) -> ProposalHistory | None:
        """What is known of a try; None where there is none within the scope."""
        found, sites = await self._rows.get(name), await self._sites(scope)
        if found is None or (sites is not None and found.point.site not in sites):
            return None
        return _history(found)


def _name(point: Point, current: Setting, proposed: Setting) -> str:
    """The same question has the same name, whoever asks it."""
    told = f"{point}/{digest_of(current, proposed)}"
    return MARK + hashlib.blake2b(told.encode(), digest_size=12).hexdigest()


def _holds(found: Tried, now: int) -> bool:
    if found.answered_at is None:
        return now - found.asked_at < OPEN_MS / 2
    empty = not (found.body or {}).get("points")
    return now - found.answered_at < (EMPTY_MS if empty else GOOD_MS)


def _history(found: Tried) -> ProposalHistory:
    return history_of(found.id, found.current, found.proposed, found.answered_at, found.body)


def _point(known: TunablePoint) -> PointOut:
    tuning = known.tuning or {}
    return PointOut(
        site=known.point.site, edge=known.point.edge, alarm=known.point.alarm, line=known.line,
        name=Text(zh=known.names.get("zh", ""), en=known.names.get("en", "")),
        side=str(tuning.get("side", "")), unit=str(tuning.get("unit", "")),
        setting=SettingOut.model_validate(setting_data(setting_of(tuning["setting"]))),
        bounds=tuning["bounds"],
    )  # fmt: skip
