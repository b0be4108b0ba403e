"""The offline fragment of a playbook: what an edge runs alone, and how the brain adopts it.

The edge runs the same interpreter over the fragment's steps; its journal travels up as events and
becomes part of the run's journal, under paths of its own. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shared.playbook.journal import OUTCOME, Record
from shared.playbook.model import Outcome, Playbook, Step

ROOT = "/offline"
"""Path of the fragment as a whole: its end. Its steps are below it."""
ADOPT_MS = 60_000
"""How long the brain waits for the next word of a fragment that has not said that it ended."""
VERBS = frozenset(
    {"command", "wait", "wait_until", "set", "switch", "parallel", "for_each", "repeat", "try",
     "log", "stop", "fail"}
)  # fmt: skip
"""What may stand in a fragment: nothing that needs people, the outside or the brain."""
HANDED_OVER = "handed_over"
RESUMED = "resumed"
"""The brain was away again while the alarm stood: the edge goes on where it had handed over."""
HEARD = "heard_at"
"""When the brain heard of a step, by its own clock: what an edge stored long ago comes at once."""


def document(book: Playbook) -> Playbook | None:
    """The fragment as a document of its own; None if the playbook has none."""
    if book.offline is None:
        return None
    return book.model_copy(
        update={
            "steps": book.offline.steps, "catch": [], "finally_": [], "offline": None,
            "outcome": Outcome(),
        }
    )  # fmt: skip


def told_as(path: str) -> str | None:
    """The brain's path for one of the edge's own; None for what concerns the edge alone."""
    if path == OUTCOME:
        return ROOT
    return ROOT + path.removeprefix("/steps") if path.startswith("/steps/") else None


def seen(journal: Mapping[str, Record]) -> tuple[bool, int]:
    """Whether no fragment runs any more, and until when to wait for one that may."""
    words = [
        int(record.data.get(HEARD, record.at))
        for path, record in journal.items() if path == ROOT or path.startswith(f"{ROOT}/")
    ]  # fmt: skip
    over = journal.get(ROOT)
    if not words or (over is not None and over.phase != "intent"):
        return True, 0
    return False, max(words) + ADOPT_MS


def settled(book: Playbook, journal: Mapping[str, Record]) -> Iterator[tuple[Step, Record]]:
    """The steps of the fragment that have ended, with their records."""
    if book.offline is None:
        return
    steps = {step.id: step for step in book.all_steps()}
    for path, record in journal.items():
        if not path.startswith(f"{ROOT}/") or record.phase in ("intent", "unknown"):
            continue
        step = steps.get(path.rpartition("/")[2])
        if step is not None:
            yield step, record
