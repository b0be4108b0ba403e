"""Rounds over many factories, and learners' states that cannot be read: neither stops the others.

Used by what watches and learns factory by factory; it learns and keeps nothing itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from shared.errors import AndonError
from shared.telemetry import Logger

Item = TypeVar("Item")


class UnreadableStateError(AndonError):
    """A learner's stored state is of another form, or broken: it is begun anew."""


async def each_alone(
    items: Iterable[Item], act: Callable[[Item], Awaitable[object]], log: Logger, event: str
) -> int:
    """Act on each; what fails is told and tried again next round. Returns how many failed."""
    failed = 0
    for item in items:
        try:
            await act(item)
        except Exception as error:  # of one factory, whatever it is: the others go on
            failed += 1
            log.exception(event, item=str(item), error=repr(error))
    return failed
