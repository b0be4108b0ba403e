"""What an effect is as a row of the journal: as it is told, tried again, or cannot be stored.

Called by `drive.py` before it commits; pure, decides nothing about the run.
"""

from __future__ import annotations

from typing import Any

from shared.playbook.journal import Effect
from shared.playbook.model import CommandSpec, Step

TOLD = ("reason", "params", "before", "readback")
"""What an edge tells of a command beside how it ended."""


def command_of(effect: Effect) -> CommandSpec:
    """What a command's step says, or what is said of undoing it."""
    step: Step | None = effect.step
    assert step is not None
    undo = effect.path.endswith("/compensate") and step.compensate is not None
    spec = step.compensate.command if undo and step.compensate else step.command
    assert spec is not None
    return spec


def in_phase(effect: Effect, phase: Any, attempt: int | None = None) -> Effect:
    """Its row in another phase."""
    return Effect(
        "settle", effect.path, effect.step, phase, effect.data,
        effect.attempt if attempt is None else attempt, effect.book,
    )  # fmt: skip


def unstorable(effect: Effect, reason: str) -> Effect:
    """What is journalled instead; a command that was sent keeps its end, without what was told."""
    if "expires_at" in effect.data and effect.phase != "intent":
        kept = {name: value for name, value in effect.data.items() if name not in TOLD}
        return Effect(
            "settle", effect.path, effect.step, effect.phase, {**kept, "unstorable": reason},
            effect.attempt, effect.book,
        )  # fmt: skip
    data = {"kind": "unstorable", "reason": reason}
    return Effect("settle", effect.path, effect.step, "failed", data, effect.attempt, effect.book)


def told(effect: Effect) -> Effect:
    """What is done by its own row in the commit is done; an awaited webhook is begun."""
    phase = effect.phase
    if effect.kind in ("notify", "emit", "incident"):
        phase = "done"
    elif effect.kind == "webhook":
        phase = "done" if effect.data.get("detach") else "intent"
    elif effect.kind == "await":
        phase = "intent"
    return Effect(
        effect.kind, effect.path, effect.step, phase, effect.data, effect.attempt, effect.book
    )
