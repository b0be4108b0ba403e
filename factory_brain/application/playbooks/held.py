"""A run in hand: its documents, its devices and its journal, kept in memory under the lease.

Made by the engine when it claims a run, used by `drive.py`. What is added to the journal here is
committed by the driver before anything acts on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from factory_brain.application.playbooks.ports import Known, RunRecord, TagSource
from shared.expression import StaticEnvironment
from shared.playbook.binding import bound_devices, logical_tags, read_tags
from shared.playbook.journal import Context, Effect, Record, noted
from shared.playbook.model import Playbook
from shared.playbook.rehearsal.pace import paced, scale_of
from shared.site.model import DeviceSpec


@dataclass(frozen=True, slots=True)
class Document:
    """A released playbook with what is found in its text once."""

    book: Playbook
    tags: frozenset[str]
    """Logical tags that its conditions may read."""
    peaks: bool
    """Whether it asks for the highest values since the run began."""

    @classmethod
    def of(cls, book: Playbook) -> Document:
        """What a playbook's text says."""
        text = book.model_dump_json(by_alias=True)
        return cls(book, frozenset(read_tags(book)), "run.peaks" in text)

    def at_pace(self, context: Mapping[str, Any]) -> Document:
        """As a run goes by it: a drill's own waiting may pass faster."""
        scale = scale_of(context)
        return self if scale == 1.0 else replace(self, book=paced(self.book, scale))


@dataclass(slots=True)
class Bound:
    """What a playbook's logical names mean for this run's alarm."""

    devices: dict[str, str]
    tags: dict[str, str]

    @classmethod
    def of(
        cls, book: Playbook, alarm: Mapping[str, Any], devices: Mapping[str, DeviceSpec]
    ) -> Bound:
        """Bind one document."""
        bound = bound_devices(book, alarm, devices)
        return cls(bound, logical_tags(bound, devices))


@dataclass(slots=True)
class Held:
    """One run with everything that an advance needs."""

    run: RunRecord
    document: Document
    called: Mapping[str, Document]
    known: Known
    devices: Mapping[str, DeviceSpec]
    watched_since: int = 0
    resume_ask: Mapping[str, Any] | None = None
    alarm_states: Mapping[str, int] = field(default_factory=dict)
    poked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when something is known that may matter."""
    stale: bool = False
    """There is news that `known` does not hold."""
    leaving: bool = False
    """It is being given back by a commit that is under way, or was just done."""
    pending: list[Effect] = field(default_factory=list)
    """In the journal here and not committed yet."""
    saw: dict[str, tuple[object, bool]] = field(default_factory=dict)
    """The site's tags as they were when it looked last: (value, good)."""
    bound: dict[str, Bound] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """Every logical tag -> the site's tag; where two playbooks differ the run's own counts."""

    def __post_init__(self) -> None:
        alarm = self.run.context["alarm"]
        for name, document in self.called.items():
            self.bound[name] = Bound.of(document.book, alarm, self.devices)
            self.names.update(self.bound[name].tags)
        self.bound[""] = Bound.of(self.document.book, alarm, self.devices)
        self.names.update(self.bound[""].tags)

    @property
    def book(self) -> Playbook:
        """The run's own document."""
        return self.document.book

    @property
    def journal(self) -> dict[str, Record]:
        """Newest record of every path, those that are not committed included."""
        return self.known.journal

    def note(self, effects: Sequence[Effect], now: int) -> None:
        """Add to the journal; `pending` until committed."""
        for effect in effects:
            place = self.known.n + len(self.pending) + 1
            record = Record(effect.phase, now, effect.data, effect.attempt, n=place)
            noted(self.journal, effect.path, record)
            self.pending.append(effect)

    def committed(self, number: int) -> None:
        """The oldest of what was pending are stored."""
        known = self.known
        self.known = Known(
            known.journal, known.n + number, known.answers, known.control, known.news
        )
        del self.pending[:number]

    def skip(self) -> None:
        """A number was used by a row of its own."""
        known = self.known
        self.known = Known(known.journal, known.n + 1, known.answers, known.control, known.news)

    def bound_of(self, effect: Effect) -> Bound:
        """The bindings of the document that an effect comes from."""
        return self.bound.get(effect.book, self.bound[""])

    def site_tags(self, logical: Sequence[str] | frozenset[str]) -> list[str]:
        """The site's tags of logical ones."""
        return sorted({self.names[name] for name in logical if name in self.names})

    async def context(self, tags: TagSource, now: int) -> Context:
        """What the expressions see now."""
        run = self.run
        wanted = {
            name: self.names[name]
            for document in (self.document, *self.called.values())
            for name in document.tags if name in self.names
        }  # fmt: skip
        readings = await tags.readings(sorted(set(wanted.values()))) if wanted else {}
        self.saw = {tag: (one.value, one.good) for tag, one in readings.items()}
        seen = {name: readings[tag] for name, tag in wanted.items() if tag in readings}
        context = run.context
        about = {
            "id": run.id, "started_by": context.get("started_by", ""),
            "elapsed_s": (now - run.started_at) / 1000 * scale_of(context),
            "drill": bool(context.get("drill", False)),
            "incident": str(context.get("incident", "")),
        }  # fmt: skip
        if self.document.peaks:
            highest = await tags.peaks(sorted(set(self.names.values())), run.started_at)
            about["peaks"] = {n: highest[t] for n, t in self.names.items() if t in highest}
        return Context(
            alarm=context["alarm"], inputs=context["inputs"], site=context["site"], run=about,
            tags=StaticEnvironment(tags=seen), answers=self.known.answers,
            deadline_at=run.deadline_at, alarm_states=self.alarm_states,
            control=self.known.control,
            books={name: document.book for name, document in self.called.items()},
            resume_ask=self.resume_ask, watched_since=self.watched_since,
        )  # fmt: skip
