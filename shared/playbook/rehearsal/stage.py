"""One run on stage: the engine's rules over the pure interpreter, in memory, on a virtual clock.

Advance, commit, act, commit; a fault kills it between any two. Called by `play.py`; decides
nothing that the interpreter decides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.playbook.fragment import HEARD
from shared.playbook.journal import Advance, Asking, Context, Effect, Phase, Record, noted
from shared.playbook.model import Playbook
from shared.playbook.outage import abandoned, resume_ask
from shared.playbook.overlap import ENDING
from shared.playbook.rehearsal.document import Fault
from shared.playbook.rehearsal.flights import Flights
from shared.playbook.rehearsal.plant import Plant
from shared.playbook.rehearsal.post import Post
from shared.playbook.rehearsal.receivers import Receivers, command_of
from shared.playbook.rehearsal.site_side import SiteDevice, site_device
from shared.playbook.rehearsal.told import Happened, RunTold, Told, What
from shared.playbook.run import advance
from shared.site.model import DeviceSpec

ENDED = ("success", "failure", "needs_human", "cancelled")
PATIENCE = 5_000


class BrainKilledError(Exception):
    """The brain is killed here, for so long."""

    def __init__(self, down: int, path: str) -> None:
        self.down, self.path = down, path


class RestlessError(Exception):
    """A run does not come to rest."""


@dataclass(slots=True)
class World:
    """What all runs of a rehearsal share."""

    book: Playbook
    books: Mapping[str, Playbook]
    plant: Plant
    receivers: Receivers
    told: Told
    begin: int
    faults: list[Fault]
    devices: Mapping[str, DeviceSpec] | None = None
    """The site's devices, where a site is given; else every device is bound."""
    counts: dict[int, int] = field(default_factory=dict)
    """How often each fault's step has been met."""

    def note(self, at: int, what: What, about: str, **detail: Any) -> None:
        """Keep what happened."""
        self.told.happened.append(Happened(at - self.begin, what, about, detail))


