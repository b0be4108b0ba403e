"""What a roll-out does next, from its plan, its directives and what its points have done: pure.

Called again and again by the drive; one answer is one small move, persisted as one transaction, so
that a crash anywhere costs nothing. It signs nothing and knows no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from group_cloud.domain.rollout import IN_FLIGHT, Kind
from group_cloud.domain.rollout_gate import (
    DAY_MS,
    Factory,
    Shadowed,
    too_few,
    too_many,
    unhealthy,
    unlikely,
)
from group_cloud.domain.rollout_moves import Become as Become
from group_cloud.domain.rollout_moves import Exclude as Exclude
from group_cloud.domain.rollout_moves import Hold as Hold
from group_cloud.domain.rollout_moves import Move as Move
from group_cloud.domain.rollout_moves import Seen as Seen
from group_cloud.domain.rollout_moves import Sent as Sent
from group_cloud.domain.rollout_moves import Sign as Sign
from group_cloud.domain.rollout_plan import Change, Plan, Target, canary, targets_of
from group_cloud.domain.rollout_policy import CHANGING, Stage
from shared.errors import Rejected

SOON_MS = 1_000
MOST_TRIES = 5
"""Rehearsals that one edge may call expired at once before it is left out."""
LONGEST = 64  # times the first wait
MAY_YET_RUN = ("expired", "superseded", "overtaken")
"""Refusals of the one directive that do not say that its change never reaches the edge."""


def next_move(plan: Plan, sent: Sequence[Sent], seen: Seen, now: int) -> Move:
    """The one thing to do next."""
    if plan.state == "rolling_back":
        return _take_back(plan, sent, now)
    if now >= plan.expires_at:
        return _give_up(sent, Rejected("expired", {"expires_at": plan.expires_at}), "expire")
    if refusal := _gone_wrong(plan, sent, seen):
        return _give_up(sent, refusal)
    if plan.state == "waiting":
        return Hold("second_person", until=plan.expires_at)
    if plan.state == "paused":
        return Hold("paused", until=plan.expires_at)
    if not plan.included():
        code = next(iter(plan.excluded.values()), "nothing_left")
        return _give_up(sent, Rejected(code, dict(plan.params)))
    if plan.state == "dry_run":
        return _dry_run(plan, sent, now)
    if plan.state == "shadow":
        return _shadow(plan, seen, now)
    return _changing(plan, sent, seen, now)


def enter(plan: Plan, stage: Stage | None) -> Become:
    """On to the next stage that has anything to do, or the end."""
    following = plan.policy.after(stage)
    while following in CHANGING and following is not None and not plan.wave(following):
        following = plan.policy.after(following)
    return Become(f"enter_{following}" if following else "finish")


def outstanding(sent: Sequence[Sent]) -> list[Target]:
    """Edges that run the change, or may: something was sent and not refused by the plant.

    What the group gave up as expired may have been taken up by a factory that was cut off; what
    a newer directive superseded may run by that one, which carries it too.
    """
    return sorted(
        {
            each.target for each in sent if each.kind == "settings"
            and (each.status != "refused" or each.code in MAY_YET_RUN)
        }
    )  # fmt: skip


def _give_up(sent: Sequence[Sent], why: Rejected, trigger: str = "refuse") -> Become:
    """Take back what was changed; where nothing was, it simply ends."""
    return Become("fail" if outstanding(sent) else trigger, why.code, why.params)


def _gone_wrong(plan: Plan, sent: Sequence[Sent], seen: Seen) -> Rejected | None:
    """The part of the health gate that never waits, also while people have paused it."""
    running = {
        (each.target, alarm)
        for each in sent if each.kind == "settings" and each.status == "applied"
        for alarm in each.alarms
    }  # fmt: skip
    for change in plan.included():
        watched = seen.watched.get(change.point)
        if watched is None or (change.target, change.point.alarm) not in running:
            continue
        if refusal := unhealthy(change, watched, plan.policy):
            return refusal
    for each in sent:
        if each.kind == "settings" and each.status == "rolled_back" and each.code != "superseded":
            return Rejected("edge_took_back", {"site": each.target[0], "edge": each.target[1]})
    return None


# looking only


def _dry_run(plan: Plan, sent: Sequence[Sent], now: int) -> Move:
    changes = plan.included()
    answered: set[Target] = set()
    soonest = plan.expires_at
    for target in targets_of(changes):
        mine = tuple(each for each in changes if each.target == target)
        last = _last(sent, target, "dry_run")
        if last is None:
            return Sign("dry_run", target, mine)
        if last.status == "refused":
            again, tries = _again_at(plan, sent, last)
            if last.code != "expired" or tries >= MOST_TRIES:
                return _exclude(mine, last)
            if now >= again:
                return Sign("dry_run", target, mine)
            soonest = min(soonest, again)
        if last.status == "applied":
            answered.add(target)
            if refusal := _rehearsed_badly(mine, last, plan):
                return Become("refuse", refusal.code, refusal.params)
    silent = [target for target in targets_of(changes) if target not in answered]
    if not silent:
        return enter(plan, "dry_run")
    due = plan.stage_at + round(plan.policy.answer_s * 1000)
    site, (edge, _) = canary(changes, plan.policy)
    # Offline edges catch up later; where the change goes first, somebody must have looked.
    if now >= due and (site, edge) in answered:
        return enter(plan, "dry_run")
    return _hold_for(silent, min(soonest, due) if now < due else soonest)


def _rehearsed_badly(changes: tuple[Change, ...], sent: Sent, plan: Plan) -> Rejected | None:
    """Whether the edge's own recent signal contradicts the forecast."""
    found = sent.params.get("alarms")
    if not isinstance(found, dict):
        return None
    for change in changes:
        each = found.get(change.point.alarm)
        if not isinstance(each, dict):
            continue
        try:
            alarms, days = float(each["new"][0]), float(each["coverage_s"]) / 86_400
        except (KeyError, IndexError, TypeError, ValueError):
            continue
        if refusal := too_many(change, alarms, days, plan.policy):
            return refusal
    return None


