"""Several strands of steps at once: which may begin, when enough have ended, which are stopped.

Called by `parallel` and `for_each`. What is decided by the journal alone is decided first: no
strand that is to stop begins anything, whenever the engine was killed. What is decided anew keeps
the strands that decided it and drops what the others would have begun in the same look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.playbook.journal import Advance
from shared.playbook.walk import Walk
from shared.playbook.walk_past import State, Strand
from shared.playbook.walk_state import Failed, MismatchError, Stopped


@dataclass(slots=True)
class _Result:
    strand: Strand
    state: State
    asked: Advance
    fault: Failed | Stopped | None = None


def together(walk: Walk, strands: Sequence[Strand], need: int, at_once: int) -> bool:
    """Go on with strands; True when `need` of them have ended well and the others rest."""
    states: list[State] = [walk.peek_all(steps, base) for _, steps, base in strands]
    reason = _decision(states, need)
    results: list[_Result] = []
    free = at_once - sum(state == "open" for state in states)
    for strand, state in zip(strands, states, strict=True):
        going = state in ("open", "idle")
        if going and (reason or (state == "idle" and free <= 0)):
            results.append(_Result(strand, state, Advance()))
            continue
        result = _walked(walk, strand)
        free -= state == "idle" and result.state == "open"
        if going and not reason and result.state != "open":
            states[len(results)] = result.state
            reason = _decision(states, need)
        results.append(result)
    if not reason:
        for result in results:
            _keep(walk, result)
        return False
    return _stop(walk, results, states, reason)


def _decision(states: Sequence[State], need: int) -> str:
    """Why strands that go on are stopped; empty while none need be."""
    if "stopped" in states:
        return "stopped"
    if sum(state == "ended" for state in states) >= need:
        return "not_needed"
    lost = sum(state == "failed" for state in states)
    return "block_failed" if len(states) - lost < need else ""


def _walked(walk: Walk, strand: Strand) -> _Result:
    """Walk one strand; what it asks for is kept apart until it is known to go on."""
    scope, steps, base = strand
    before, walk.next = walk.next, Advance()
    fault: Failed | Stopped | None = None
    try:
        with walk.inside(scope):
            state: State = "ended" if walk.sequence(steps, base) else "open"
    except Failed as failure:
        state, fault = "failed", failure
    except Stopped as stop:
        state, fault = "stopped", stop
    finally:
        asked, walk.next = walk.next, before
    return _Result(strand, state, asked, fault)


def _keep(walk: Walk, result: _Result) -> None:
    into, asked = walk.next, result.asked
    into.effects += asked.effects
    into.asks += asked.asks
    into.watch |= asked.watch
    if asked.wake_at is not None:
        walk.wake(asked.wake_at)
    walk.join(result.strand[0])


def _stop(walk: Walk, results: Sequence[_Result], states: Sequence[State], reason: str) -> bool:
    """First what has decided is journalled, then the others come to rest."""
    going: list[Strand] = []
    fault: Failed | Stopped | None = None
    for result, state in zip(results, states, strict=True):
        if state in ("open", "idle"):
            scope, steps, base = result.strand
            for name in list(scope.own):  # what it would have done next is not done
                del scope.steps[name], scope.own[name]
            going.append((scope, steps, base))
            continue
        _keep(walk, result)
        if fault is None or (isinstance(result.fault, Stopped) and isinstance(fault, Failed)):
            fault = result.fault or fault
    if not walk.halt(reason, going):
        return False
    if reason == "not_needed":
        return True
    if fault is None:
        raise MismatchError(results[0].strand[2])
    raise fault
