"""What becomes of a firing when runs of the same key have not ended: one decision. Pure.

The four modes of `concurrency`; who asks holds the lock under which the answer is carried out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.playbook.journal import CANCEL, ERROR, LEAVE, OUTCOME
from shared.playbook.triggers import Concurrency

ENDING = (LEAVE, CANCEL, ERROR, OUTCOME)
"""A run with a record at one of these is ending: it answers nothing new."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """What to do with one firing."""

    outcome: Literal["started", "queued", "attached", "ignored"]
    join: str | None = None
    """The run that it joins."""
    cancel: tuple[str, ...] = ()
    """Live runs that are told to end."""
    drop: tuple[str, ...] = ()
    """Queued runs that this one takes the place of."""


def decide(
    rule: Concurrency, live: Sequence[str], queued: Sequence[str], ending: Collection[str] = ()
) -> Overlap:
    """Weigh a firing against the live and the queued runs of its key, oldest first.

    `ending`: those of the live ones that only undo, clean up or wait for their last answers.
    """
    if not live and not queued:
        return Overlap("started")
    if rule.mode == "restart":
        return Overlap("queued", cancel=tuple(live), drop=tuple(queued))
    if rule.mode == "queued" and len(live) + len(queued) < rule.max:
        return Overlap("queued")
    if rule.mode == "parallel" and not queued and len(live) < rule.max:
        return Overlap("started")
    if rule.on_conflict == "ignore":
        return Overlap("ignored")
    staying = [run for run in live if run not in ending]
    if staying or queued:
        return Overlap("attached", join=staying[-1] if staying else queued[0])
    return Overlap("queued")  # who is ending answers nothing new: it begins behind that


def may_start(rule: Concurrency, live: int) -> bool:
    """Whether the next queued run of a key may begin."""
    return live < (rule.max if rule.mode == "parallel" else 1)