@dataclass(slots=True)
class Stage:
    """One run."""

    world: World
    run: RunTold
    alarm: Mapping[str, Any]
    inputs: Mapping[str, Any]
    site: Mapping[str, Any]
    about: Mapping[str, Any]
    """started_by, drill."""
    name: str = ""
    """The alarm or event as the test calls it."""
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    control: dict[str, Any] = field(default_factory=dict)
    alarm_states: dict[str, int] = field(default_factory=dict)
    watched_since: int = 0
    asks: list[Asking] = field(default_factory=list)
    asked_at: dict[str, int] = field(default_factory=dict)
    wake_at: int | None = None
    flights: Flights = field(init=False)
    post: Post = field(init=False)

    def __post_init__(self) -> None:
        world = self.world
        self.flights = Flights(world.receivers, world.plant, world.begin)
        self.post = Post(world.receivers, world.told, world.begin, self.answers)

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.run.ended_at is None

    @property
    def ending(self) -> bool:
        """Whether it answers nothing new: cancelled, left, failed, or at its end."""
        return "cancel" in self.control or any(path in self.run.journal for path in ENDING)

    def killed(self) -> None:
        """What was only in memory is lost."""
        self.flights.lost()

    def back(self, since: int, now: int, owned: bool) -> None:
        """The brain is there again."""
        self.watched_since = now
        due = since if owned else max(since, self.wake_at or now)
        if now - due >= 10_000 and self.live:
            outages = self.control.setdefault("outages", [])
            outages.append({"n": len(outages) + 2, "since": due, "ms": now - due, "broken": owned})

    def adopt(self, rows: list[tuple[str, Record]], now: int) -> None:
        """Take over what the edge did alone, as it comes up."""
        for path, record in rows:
            self.run.rows.append(
                (path, record.attempt, record.phase, record.data, record.at - self.world.begin)
            )
            self.run.began.setdefault(path, record.at - self.world.begin)
            data = {**record.data, HEARD: now}
            heard = Record(record.phase, record.at, data, record.attempt)
            noted(self.run.journal, path, heard)

    # looking

    def work(self, now: int) -> None:
        """Go on until it rests, waits for the outside, or has ended."""
        if abandoned(self.world.book, self.control) and "cancel" not in self.control:
            why = {"by": "system", "at": now, "reason": "abandoned_after_outage"}
            self.control["cancel"] = why
        for _ in range(PATIENCE):
            for effect, phase, data in self.flights.landed(now):
                self._commit(effect, phase, data, now)
            found = self.look(now)
            fresh = [e for e in found.effects if not self.flights.busy(e.path, now)]
            for effect in fresh:
                self._carry_out(effect, now)
            if not fresh and not self.flights.landing(now):
                self._rest(found, now)
                return
        raise RestlessError

    def look(self, now: int) -> Advance:
        """What it needs next."""
        return advance(self.world.book, self.run.journal, self.context(now), now)

    def context(self, now: int) -> Context:
        """What its expressions see now."""
        plant = self.world.plant
        run = {
            "id": self.run.id, **self.about, "elapsed_s": (now - self.run.started_at) / 1000,
            "incident": "INC-1", "peaks": dict(plant.peaks),
        }  # fmt: skip
        return Context(
            alarm=self.alarm, inputs=self.inputs, site=self.site, run=run, tags=plant.seen(now),
            answers=self.answers, deadline_at=self.run.started_at + self.world.book.deadline,
            alarm_states=self.alarm_states, control=self.control, books=self.world.books,
            resume_ask=resume_ask(self.world.book, self.control, self.run.journal),
            watched_since=self.watched_since,
        )  # fmt: skip

    def _rest(self, found: Advance, now: int) -> None:
        self.asks, self.run.metrics = list(found.asks), found.metrics
        for ask in self.asks:
            if ask.path not in self.asked_at:
                self.asked_at[ask.path] = now
                self.run.asked.append(ask.path)
                self.world.note(now, "ask", ask.path, to=ask.to, question=ask.question)
        if found.status in ENDED and not self.flights.any():
            self.run.status, self.run.ended_at = found.status, now
            self.wake_at = None
            self.world.note(now, "run", found.status, run=self.run.id)
            return
        times = [found.wake_at, self.flights.next_at()]
        self.wake_at = min((at for at in times if at is not None), default=None)

    def next_at(self) -> int | None:
        """When something of it is due, but for what the edge has to do."""
        times = [self.wake_at if self.live else None, self.post.next_at()]
        return min((at for at in times if at is not None), default=None)

    # committing and acting

    def _commit(self, effect: Effect, phase: Phase, data: Mapping[str, Any], now: int) -> None:
        kept = json.loads(json.dumps(dict(data), ensure_ascii=False, default=str))
        run, at = self.run, now - self.world.begin
        run.rows.append((effect.path, effect.attempt, phase, kept, at))
        run.began.setdefault(effect.path, at)
        noted(run.journal, effect.path, Record(phase, now, kept, effect.attempt))
        self.world.note(now, "step", effect.path, phase=phase, data=kept, attempt=effect.attempt)

    def _carry_out(self, effect: Effect, now: int) -> None:
        if effect.kind in ("command", "http", "reconcile"):
            self._act(effect, now)
            return
        phase = effect.phase
        if effect.kind == "webhook" and not effect.data.get("detach"):
            phase = "intent"
        self._fault(effect, "before_effect", now)
        self._commit(effect, phase, effect.data, now)
        self._ride(effect, now)
        self._fault(effect, "after_effect", now)

    def _ride(self, effect: Effect, now: int) -> None:
        """What the journal's own commit does."""
        told, data = self.world.told, effect.data
        if effect.kind == "notify":
            self.world.note(now, "notify", effect.path, **data)
        elif effect.kind == "webhook":
            self.post.hand_over(effect, now)
        elif effect.kind == "emit":
            told.emitted.append(str(data["event"]))
            self.world.note(now, "emit", effect.path, **data)
        elif effect.kind == "incident":
            told.incident.update(data)
            self.world.note(now, "incident", effect.path, **data)

    def _act(self, effect: Effect, now: int) -> None:
        """Intent first; then the act, whose result comes back when it does."""
        if effect.kind == "reconcile":
            self.flights.reconcile(self.run.id, effect, now)
            return
        data: Mapping[str, Any] = effect.data
        if effect.kind == "command":
            spec = command_of(effect)
            at = self._site_device(spec.device, effect)
            if at is None and not self._bound(spec.device, effect):
                unbound = {"kind": "unbound_device", "device": spec.device}
                self._commit(effect, "failed", unbound, now)
                return
            data = {**data, "device": spec.device, "op": spec.op, "began": now,
                    "attempt": effect.attempt, "expires_at": now + spec.expires}  # fmt: skip
            if at is not None:
                key = f"{self.run.id}:{effect.path}:{effect.attempt}"
                self.world.receivers.bound[key] = at
        record = self.run.journal.get(effect.path)
        if record is None or record.attempt != effect.attempt:
            self._commit(effect, "intent", data, now)
        self._fault(effect, "before_effect", now)
        what: What = "command" if effect.kind == "command" else "http"
        self.world.note(now, what, effect.path, **data)
        self.flights.begin(self.run.id, effect, data, now)
        self._fault(effect, "after_effect", now)

    def _bound(self, device: str, effect: Effect) -> bool:
        """Without a site every device that the playbook knows is there."""
        book = self.world.books.get(effect.book, self.world.book)
        return self.world.devices is None and device in book.devices

    def _site_device(self, device: str, effect: Effect) -> SiteDevice | None:
        if self.world.devices is None:
            return None
        book = self.world.books.get(effect.book, self.world.book)
        return site_device(book, device, self.alarm, self.world.devices)

    def _fault(self, effect: Effect, phase: str, now: int) -> None:
        """Break what the test says breaks here."""
        if effect.step is None or effect.phase == "skipped":
            return
        world = self.world
        for place, fault in enumerate(world.faults):
            if effect.step.id != fault.at_step or fault.phase != phase:
                continue
            world.counts[place] = world.counts.get(place, 0) + 1
            if world.counts[place] != fault.nth:
                continue
            about = "kill" if fault.kill else "link"
            world.note(now, "fault", effect.path, kind=about, phase=phase, down=fault.down)
            if fault.kill:
                raise BrainKilledError(fault.down, effect.path)
            world.plant.cut(now, fault.down)
