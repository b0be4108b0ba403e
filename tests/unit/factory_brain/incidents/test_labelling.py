"""Labels of closed incidents: one that can never be given keeps no other waiting for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from factory_brain.application.incidents.desk import MAX_TRIES, Labelling
from factory_brain.application.incidents.ports import IncidentReads, ToLabel
from factory_brain.application.outcomes import Outcomes


class Waiting:
    """What is to be labelled, in the order of names as the store gives it."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)

    @asynccontextmanager
    async def to_label(
        self, limit: int, without: Sequence[str] = ()
    ) -> AsyncIterator[list[ToLabel]]:
        found = [n for n in sorted(self.names) if n not in without][:limit]
        yield [ToLabel(name, "real", "wear", "li") for name in found]
        self.names = [n for n in self.names if n not in found]


class Labels:
    """Breaks at one occurrence."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self.mended = False

    async def label(self, name: str, label: str, cause: str, comment: str, actor: str) -> None:
        if name == "bad" and not self.mended:
            raise ValueError("never")
        self.given.append(name)


async def test_a_label_that_can_never_be_given_is_set_aside() -> None:
    waiting, labels = Waiting("bad", "a", "x", "y"), Labels()
    labelling = Labelling(cast(IncidentReads, waiting), cast(Outcomes, labels))
    for _ in range(MAX_TRIES):
        with pytest.raises(ValueError, match="never"):
            await labelling.some()
    assert await labelling.some() == 2
    assert labels.given == ["a", "x", "y"]
    assert (labelling.aside, waiting.names) == (["bad"], ["bad"])


async def test_a_passing_fault_sets_nothing_aside() -> None:
    waiting, labels = Waiting("bad"), Labels()
    labelling = Labelling(cast(IncidentReads, waiting), cast(Outcomes, labels))
    with pytest.raises(ValueError, match="never"):
        await labelling.some()
    labels.mended = True
    assert await labelling.some() == 1
    assert (labels.given, labelling.aside) == (["bad"], [])
