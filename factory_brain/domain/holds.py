"""What people have said about an alarm and what the edge answered: holds, pending, refusals. Pure.

A hold is what keeps an alarm from people (shelf, suppression, out of service, disabled). Whether it
is in force says the edge's state; who, why, until when and under which permit say the facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.alarm.actions import LEAVES, REGIONS, SPOKEN, length_ms, text_of
from shared.alarm.occurrence import fact_order
from shared.hybrid_time import HybridTime
from shared.messages.bodies import Fact

REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Stated:
    """A fact with the edge's answer, as stored."""

    fact: Fact
    edge: str
    at: int
    result: str | None
    """None while it is on its way."""
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Who keeps an alarm from people, and on what terms."""

    region: str
    by: str
    place: str
    reason: str
    since: int
    until: int | None = None
    """When a timed shelf ends, by what was asked; the edge's timer rules."""
    mode: str = ""
    """Of a shelf: timed or one_shot."""
    permit: str = ""
    approved_by: str = ""
    permit_until: int | None = None
    pending: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """The edge refused what somebody here had asked for."""

    fact: str
    action: str
    code: str
    actor: str
    occurrence: str
    at: int


@dataclass(frozen=True, slots=True)
class SaidOfAlarm:
    """All of it for one alarm."""

    holds: Mapping[str, Hold] = field(default_factory=dict)
    """By region: shelf, suppressed, out_of_service, disabled."""
    pending: tuple[str, ...] = ()
    """Actions that the edge has not answered yet."""
    refused: Refusal | None = None
    """The newest fact about this alarm, if the edge refused it."""


NOTHING_SAID = SaidOfAlarm()


def said_of(stated: Iterable[Stated]) -> SaidOfAlarm:
    """Fold what was stated about one alarm; any order gives the same."""
    ordered = sorted(stated, key=lambda each: fact_order(each.fact))
    holds: dict[str, Hold] = {}
    for each in ordered:
        if each.result == REFUSED:
            continue
        action = each.fact.action
        if (region := REGIONS.get(action)) is not None:
            holds[region] = _hold(region, each)
        elif (region := LEAVES.get(action)) is not None and each.result is not None:
            holds.pop(region, None)
    waiting = dict.fromkeys(each.fact.action for each in ordered if each.result is None)
    acts = [each for each in ordered if each.fact.action not in SPOKEN or each.result == REFUSED]
    last = acts[-1] if acts else None
    return SaidOfAlarm(holds, tuple(waiting), _refusal(last))


def _refusal(last: Stated | None) -> Refusal | None:
    if last is None or last.result != REFUSED:
        return None
    fact = last.fact
    return Refusal(fact.id, fact.action, last.code or "", fact.actor, fact.occurrence, last.at)


def _hold(region: str, stated: Stated) -> Hold:
    fact, args = stated.fact, stated.fact.args
    since = HybridTime.parse(fact.hlc).ms
    timed = region == "shelf" and not args.get("one_shot")
    length = length_ms(args) if timed else None
    return Hold(
        region=region,
        by=fact.actor,
        place=fact.place,
        reason=text_of(args, "reason"),
        since=since,
        until=since + length if length is not None else None,
        mode=("timed" if timed else "one_shot") if region == "shelf" else "",
        permit=text_of(args, "permit"),
        approved_by=text_of(args, "approved_by"),
        permit_until=_ms(args.get("until")),
        pending=stated.result is None,
    )


def _ms(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
