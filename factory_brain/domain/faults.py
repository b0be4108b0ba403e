"""What makes a fault of a labelled incident, and what people did about an occurrence. Pure.

Called by the fault desk and the labels; a fault is what happened to the plant, an alarm only
tells of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from factory_brain.domain.rows import Occurrence
from shared.hybrid_time import HybridTime

REFUTED = ("nuisance", "drill")
NUISANCE_WORDS = ("nuisance", "chatter", "误报", "抖动")
"""What people write as the reason for shelving what they hold for a nuisance."""


@dataclass(frozen=True, slots=True)
class Told:
    """One occurrence as far as a fault is concerned."""

    occurrence: str
    alarm: str
    asset: str
    raised_at: int
    returned_at: int | None
    label: str


@dataclass(frozen=True, slots=True)
class Case:
    """An incident with its occurrences, or one occurrence that is in none."""

    incident: str
    """Empty: there is none."""
    asset: str
    closed_at: int | None
    outcome: str
    cause: str
    members: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that happened, as people said it."""

    id: str
    revision: int
    asset: str
    line: str
    start: int
    end: int
    cause: str
    actor: str
    recorded_at: int
    alarms: tuple[str, ...] = ()
    incident: str = ""
    withdrawn: bool = False
    comment: str = ""


def fault_id(case: Case) -> str:
    """One fault for one incident, whoever labels how many of its alarms."""
    return f"inc-{case.incident}" if case.incident else f"occ-{case.members[0].occurrence}"


def of_case(case: Case, now: int) -> tuple[int, int, tuple[str, ...]] | None:
    """(start, end, alarms) of the fault that a case tells of; None if nobody says there was one.

    An incident that was closed as true speaks for all of its alarms but those that a person has
    called something else.
    """
    whole = case.closed_at is not None and case.outcome == "true"
    mine = [
        each for each in case.members
        if each.label == "true" or (whole and each.label not in REFUTED)
    ]  # fmt: skip
    if not mine:
        return None
    start = min(each.raised_at for each in case.members if each.label not in REFUTED)
    standing = any(each.returned_at is None for each in mine)
    over = case.closed_at if case.closed_at is not None else now
    end = over if standing else max(each.returned_at or start for each in mine)
    return start, max(end, start), tuple(sorted({each.alarm for each in mine}))


def revised(before: Fault | None, after: Fault) -> Fault | None:
    """The next revision, or None where nothing that matters has changed."""
    if before is None:
        return None if after.withdrawn else replace(after, revision=1)
    same = replace(
        after, revision=before.revision, recorded_at=before.recorded_at, actor=before.actor
    )
    return None if same == before else replace(after, revision=before.revision + 1)


@dataclass(frozen=True, slots=True)
class Response:
    """What people did about one occurrence, as the group is told."""

    acked_after_s: float | None
    resolved_after_s: float | None
    shelved: bool
    suppressed: bool
    dismissed: bool


def response_of(found: Occurrence, label: str) -> Response:
    """Read from the facts and the transition; nothing is guessed."""
    acked = found.view.acked_by
    after = (HybridTime.parse(acked.hlc).ms - found.raised_at) / 1000 if acked else None
    actions = {fact.action for fact in found.facts}
    reasons = [
        str(fact.args.get("reason", "")).lower() for fact in found.facts if fact.action == "shelve"
    ]
    resolved = None
    if found.returned_at is not None:
        resolved = max(0.0, (found.returned_at - found.raised_at) / 1000)
    return Response(
        acked_after_s=after,
        resolved_after_s=resolved,
        shelved="shelve" in actions,
        suppressed="suppress" in actions,
        dismissed=label == "nuisance" or _any_word(reasons),
    )


def _any_word(reasons: Sequence[str]) -> bool:
    return any(word in reason for reason in reasons for word in NUISANCE_WORDS)
