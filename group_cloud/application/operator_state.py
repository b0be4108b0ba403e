"""One occurrence as the group sees it: folded from what came up, by the same fold as everywhere.

The group shows it; it says nothing itself about whether a condition is present.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from group_cloud.domain.scope import Scope
from shared.alarm.occurrence import OccurrenceView, fold_events
from shared.web.dto_desk import OperatorState


class Told(Protocol):
    """What came up about occurrences."""

    async def bodies(self, scope: Scope, site: str, occurrence: str) -> list[Any]:
        """All that a factory has told of one of its occurrences."""
        ...


class OperatorStates:
    """Answers for single occurrences."""

    def __init__(self, told: Told) -> None:
        self._told = told

    async def view(self, scope: Scope, site: str, occurrence: str) -> OccurrenceView | None:
        """The folded view; None if nothing came up of it that the scope may see."""
        return fold_events(await self._told.bodies(scope, site, occurrence))

    async def as_dto(self, scope: Scope, site: str, occurrence: str) -> OperatorState | None:
        """The same for the console."""
        view = await self.view(scope, site, occurrence)
        if view is None:
            return None
        plain = msgspec.to_builtins(view)
        return OperatorState.model_validate(
            {**plain, "site": site, "state": view.state.name, "isa": view.state.letter,
             "active": view.state.active, "acked": view.state.acked}
        )  # fmt: skip