def _shadow(plan: Plan, seen: Seen, now: int) -> Move:
    dwell = plan.policy.dwell_ms("shadow")
    due = plan.stage_at + dwell
    need = plan.policy.min_coverage * dwell / DAY_MS
    short: list[str] = []
    for change in plan.included():
        found = seen.shadowed.get(change.point) or Shadowed(change.point, 0.0, 0.0)
        if refusal := unlikely(change, found, plan.policy):
            return Become("refuse", refusal.code, refusal.params)
        if found.coverage_days + 1e-9 < need:
            short.append(str(change.point))
        elif now >= due and found.coverage_days > 0:
            few = too_few(change, found.alarms, found.coverage_days, plan.policy)
            if few is not None:
                return Become("refuse", few.code, few.params)
    if now < due:
        return Hold("watching", {"until": due}, due)
    if short:
        return Hold("coverage", {"points": short[:20], "days": round(need, 3)})
    return enter(plan, "shadow")


# changing


def _changing(plan: Plan, sent: Sequence[Sent], seen: Seen, now: int) -> Move:
    stage = plan.stage
    assert stage is not None
    wave, silent, applied_at = plan.wave(stage), [], plan.stage_at
    asked: list[Target] = []
    passed_at, soonest = plan.stage_at, plan.expires_at
    for target in targets_of(wave):
        mine = tuple(each for each in wave if each.target == target)
        alarms = {each.point.alarm for each in mine}
        last = _last([s for s in sent if alarms & s.alarms], target, "settings")
        if last is None:
            return Sign("settings", target, mine)
        if last.status == "refused":
            again, _ = _again_at(plan, sent, last)
            if not (last.too_early and stage == "all" and now < again):
                return _refused(plan, sent, mine, last)
            silent.append(target)
            soonest = min(soonest, again)
        if last.status == "waiting":
            asked.append(target)
        elif last.status in IN_FLIGHT:
            silent.append(target)
            passed_at = max(passed_at, last.at if last.status == "relayed" else 0)
        applied_at = max(applied_at, last.at)
    if silent:
        return _silent(plan, sent, silent, (now, passed_at, soonest))
    if asked:
        # People are not hurried: it waits as long as the roll-out may last.
        return replace(_hold_for(asked, plan.expires_at), code="waits_for_factory")
    return _watch(plan, wave, seen, applied_at, now)


def _refused(plan: Plan, sent: Sequence[Sent], mine: tuple[Change, ...], last: Sent) -> Move:
    own = {each.point.alarm for each in mine}
    culprit = last.params.get("alarm")
    foreign = isinstance(culprit, str) and culprit and culprit not in own
    tries = sum(1 for s in sent if s.target == last.target and s.kind == "settings")
    # Another alarm's older setting was at fault and is left out now; an edge was off too long; or
    # another roll-out's rollback went before it.
    late = last.code in MAY_YET_RUN and plan.stage == "all"
    if (foreign and tries <= 20) or late or last.code == "overtaken":
        return Sign("settings", last.target, mine)
    if plan.stage == "all":
        return _exclude(mine, last)
    params = {"site": last.target[0], "edge": last.target[1], **last.params}
    return _give_up(sent, Rejected(last.code or "refused", params))


