"""A case on its ladder: what is to be told now, and when to look again. Pure.

One case is one occurrence on one ladder. It is stored after each step, so a restart goes on where
it stood; a step that is overdue is told once, not forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from shared.site.notify import LadderSpec

Status = Literal["running", "acknowledged", "ended"]
Kind = Literal["alarm", "reminder", "still_there", "over"]


@dataclass(frozen=True, slots=True)
class Case:
    """Where an occurrence stands on a ladder."""

    id: str
    occurrence: str
    alarm: str
    ladder: str
    base: int
    """When the present round began."""
    status: Status = "running"
    why: str = ""
    round: int = 0
    step: int = 0
    """The next step of the round."""
    told: int = 0
    """Tellings so far: numbers them."""
    stepped_at: int = 0
    nag_at: int | None = None
    due: int | None = None
    ack_until: int | None = None
    """When the acknowledgement expires for this ladder."""
    unreached: bool = False
    """Nobody of the newest step could be reached: the next one does not wait."""
    ack_over: bool = False
    """The alarm's acknowledgement has expired for this ladder."""
    answered: bool = False
    """Somebody answered after that."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the occurrence now."""

    acked: bool
    active: bool
    gone: bool
    """Closed, shelved, suppressed, out of service or unknown: nothing to call anybody for."""


@dataclass(frozen=True, slots=True)
class Telling:
    """Tell a step's people; `n` numbers it within the case."""

    kind: Kind
    n: int
    step: int
    round: int


def advance(
    case: Case, ladder: LadderSpec | None, seen: Seen, now: int
) -> tuple[Case, list[Telling]]:
    """The case after `now`, and what is to be told."""
    if case.status == "ended":
        return replace(case, due=None), []
    if ladder is None:
        return _end(case, "ladder_removed"), []
    if seen.gone:
        return _over(case, ladder, "closed")
    if not seen.active and "returned" in ladder.stops:
        return _over(case, ladder, "returned")
    if seen.acked and "acknowledged" in ladder.stops and not (case.ack_over and not case.answered):
        return _acknowledged(case, ladder, seen, now)
    # A reload may have made the ladder shorter than where the case stands.
    step = min(case.step, len(ladder.steps))
    case = replace(case, status="running", why="", step=step)
    return _climb(case, ladder, now, [])


def _end(case: Case, why: str) -> Case:
    return replace(case, status="ended", why=why, due=None, nag_at=None, unreached=False)


def _over(case: Case, ladder: LadderSpec, why: str) -> tuple[Case, list[Telling]]:
    ended = _end(case, why)
    if not ladder.tell_end or case.told == 0:
        return ended, []
    step = max(min(case.step, len(ladder.steps)) - 1, 0)
    telling = Telling("over", case.told, step, case.round)
    return replace(ended, told=case.told + 1), [telling]


def _acknowledged(
    case: Case, ladder: LadderSpec, seen: Seen, now: int
) -> tuple[Case, list[Telling]]:
    if ladder.ack_expires is None:
        if seen.active and ladder.tell_end:  # whoever was told is to hear of the end
            waits = replace(case, status="acknowledged", why="acknowledged", due=None, nag_at=None)
            return waits, []
        return _end(case, "acknowledged"), []
    until = case.ack_until
    if case.status == "running" or until is None:
        until = now + ladder.ack_expires
    if now < until:
        waits = replace(
            case, status="acknowledged", why="acknowledged", ack_until=until, due=until,
            nag_at=None, unreached=False,
        )  # fmt: skip
        return waits, []
    again = replace(
        case, status="running", why="", ack_over=True, answered=False, base=now, step=0,
        round=0, nag_at=None, due=None, ack_until=None,
    )  # fmt: skip
    return _climb(again, ladder, now, [], "still_there")


def _climb(
    case: Case, ladder: LadderSpec, now: int, told: list[Telling], kind: Kind = "alarm"
) -> tuple[Case, list[Telling]]:
    """Tell what is due; each step of a round once, however late."""
    while True:
        if case.step < len(ladder.steps):
            if not case.unreached and now < case.base + ladder.steps[case.step].after:
                break
            told.append(Telling(kind, case.told, case.step, case.round))
            case = replace(
                case, step=case.step + 1, told=case.told + 1, stepped_at=now, unreached=False,
                nag_at=now + ladder.nag if ladder.nag else None,
            )  # fmt: skip
        elif case.round < ladder.repeat.times and now >= case.stepped_at + ladder.repeat.every:
            case = replace(case, round=case.round + 1, step=0, base=now)
        else:
            break
    if case.nag_at is not None and ladder.nag and now >= case.nag_at:
        told.append(Telling("reminder", case.told, max(case.step - 1, 0), case.round))
        case = replace(case, told=case.told + 1, nag_at=now + ladder.nag)
    return replace(case, due=_due(case, ladder)), told


def _due(case: Case, ladder: LadderSpec) -> int | None:
    times: list[int] = []
    if case.step < len(ladder.steps):
        times.append(case.base + ladder.steps[case.step].after)
    elif case.round < ladder.repeat.times:
        times.append(case.stepped_at + ladder.repeat.every)
    if case.nag_at is not None:
        times.append(case.nag_at)
    return min(times, default=None)
