"""What a message knows of an alarm: stored with it, worded when it is sent. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from factory_brain.application.notify.ports import Message
from factory_brain.domain.rows import Occurrence
from shared.alarm.definition import Words
from shared.site.site import Site


def alarm_facts(site: Site, occurrence: Occurrence) -> dict[str, Any]:
    """Value, limit, unit, place and what is to be done."""
    transition = occurrence.transition
    definition = site.alarms.get(occurrence.alarm)
    names = _words(definition.name) if definition else dict(transition.names)
    place = [site.assets.name(each) for each in site.assets.path(transition.asset)[1:]]
    facts: dict[str, Any] = {
        "name": names or {"zh": occurrence.alarm, "en": occurrence.alarm},
        "alarm": occurrence.alarm, "occurrence": occurrence.occurrence,
        "priority": transition.priority, "value": transition.value, "limit": transition.limit,
        "unit": transition.unit, "asset": transition.asset, "tag": transition.tag,
        "place": [{"zh": each.zh, "en": each.en} for each in place if each is not None],
        "raised_at": occurrence.raised_at,
    }  # fmt: skip
    if definition is not None:
        facts["action"] = _words(definition.response.action)
        facts["contact"] = _words(definition.response.contact)
    return facts


def _words(words: Words | None) -> dict[str, str]:
    return {"zh": words.zh, "en": words.en} if words else {}


def summary_facts(members: Sequence[Message], standing: set[str], top: int) -> dict[str, Any]:
    """Counts, and the worst ones by name; `standing` are occurrences that are still there."""
    counts: dict[str, int] = {}
    for each in members:
        counts[str(each.priority)] = counts.get(str(each.priority), 0) + 1
    worst = sorted(members, key=lambda m: (m.occurrence not in standing, m.priority, m.at))
    shown = [
        {
            "name": each.facts.get("name", {}), "priority": each.priority,
            "value": each.facts.get("value"), "unit": each.facts.get("unit"),
            "asset": each.facts.get("asset"), "standing": each.occurrence in standing,
        }
        for each in worst[:top]
    ]  # fmt: skip
    return {
        "total": len(members), "by_priority": counts, "top": shown,
        "reasons": sorted({each.reason for each in members}),
    }  # fmt: skip