def _silent(
    plan: Plan, sent: Sequence[Sent], silent: list[Target], times: tuple[int, int, int]
) -> Move:  # fmt: skip
    now, passed_at, soonest = times
    due = passed_at + round(plan.policy.answer_s * 1000)
    if plan.stage == "all":
        return _hold_for(silent, soonest)
    if now < due:
        return _hold_for(silent, due)
    site, edge = silent[0]
    return _give_up(sent, Rejected("no_answer", {"site": site, "edge": edge}))


def _watch(
    plan: Plan, wave: tuple[Change, ...], seen: Seen, applied_at: int, now: int
) -> Move:  # fmt: skip
    stage = plan.stage
    assert stage is not None
    due = applied_at + plan.policy.dwell_ms(stage)
    if now < due:
        return Hold("watching", {"until": due}, due)
    if plan.policy.dwell_ms(stage):
        for site in sorted({each.point.site for each in wave}):
            factory = seen.factories.get(site, Factory())
            if factory.heard_until < due:
                return Hold("factory_silent", {"site": site}, now + SOON_MS)
            if plan.policy.watch_edges and factory.edges_down:
                down = {"site": site, "edges": factory.edges_down}
                return Hold("edges_offline", down, now + SOON_MS)
        for change in plan.included():
            watched = seen.watched.get(change.point)
            if watched is None:
                continue
            days = (watched.until - watched.since) / DAY_MS
            if few := too_few(change, watched.alarms, days, plan.policy):
                return Become("fail", few.code, few.params)
    return enter(plan, stage)


# taking back


def _take_back(plan: Plan, sent: Sequence[Sent], now: int) -> Move:
    waits: list[Target] = []
    soonest: int | None = None
    for target in outstanding(sent):
        changed = frozenset[str]().union(
            *(s.alarms for s in sent if s.target == target and s.kind == "settings")
        )
        backs = [s for s in sent if s.target == target and s.kind == "rollback"]
        refused = {str(s.params.get("alarm")) for s in backs if s.status == "refused"}
        # What the plant refuses by name stays out, so that it does not keep the rest from going.
        back = (changed - refused) or changed
        mine = tuple(e for e in plan.changes if e.target == target and e.point.alarm in back)
        if not backs:
            return Sign("rollback", target, mine)
        last = backs[-1]
        if last.status == "refused":
            # Whatever the reason: until the edge runs its old settings again, it is tried again.
            again, _ = _again_at(plan, sent, last)
            if now >= again:
                return Sign("rollback", target, mine)
            soonest = min(again, soonest or again)
        if last.status != "applied":
            waits.append(target)
    if waits:
        return replace(_hold_for(waits, soonest), code="taking_back")
    if lost := _not_back(sent):
        return Become("settle", "not_taken_back", {"alarms": lost, "why": plan.code})
    return Become("settle", plan.code, plan.params)


def _not_back(sent: Sequence[Sent]) -> list[str]:
    """Changed alarms that no rollback has brought back: the plant forbids their old settings."""
    lost: list[str] = []
    for target in outstanding(sent):
        mine = [s for s in sent if s.target == target]
        changed = frozenset[str]().union(*(s.alarms for s in mine if s.kind == "settings"))
        back = (s.alarms for s in mine if s.kind == "rollback" and s.status == "applied")
        lost += [f"{'.'.join(target)}/{a}" for a in sorted(changed.difference(*back))]
    return lost


def _again_at(plan: Plan, sent: Sequence[Sent], last: Sent) -> tuple[int, int]:
    """(when what was refused may be tried again, how often it came back expired too early).

    An edge whose clock is wrong calls every one expired: each is waited for longer than the last.
    """
    alike = (s for s in sent if s.target == last.target and s.kind == last.kind)
    early = sum(each.too_early for each in alike)
    if last.code == "overtaken" or (last.code == "expired" and not last.too_early):
        return last.at, early
    grown = min(2 ** max(early - 1, 0), LONGEST) if last.too_early else 1
    return last.at + round(plan.policy.retry_s * grown * 1000), early


def _last(sent: Sequence[Sent], target: Target, kind: Kind) -> Sent | None:
    mine = [each for each in sent if each.target == target and each.kind == kind]
    return mine[-1] if mine else None


def _exclude(changes: tuple[Change, ...], last: Sent) -> Exclude:
    """Leave out what the factory names, or all that this directive was to bring."""
    named = [each.point for each in changes if each.point.alarm == last.params.get("alarm")]
    points = tuple(named) or tuple(each.point for each in changes)
    return Exclude(points, last.code or "refused", last.params)


def _hold_for(silent: list[Target], until: int | None) -> Hold:
    edges = [f"{site}.{edge}" for site, edge in silent]
    return Hold("no_answer_yet", {"edges": edges[:20], "count": len(edges)}, until)
