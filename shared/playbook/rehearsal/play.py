"""Plays one test on a virtual clock: the timeline, the plant, the triggers, the runs, the faults.

Called with a test and its playbook; gives what happened. Opens no socket and reads no clock.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.playbook.journal import Asking
from shared.playbook.model import Playbook
from shared.playbook.overlap import decide, may_start
from shared.playbook.rehearsal.alone import Alone
from shared.playbook.rehearsal.document import Case, Defaults, Event, Given, Mocks
from shared.playbook.rehearsal.places import places
from shared.playbook.rehearsal.plant import Plant
from shared.playbook.rehearsal.receivers import Receivers
from shared.playbook.rehearsal.stage import BrainKilledError, RestlessError, Stage, World
from shared.playbook.rehearsal.starts import STATES, Firing, Starts
from shared.playbook.rehearsal.told import RunTold, Told
from shared.playbook.site_inputs import given as inputs_given
from shared.site.model import DeviceSpec

BEGIN = 1_750_000_000_000
"""The virtual time at which every test begins (2025-06-15 15:06:40 UTC)."""
MOST_LOOKS = 100_000


@dataclass(frozen=True, slots=True)
class Cast:
    """The playbook that is rehearsed, with those it calls and the site's side of it."""

    book: Playbook
    books: Mapping[str, Playbook] = field(default_factory=dict)
    devices: Mapping[str, DeviceSpec] | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    site: Mapping[str, Any] = field(default_factory=dict)


def given_of(defaults: Defaults, case: Case) -> tuple[Given, Mocks]:
    """What a test begins with: the defaults, overruled key by key."""
    one, two = defaults.given, case.given
    found = Given(
        alarm={**one.alarm, **two.alarm}, tags={**one.tags, **two.tags},
        inputs={**one.inputs, **two.inputs}, site={**one.site, **two.site},
        drill=two.drill or one.drill,
    )  # fmt: skip
    return found, {**defaults.mocks, **case.mocks}


def play(cast: Cast, defaults: Defaults, case: Case) -> Told:
    """Play one test to its end."""
    return Play(cast, defaults, case).run()


