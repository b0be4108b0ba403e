"""One occurrence as everybody must see it: a fold over the set of its transitions and facts.

Run by the edge, the brain and the property tests. Pure: any order, any duplication of its input
gives the same view. It never invents process state: that comes from the edge's transitions alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from shared.alarm.states import AlarmState
from shared.hybrid_time import HybridTime
from shared.messages.bodies import AlarmTransition, Fact, FactResult

ACKNOWLEDGE = "acknowledge"


@dataclass(frozen=True, slots=True)
class Said:
    """Who said something about an occurrence, where and when (hybrid time)."""

    fact: str
    actor: str
    place: str
    hlc: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class OccurrenceView:
    """Process part (from the edge) and response part (from people) of one occurrence."""

    alarm: str
    occurrence: str
    version: int
    annunciated_version: int
    state: AlarmState
    priority: int
    settings_version: int
    raised_at: int
    returned_at: int | None
    value: float | None
    acked_by: Said | None = None
    also_acked_by: tuple[Said, ...] = ()
    comments: tuple[Said, ...] = ()
    assigned_to: str = ""
    outcome: dict[str, Any] | None = None

    @property
    def acked(self) -> bool:
        """Whether the newest annunciation has been acknowledged."""
        return self.state.acked


def fact_order(fact: Fact) -> tuple[HybridTime, str]:
    """The order in which facts are read: (hybrid time, id)."""
    return HybridTime.parse(fact.hlc), fact.id


def fold(transitions: Iterable[AlarmTransition], facts: Iterable[Fact]) -> OccurrenceView | None:
    """The view of one occurrence; None without any transition (facts alone prove no process)."""
    process = _process_part(transitions)
    if not process:
        return None
    newest = process[-1]
    annunciated = max((t.version for t in process if t.annunciate), default=0)
    annunciated = max(annunciated, newest.annunciated_version)
    ordered = sorted({fact.id: fact for fact in facts}.values(), key=fact_order)
    mine = [fact for fact in ordered if fact.occurrence == newest.occurrence]
    seen = [f for f in mine if f.action == ACKNOWLEDGE and 0 < annunciated <= f.version_seen]
    state = AlarmState.from_dict(newest.state)
    if seen and not state.acked:
        state = replace(state, acked=True)
    said = [_said(fact) for fact in seen]
    return OccurrenceView(
        alarm=newest.alarm,
        occurrence=newest.occurrence,
        version=newest.version,
        annunciated_version=annunciated,
        state=state,
        priority=newest.priority,
        settings_version=newest.settings_version,
        raised_at=newest.raised_at,
        returned_at=_returned_at(process, state),
        value=newest.value,
        acked_by=said[0] if said else None,
        also_acked_by=tuple(said[1:]),
        comments=tuple(_said(f) for f in mine if f.action == "comment"),
        assigned_to=_last(mine, "assign", "to"),
        outcome=next((f.args for f in reversed(mine) if f.action == "outcome"), None),
    )


def fold_events(bodies: Iterable[object]) -> OccurrenceView | None:
    """The view of one occurrence from its events as they travel: what the edge refused is no fact.

    For who keeps events rather than rows: the group, and whoever checks rows against the journal.
    """
    kept = list(bodies)
    refused = {b.fact for b in kept if isinstance(b, FactResult) and b.result == "refused"}
    return fold(
        (b for b in kept if isinstance(b, AlarmTransition)),
        (b for b in kept if isinstance(b, Fact) and b.id not in refused),
    )


def _process_part(transitions: Iterable[AlarmTransition]) -> list[AlarmTransition]:
    """One transition per version, in order of versions.

    What only records an acknowledgement keeps the version of what it acknowledges; beside the
    process's own transition of that version it adds nothing that the facts do not say.
    """
    best: dict[int, AlarmTransition] = {}
    for transition in transitions:
        present = best.get(transition.version)
        if present is None or _rank(transition) < _rank(present):
            best[transition.version] = transition
    return [best[version] for version in sorted(best)]


def _rank(transition: AlarmTransition) -> tuple[bool, bool, str]:
    response = transition.kind in ("acknowledged", "confirmed")
    return response, bool(transition.fact), transition.fact


def _returned_at(process: list[AlarmTransition], state: AlarmState) -> int | None:
    if state.active:
        return None
    if process[-1].returned_at:
        return process[-1].returned_at
    returned = [t.source_time for t in process if t.kind in ("returned", "reconfigured", "retired")]
    return returned[-1] if returned else None


def _said(fact: Fact) -> Said:
    text = fact.args.get("text") or fact.args.get("comment") or ""
    return Said(fact.id, fact.actor, fact.place, fact.hlc, str(text))


def _last(facts: list[Fact], action: str, key: str) -> str:
    return next((str(f.args.get(key, "")) for f in reversed(facts) if f.action == action), "")
