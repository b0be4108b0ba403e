"""The released triggers by what they answer: events are looked up before any expression. Pure.

Built anew whenever a playbook is released or the site's binding changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shared.playbook.model import Playbook
from shared.playbook.triggers import Trigger


@dataclass(frozen=True, slots=True)
class Entry:
    """One trigger of one released playbook."""

    book: Playbook
    digest: str
    trigger: Trigger


@dataclass(frozen=True, slots=True)
class Index:
    """The triggers by what they answer."""

    alarms: dict[str, list[Entry]] = field(default_factory=dict)
    incidents: list[Entry] = field(default_factory=list)
    events: dict[str, list[Entry]] = field(default_factory=dict)
    crons: list[Entry] = field(default_factory=list)
    by_name: dict[tuple[str, str], Entry] = field(default_factory=dict)
    """(playbook, trigger's id) -> it."""

    @classmethod
    def of(cls, released: Iterable[tuple[Playbook, str]], codes: Mapping[str, list[str]]) -> Index:
        """The index of these documents, each with its digest."""
        index = cls()
        for book, digest in released:
            for trigger in book.triggers:
                index._add(Entry(book, digest, trigger), codes)
        return index

    def _add(self, entry: Entry, codes: Mapping[str, list[str]]) -> None:
        trigger = entry.trigger
        self.by_name[entry.book.playbook, trigger.id] = entry
        if trigger.alarm is not None:
            for alarm in alarms_of(trigger.alarm, codes):
                self.alarms.setdefault(alarm, []).append(entry)
        elif trigger.event is not None:
            self.events.setdefault(trigger.event, []).append(entry)
        elif trigger.incident is not None:
            self.incidents.append(entry)
        elif trigger.cron is not None:
            self.crons.append(entry)


def alarms_of(name: str, codes: Mapping[str, list[str]]) -> list[str]:
    """The alarms that a trigger's word stands for: a code's, or the one of that name."""
    return list(dict.fromkeys(codes.get(name, [name])))
