"""The run of a playbook, as a pure function of its document and its journal.

`advance` walks the tree, skips every path that the journal has settled, and returns what to do
next. Paths in the YAML, not call order, name the steps: a killed run resumes wherever it was, also
inside `parallel`. It reads no clock, sends nothing and stores nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.playbook import (
    walk_asks,
    walk_blocks,
    walk_calls,
    walk_effects,
    walk_loops,
    walk_undo,
    walk_waits,
)
from shared.playbook.journal import (
    ROOTS,
    SETTLED,
    Advance,
    Context,
    Effect,
    Phase,
    Record,
    noted,
)
from shared.playbook.model import Playbook
from shared.playbook.walk import Verb
from shared.playbook.walk_past import Parts
from shared.playbook.walk_run import Run

__all__ = [
    "ROOTS", "SEMANTICS", "SETTLED", "Advance", "Context", "Effect", "Phase", "Record", "advance",
    "noted",
]  # fmt: skip
SEMANTICS = 1
"""What a run's journal means; a change that reads old journals differently makes a new number."""
_VERBS: Mapping[str, Verb] = {
    "notify": walk_effects.notify, "http": walk_effects.http, "webhook": walk_effects.webhook,
    "emit": walk_effects.emit, "command": walk_effects.command, "ask": walk_asks.ask,
    "wait": walk_waits.wait, "wait_until": walk_waits.wait_until, "set": walk_effects.set_values,
    "set_incident": walk_effects.set_incident, "switch": walk_blocks.switch,
    "parallel": walk_blocks.parallel, "for_each": walk_loops.for_each,
    "repeat": walk_loops.repeat, "call": walk_calls.call, "try": walk_blocks.try_,
    "log": walk_effects.log, "stop": walk_effects.stop, "fail": walk_effects.fail,
    "compensate_all": walk_undo.compensate_all,
}  # fmt: skip
_PARTS: Mapping[str, Parts] = {
    "switch": walk_blocks.switch_parts, "parallel": walk_blocks.parallel_parts,
    "for_each": walk_loops.for_each_parts, "repeat": walk_loops.repeat_parts,
    "try": walk_blocks.try_parts, "call": walk_calls.call_parts,
}  # fmt: skip


def advance(
    document: Playbook, journal: Mapping[str, Record], context: Context, now: int
) -> Advance:
    """What the run needs next; the same journal always gives the same answer."""
    return Run(document, journal, context, now, _VERBS, _PARTS).look()
