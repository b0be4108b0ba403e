"""Who may be a source of limits: only what stays as it is while nobody says anything.

Called before a learner's limits are used. A source that adapts to unlabelled data absorbs the very
fault it should announce, so it is refused whatever its figures.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from group_cloud.learning.contract import UnlabelledError


class LimitSource(Protocol):
    """Anything that learns and then says at which limits alarms should stand."""

    def learn_one(self, x: Any, y: Any) -> Any:
        """Take one thing and what people said of it; None if nobody did."""
        ...

    def limits(self) -> Mapping[str, Any]:
        """The limits it would have now."""
        ...


def admit(source: LimitSource, unlabelled: Iterable[Any]) -> None:
    """Raises UnlabelledError if the source's limits move by what nobody has judged.

    It is tried on a copy: the source itself learns nothing here.
    """
    tried = copy.deepcopy(source)
    before = dict(tried.limits())
    for x in unlabelled:
        try:
            tried.learn_one(x, None)
        except UnlabelledError:
            continue
    moved = [name for name, limit in tried.limits().items() if before.get(name) != limit]
    if moved:
        raise UnlabelledError(f"limits that move by themselves: {', '.join(sorted(moved))}")