class Play:
    """One test being played."""

    def __init__(self, cast: Cast, defaults: Defaults, case: Case) -> None:
        given, mocks = given_of(defaults, case)
        self.cast, self.given, self.now = cast, given, BEGIN
        self.told = Told(BEGIN)
        plant = Plant(given.tags, BEGIN)
        receivers = Receivers(plant, mocks, self.told, BEGIN)
        self.world = World(
            cast.book, cast.books, plant, receivers, self.told, BEGIN, list(case.faults),
            cast.devices,
        )  # fmt: skip
        self.inputs = {**inputs_given(cast.book, cast.inputs), **given.inputs}
        self.starts = Starts(cast.book, self.inputs, given.alarm)
        self.alone = Alone(self.world, self.inputs)
        self.stages: list[Stage] = []
        self.queued: list[Stage] = []
        self.up_at, self.killed_at = BEGIN, BEGIN
        self.busy: set[str] = set()
        """Runs that were at work when the brain was killed."""
        self.timeline, self.answers = _in_order(case.when)
        self.paths = {place.step.id: place.path for place in places(cast.book)}

    def run(self) -> Told:
        """Play to the end."""
        for _ in range(MOST_LOOKS):
            try:
                self._moment()
            except BrainKilledError as killed:
                self._kill(killed.down)
            except RestlessError:
                self.told.broken = "restless"
                break
            later = self._next()
            if later is None:
                break
            self.now = max(later, self.now)
        else:
            self.told.broken = "too_long"
        self.told.throttled = self.starts.throttled
        self.told.unused = [place for place, _ in (*self.timeline, *self.answers)]
        return self.told

    # one moment

    def _moment(self) -> None:
        while self.timeline and (self.timeline[0][1].at or 0) + BEGIN <= self.now:
            self._happen(self.timeline.pop(0)[1])
        self.world.receivers.tend(self.now)
        linked = self.world.plant.linked(self.now)
        self.alone.work(self.now, away=not linked or self.now < self.up_at)
        if self.now < self.up_at:
            return
        if linked:
            self._adopt()
        if self.killed_at < self.up_at <= self.now:
            self._come_back()
        while True:
            for firing in self.starts.due(self.now):
                self._start(firing)
            self._work()
            if not (self._answer() or self._pump()):
                break

    def _adopt(self) -> None:
        """The brain hears what the edge did alone."""
        for stage in self.stages:
            stage.adopt(self.alone.news(stage.name), self.now)

    def _work(self) -> None:
        for stage in self.stages:
            while True:
                if stage.live:
                    stage.work(self.now)
                if not stage.post.deliver(self.now) or not stage.live:
                    break

    def _next(self) -> int | None:
        """When something happens next; None when nothing does any more."""
        times: list[int | None] = [self.world.receivers.next_at(), self.alone.next_at()]
        if not self.world.plant.linked(self.now):
            times.append(self.world.plant.link_down_until)
        times += [BEGIN + (event.at or 0) for _, event in self.timeline[:1]]
        if self.now < self.up_at:
            times.append(self.up_at)
        else:
            times += [stage.next_at() for stage in self.stages]
            times += [self.starts.next_at(), self._next_answer()]
        known = [at for at in times if at is not None]
        if not known:
            return None
        # A look at the same moment again would find the same.
        return max(min(known), self.now + 1)

    # what happens

    def _happen(self, event: Event) -> None:
        kind, now = event.kind, self.now
        fired: list[str] = []
        if kind == "tag":
            self.world.plant.put(event.tag or {}, now)
        elif kind == "kill":
            self.world.note(now, "event", "kill", down=event.down)
            self._kill(event.down)
            return
        elif kind == "link":
            self.world.plant.cut(now, event.down)
        elif kind == "answer":
            self._answer_at(event)
            return
        elif kind in ("cancel", "suspend"):
            self._control(event)
        else:
            self._alarm_state(event)
            fired = self.starts.happened(event, now)
            self._stands(event)
        self.world.note(now, "event", kind, fired=fired, said=event)

    def _alarm_state(self, event: Event) -> None:
        kind = event.kind
        name = str(getattr(event, "raise_" if event.raise_ else kind))
        for stage in self.stages:
            if name != stage.name:
                continue
            if kind == "raise":
                stage.alarm_states.clear()
            elif kind in STATES:
                stage.alarm_states.setdefault(STATES[kind], self.now)

    def _stands(self, event: Event) -> None:
        """What the edge itself sees of its alarm."""
        name = str(getattr(event, "raise_" if event.raise_ else event.kind))
        if event.kind == "raise":
            self.alone.stands(name, self.starts.alarm_of(event, self.now), self.now)
        elif event.kind in ("clear", "shelve", "suppress"):
            self.alone.gone(name)

    def _control(self, event: Event) -> None:
        by = event.by.removeprefix("user:")
        for stage in self.stages:
            if not stage.live:
                continue
            if event.kind == "cancel":
                stage.control["cancel"] = {"by": by, "at": self.now, "reason": event.cancel,
                                           "compensate": event.compensate}  # fmt: skip
            elif event.suspend:
                stage.control["suspend"] = {"by": by, "at": self.now, "reason": ""}
            else:
                stage.control.pop("suspend", None)

    def _kill(self, down: int) -> None:
        self.busy |= {s.run.id for s in self.stages if s.live and s.flights.any()}
        self.killed_at, self.up_at = self.now, self.now + max(down, 1)
        for stage in self.stages:
            stage.killed()

    def _come_back(self) -> None:
        for stage in self.stages:
            stage.back(self.killed_at, self.now, stage.run.id in self.busy)
        self.world.note(self.now, "event", "brain_back")
        self.busy.clear()
        self.killed_at = self.up_at

    # answers

    def _answer(self) -> bool:
        """Give one answer whose question is open and whose time has come."""
        for place, (_, event) in enumerate(self.answers):
            found = self._open(event)
            if found is None:
                continue
            stage, ask = found
            if self.now >= stage.asked_at[ask.path] + event.after:
                del self.answers[place]
                self._give(stage, ask.path, event, ask)
                return True
        return False

    def _open(self, event: Event) -> tuple[Stage, Asking] | None:
        by = event.by.removeprefix("user:")
        for stage in self.stages:
            for ask in stage.asks if stage.live else ():
                votes = stage.answers.get(ask.path, {}).get("votes", ())
                if asks_for(ask, event.on) and all(vote["by"] != by for vote in votes):
                    return stage, ask
        return None

    def _next_answer(self) -> int | None:
        found = [(self._open(event), event) for _, event in self.answers]
        return min(
            (one[0].asked_at[one[1].path] + event.after for one, event in found if one),
            default=None,
        )

    def _answer_at(self, event: Event) -> None:
        """An answer at a time of its own, asked or not: one that comes too early still counts."""
        open_now = self._open(event)
        if open_now is not None:
            self._give(open_now[0], open_now[1].path, event, open_now[1])
            return
        path = self.paths.get(event.on or "", "")
        for stage in self.stages:
            if stage.live and path and path not in stage.run.began:
                self._give(stage, path, event, None)
                return
        self.world.note(self.now, "event", "answer_refused", said=event)

    def _give(self, stage: Stage, path: str, event: Event, ask: Asking | None) -> None:
        by = event.by.removeprefix("user:")
        denied = ask is not None and (event.by in ask.deny or by in ask.deny)
        wrong = ask is not None and event.answer not in ask.options
        if denied or wrong:
            self.world.note(self.now, "event", "answer_refused", said=event)
            return
        vote = {"answer": event.answer, "by": by}
        stage.answers.setdefault(path, {"votes": []})["votes"].append(vote)
        self.world.note(self.now, "event", "answer", said=event)

    # runs

    def _start(self, firing: Firing) -> None:
        alike = [s for s in self.stages if s.live and s.run.key == firing.key]
        waiting = [s for s in self.queued if s.run.key == firing.key]
        rule = self.cast.book.concurrency
        ending = {s.run.id for s in alike if s.ending}
        found = decide(rule, [s.run.id for s in alike], [s.run.id for s in waiting], ending)
        if found.outcome == "attached":
            self.told.attached += 1
            return
        if found.outcome == "ignored":
            self.told.ignored += 1
            return
        for stage in alike:
            if stage.run.id in found.cancel:
                why = {"by": "system", "at": self.now, "reason": "restarted"}
                stage.control.setdefault("cancel", why)
        self.queued = [s for s in self.queued if s.run.id not in found.drop]
        stage = self._stage(firing)
        if found.outcome == "queued":
            self.queued.append(stage)
        else:
            self._begin(stage)

    def _stage(self, firing: Firing) -> Stage:
        number = len(self.told.runs) + len(self.queued) + 1
        about = {"started_by": firing.by, "drill": self.given.drill}
        run = RunTold(f"run-{number}", self.now, firing.key)
        site = {"id": "test", "name": "test", **self.cast.site, **self.given.site}
        inputs = copy.deepcopy(self.inputs)
        return Stage(self.world, run, firing.alarm, inputs, site, about, firing.name)

    def _begin(self, stage: Stage) -> None:
        stage.run.started_at = stage.watched_since = self.now
        self.stages.append(stage)
        self.told.runs.append(stage.run)
        if len(self.stages) == 1:
            self.world.plant.restart_peaks()
        if self.world.plant.linked(self.now):
            stage.adopt(self.alone.news(stage.name), self.now)
        self.world.note(self.now, "run", "started", run=stage.run.id)

    def _pump(self) -> bool:
        for stage in self.queued:
            alike = sum(s.live and s.run.key == stage.run.key for s in self.stages)
            if may_start(self.cast.book.concurrency, alike):
                self.queued.remove(stage)
                self._begin(stage)
                return True
        return False


def asks_for(ask: Asking, on: str | None) -> bool:
    """Whether a question is the one that a test's answer means."""
    if ask.step == "unknown":
        return on == "unknown" or on in ask.path.removesuffix("/compensate/unknown").split("/")[-2:]
    return ask.step == on


def _in_order(events: list[Event]) -> tuple[list[tuple[int, Event]], list[tuple[int, Event]]]:
    """The timeline by time (one without `at` right after the one before), and answers to come."""
    timeline: list[tuple[int, Event]] = []
    answers: list[tuple[int, Event]] = []
    at = 0
    for number, event in enumerate(events):
        if event.at is None and event.on is not None:
            answers.append((number, event))
            continue
        at = at if event.at is None else event.at
        timeline.append((number, event.model_copy(update={"at": at})))
    return sorted(timeline, key=lambda one: one[1].at or 0), answers
