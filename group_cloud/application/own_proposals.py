"""Where people propose a setting themselves: try before you change.

Called by the web. A person's proposal is held to the same guardrails, evaluated on what was counted
and on the factory's history, and decided like any other; it is marked as made by a person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Protocol

from group_cloud.application.limit_trainer import WINDOW_DAYS
from group_cloud.application.limit_wording import plain_body, subject_of, wish_words
from group_cloud.application.ports import Proposals, Records, Rollouts, Transaction
from group_cloud.application.proposal_keeping import Found, ProposalKeeper
from group_cloud.application.wording import proposal_dto
from group_cloud.domain.evidence import Point
from group_cloud.domain.guardrails import Guardrails
from group_cloud.domain.limit_evidence import SiteEvidence, counted_bar, daily
from group_cloud.domain.scope import ALL, Scope
from shared.alarm.point import Setting
from shared.alarm.shadow import bounds_of, setting_of
from shared.clock import Clock
from shared.errors import Rejected
from shared.web import dto
from shared.web.dto_proposals import ProposeRequest, WishedSetting

DAY_MS = 86_400_000
TREND_DAYS = 60


@dataclass(frozen=True, slots=True)
class TunablePoint:
    """An alarm point as its factory told of it."""

    point: Point
    line: str
    names: Mapping[str, str]
    tuning: Mapping[str, Any] | None
    """Setting in force, bounds, side, unit; None: it may not be moved."""


class TunablePoints(Protocol):
    """See `adapters/postgres/limit_store.py`."""

    async def tunable(self, scope: Scope, site: str, alarm: str) -> TunablePoint | None:
        """One alarm point within a scope."""
        ...

    async def evidence(self, site: str, since: int, alarm: str = "") -> SiteEvidence:
        """What was counted of it."""
        ...


@dataclass(frozen=True, slots=True)
class OwnStores:
    """The tables that a person's proposal touches."""

    points: TunablePoints
    records: Records
    proposals: Proposals
    rollouts: Rollouts


class OwnProposals:
    """The desk where people propose."""

    def __init__(self, stores: OwnStores, keeper: ProposalKeeper, clock: Clock) -> None:
        self._stores, self._keeper, self._clock = stores, keeper, clock
        self.on_proposals: Callable[[], None] = lambda: None

    async def propose(
        self, wish: ProposeRequest, actor: str, scope: Scope = ALL
    ) -> dto.Proposal | Rejected:
        """Open a proposal for one alarm point."""
        known = await self._stores.points.tunable(scope, wish.site, wish.alarm)
        if known is None:
            return Rejected("unknown_alarm_point", {"site": wish.site, "alarm": wish.alarm})
        if known.tuning is None:
            return Rejected("not_tunable", {"alarm": wish.alarm})
        current = setting_of(known.tuning["setting"])
        proposed = wished(wish.setting, current)
        refusal = refusal_of(known.tuning, current, proposed)
        if refusal is not None:
            return refusal
        since = self._clock.now_ms() - WINDOW_DAYS * DAY_MS
        counted = await self._stores.points.evidence(wish.site, since, wish.alarm)
        found = _found(known, wish, current, proposed, counted, actor, self._clock.now_ms())
        async with self._stores.records.transaction() as tx:
            await self._stores.proposals.lock_point(tx, known.point)
            if busy := await self._busy(tx, known.point):
                return busy
            row = await self._keeper.save(tx, known.point, "person", found, None, actor)
        self.on_proposals()
        return proposal_dto(row, None)

    async def _busy(self, tx: Transaction, point: Point) -> Rejected | None:
        last = await self._stores.proposals.newest(tx, point)
        if last is not None and last.status == "open":
            return Rejected("proposal_open", {"proposal": last.id})
        if await self._stores.rollouts.planned(tx, point):
            return Rejected("point_in_rollout", {"point": str(point)})
        return None


def wished(asked: WishedSetting, current: Setting) -> Setting:
    """What somebody wants, where it says nothing what runs."""
    return replace(
        current,
        limit=current.limit if asked.limit is None else asked.limit,
        deadband=current.deadband if asked.deadband is None else asked.deadband,
        on_delay_ms=current.on_delay_ms if asked.on_delay_s is None else round(
            asked.on_delay_s * 1000
        ),
        off_delay_ms=current.off_delay_ms if asked.off_delay_s is None else round(
            asked.off_delay_s * 1000
        ),
    )  # fmt: skip


def refusal_of(tuning: Mapping[str, Any], current: Setting, proposed: Setting) -> Rejected | None:
    """Why a setting may not be proposed, None if it may."""
    if not (isfinite(proposed.limit) and isfinite(proposed.deadband)):
        return Rejected("not_a_number", {})
    if proposed == current:
        return Rejected("setting_unchanged", {})
    bounds = tuning["bounds"]
    rails = Guardrails(bounds_of(bounds), float(bounds.get("step", 0.0)))
    return rails.refuse(current, proposed)


def _found(
    known: TunablePoint, wish: ProposeRequest, current: Setting, proposed: Setting,
    counted: SiteEvidence, actor: str, now: int,
) -> Found:  # fmt: skip
    assert known.tuning is not None
    tuning = known.tuning
    subject = subject_of(known.point.alarm, known.names, tuning.get("unit", ""), tuning["bounds"])
    point = next(iter(counted.points), None)
    bars = [counted_bar(point, counted, each) if point else None for each in (current, proposed)]
    now_bar, then_bar = bars
    body: dict[str, Any] = {
        **plain_body(subject, tuning["bounds"], tuning["side"], known.line),
        "candidates": [],
        "evidence": {
            "labelled": point.true_alarms + point.nuisance if point else 0,
            "true_alarms": point.true_alarms if point else 0,
            "nuisance": point.nuisance if point else 0,
        },
        "explanation": wish_words(subject, current, proposed, actor).to_dict(),
        "by": actor, "why": wish.reason,
        "bars": {"now": now_bar or {}, "proposed": then_bar or {}},
        "trend": daily(point, current, proposed)[-TREND_DAYS:] if point else [],
        "forecast": {
            "per_day": then_bar and then_bar["alarms_per_day"],
            "before_per_day": now_bar and now_bar["alarms_per_day"],
        },
    }  # fmt: skip
    told = f"{actor}:{now}:{known.point}:{current}:{proposed}"
    return Found(
        current, proposed, hashlib.blake2b(told.encode(), digest_size=16).hexdigest(), 0, now, body
    )
