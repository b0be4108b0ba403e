"""Every step of a playbook with its journal path and its place in the text. Pure.

Used to check what a test names, to give answers before they are asked, and to count coverage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.playbook.model import Playbook, Step

ALONE = "/offline"
"""Path of the part that an edge runs alone."""
ROUND = "*"
"""Stands for the number of a round in the path of a step inside a loop."""


@dataclass(frozen=True, slots=True)
class Place:
    """One step."""

    path: str
    at: tuple[str | int, ...]
    """Keys that lead to it in the document."""
    step: Step

    def meets(self, path: str) -> bool:
        """Whether a journal path is this step's."""
        pattern = re.escape(self.path).replace(re.escape(ROUND), r"\d+")
        return re.fullmatch(pattern, path) is not None


def places(book: Playbook) -> list[Place]:
    """All steps, in the order of the text; those that an edge runs alone last."""
    found = list(_block(book.steps, "/steps", ("steps",)))
    for index, handler in enumerate(book.catch):
        found += _block(handler.steps, f"/catch/{index}", ("catch", index, "steps"))
    found += _block(book.finally_, "/finally", ("finally",))
    alone = book.offline.steps if book.offline is not None else []
    return [*found, *_block(alone, ALONE, ("offline", "steps"))]


def _block(steps: list[Step], base: str, at: tuple[str | int, ...]) -> Iterator[Place]:
    for index, step in enumerate(steps):
        path, here = f"{base}/{step.id}", (*at, index)
        yield Place(path, here, step)
        loop = step.verb in ("for_each", "repeat")
        for below, part, block in step.blocks():
            inner = f"{path}/{ROUND}" if loop else f"{path}/{part}"
            yield from _block(block, inner, (*here, *below))
