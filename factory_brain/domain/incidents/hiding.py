"""Which standing alarms are shown behind a parent, and which are not to be hidden. Pure.

What has returned is never hidden: a recovery is news. When the parent ends, or is itself not to be
seen, its children come back. It concerns the grouped list and notifications; no horn is silenced.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from factory_brain.domain.incidents.seen import Hiding, Rules, Seen


@dataclass(frozen=True, slots=True)
class Behind:
    """What an alarm is hidden behind, and by which rule."""

    alarm: str
    occurrence: str
    rule: str
    kind: str
    """parent or inhibit."""


def hidden_behind(standing: Iterable[Seen], rules: Rules) -> dict[str, Behind]:
    """occurrence -> what hides it; of all that may, the one that was raised first.

    At the end of every chain is an alarm that is seen: nothing is hidden behind what it hides.
    """
    if not rules.hiding:
        return {}
    # Nothing stands in front of others that is not itself present and in the operators' list.
    standing = sorted((each for each in standing if each.active), key=lambda each: each.order)
    above: dict[tuple[int, str], list[Seen]] = {}
    for index, rule in enumerate(rules.hiding):
        for each in standing:
            if each.alarm in rule.above and not each.hidden:
                above.setdefault((index, rules.place(each.asset, rule.equal)), []).append(each)
    found: dict[str, Behind] = {}
    for child in standing:
        candidates: list[tuple[Seen, Hiding]] = []
        for index, rule in enumerate(rules.hiding):
            if child.alarm in rule.below:
                where = rules.place(child.asset, rule.equal)
                candidates += [(each, rule) for each in above.get((index, where), ())]
        for parent, rule in sorted(candidates, key=lambda pair: pair[0].order):
            if parent.alarm != child.alarm and not _leads_to(parent.occurrence, child, found):
                found[child.occurrence] = Behind(
                    parent.alarm, parent.occurrence, rule.id, rule.kind
                )
                break
    return found


def _leads_to(occurrence: str, child: Seen, found: dict[str, Behind]) -> bool:
    """Whether what would hide the child is itself hidden behind it."""
    here: str | None = occurrence
    while here is not None:
        if here == child.occurrence:
            return True
        behind = found.get(here)
        here = behind.occurrence if behind else None
    return False
