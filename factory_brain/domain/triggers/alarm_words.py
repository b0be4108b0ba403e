"""What an alarm is, in the words that a playbook's `leave_when` uses. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from factory_brain.domain.rows import Occurrence
from shared.hybrid_time import HybridTime

WORDS = ("cleared", "acknowledged", "shelved", "suppressed")


def states_of(found: Occurrence) -> dict[str, int]:
    """cleared, acknowledged, shelved, suppressed: since when, as far as it is so."""
    state, transition = found.view.state, found.transition
    changed = transition.source_time or transition.receive_time or found.received_at
    states: dict[str, int] = {}
    if not state.active:
        states["cleared"] = found.returned_at or changed
    if state.acked:
        by = found.view.acked_by
        states["acknowledged"] = HybridTime.parse(by.hlc).ms if by else changed
    if state.shelf != "U":
        states["shelved"] = changed
    if state.suppressed or state.out_of_service:
        states["suppressed"] = changed
    return states


def united(own: Mapping[str, int], joined: Mapping[str, int | None] | None) -> dict[str, int]:
    """What a run's own alarm and all that joined it are: since the last of them is."""
    if joined is None:
        return dict(own)
    found: dict[str, int] = {}
    for word, since in own.items():
        theirs = joined.get(word)
        if theirs is not None:
            found[word] = max(since, theirs)
    return found
