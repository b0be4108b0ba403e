"""Which alarm of an incident came first, told only as far as the clocks allow. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from factory_brain.domain.incidents.seen import Rules, Seen

FirstOut = Literal["", "first", "tie"]


def undecided(one: Seen, other: Seen, rules: Rules) -> bool:
    """Whether nobody can say which of the two came first."""
    apart = abs(one.at - other.at)
    return apart == 0 or apart < _unsure(one, other, rules) + _unsure(other, one, rules)


def _unsure(seen: Seen, other: Seen, rules: Rules) -> int:
    if seen.uncertainty is not None:
        return seen.uncertainty
    # One clock that is off is off for both: only against another edge's it says nothing.
    return 0 if seen.edge == other.edge else rules.unknown_clock


def first_out(members: Iterable[Seen], rules: Rules) -> dict[str, FirstOut]:
    """occurrence -> its mark; all that may have been the first are marked `tie`.

    An alarm by itself is no first: there is nothing that it came before.
    """
    ordered = sorted(members, key=lambda each: each.order)
    if len(ordered) < 2:
        return {}
    first = ordered[0]
    same = [each for each in ordered if each is first or undecided(first, each, rules)]
    mark: FirstOut = "first" if len(same) == 1 else "tie"
    return {each.occurrence: mark for each in same}
