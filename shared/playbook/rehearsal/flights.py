"""Commands and requests of one run under way: sent, answered later, found out about after a kill.

Held by `stage.py`; the rules are those of the brain's command executor, on a virtual clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.playbook.journal import Effect, Phase
from shared.playbook.rehearsal.plant import Plant
from shared.playbook.rehearsal.receivers import (
    ANSWER_MS,
    HTTP_MS,
    LOOK_MS,
    UNREACHABLE_MS,
    Flight,
    Receivers,
    command_of,
    mock_name,
    read_back,
)

NOTICED_MS = 5_000
"""A link that is down for so long is known to be: nothing is sent over it."""
Landed = tuple[Effect, Phase, Mapping[str, Any]]
SILENT = ("answer_lost", "unknown", "unreachable")


@dataclass(slots=True)
class Flights:
    """What one run waits for from outside."""

    receivers: Receivers
    plant: Plant
    begun_at: int
    flights: dict[str, Flight] = field(default_factory=dict)
    later: dict[str, int] = field(default_factory=dict)
    """Path -> when what became of its command is asked for again."""

    def any(self) -> bool:
        """Whether anything is under way."""
        return bool(self.flights)

    def busy(self, path: str, now: int) -> bool:
        """Whether a path is under way, or is asked about later."""
        return path in self.flights or self.later.get(path, 0) > now

    def lost(self) -> None:
        """The brain was killed: it no longer waits for anything."""
        self.flights.clear()
        self.later.clear()

    def next_at(self) -> int | None:
        """When something is due."""
        times = [f.due for f in self.flights.values() if f.due is not None]
        return min([*times, *self.later.values()], default=None)

    def landing(self, now: int) -> bool:
        """Whether something has come back that `landed` would give."""
        return any(self._landed(flight, now) is not None for flight in self.flights.values())

    def landed(self, now: int) -> list[Landed]:
        """What has come back, to be journalled."""
        found: list[Landed] = []
        for path, flight in list(self.flights.items()):
            result = self._landed(flight, now)
            if result is not None:
                del self.flights[path]
                found.append((flight.effect, *result))
        return found

    def _landed(self, flight: Flight, now: int) -> tuple[Phase, Mapping[str, Any]] | None:
        if flight.kind == "http":
            return self._answered(flight) if now >= (flight.due or 0) else None
        if flight.kind == "silent":
            unknown = {**flight.data, "outcome": "unknown", "reason": "no_answer"}
            return ("unknown", unknown) if now >= (flight.due or 0) else None
        if flight.kind == "settled":
            return flight.ends, flight.data
        phase: Phase = "reconciled" if flight.effect.kind == "reconcile" else "done"
        return self.receivers.outcome(flight.key, flight.data, phase)

    # sending

    def begin(self, run: str, effect: Effect, data: Mapping[str, Any], now: int) -> None:
        """Send what has been committed."""
        key = f"{run}:{effect.path}:{effect.attempt}"
        if effect.kind == "http":
            self._request(effect, data, now)
            return
        since = self.plant.link_down_since
        if not self.plant.linked(now) and since is not None and now - since >= NOTICED_MS:
            self._settled(effect, "failed", {**data, "kind": "edge_unreachable"}, key)
            return
        self._send(effect, data, key, now)

    def _send(self, effect: Effect, data: Mapping[str, Any], key: str, now: int) -> None:
        spec = command_of(effect)
        arrived = self.receivers.send(key, effect, data, now)
        mock = self.receivers.mock(mock_name(effect), effect.attempt)
        heard = arrived and mock.outcome not in SILENT
        silent_until = now + ANSWER_MS + (spec.verify.within if spec.verify else 0)
        self.flights[effect.path] = Flight(
            effect, data, None if heard else silent_until, "command" if heard else "silent", key
        )

    def _settled(self, effect: Effect, phase: Phase, data: Mapping[str, Any], key: str) -> None:
        self.flights[effect.path] = Flight(effect, data, 0, "settled", key, phase)

    # finding out

    def reconcile(self, run: str, effect: Effect, now: int) -> None:
        """Ask the edge what became of a command that was begun."""
        data = effect.data
        key = f"{run}:{effect.path}:{effect.attempt}"
        mock = self.receivers.mock(mock_name(effect), effect.attempt)
        self.later.pop(effect.path, None)
        if not self.plant.linked(now) or mock.outcome == "unreachable":
            if now < int(data["began"]) + UNREACHABLE_MS:
                self.later[effect.path] = now + LOOK_MS
            else:
                self._unknown(effect, data, key, now)
        elif key not in self.receivers.works:
            if now < int(data["expires_at"]):  # the edge has surely not seen it: the same id again
                self.receivers.send(key, effect, data, now, again=True)
                self.flights[effect.path] = Flight(effect, data, None, "command", key)
            else:
                never = {**data, "outcome": "expired", "reason": "never_arrived"}
                self._settled(effect, "failed", {**never, "kind": "expired"}, key)
        elif mock.outcome == "unknown":
            self._unknown(effect, data, key, now)
        elif self.receivers.works[key].result is None:
            self.later[effect.path] = now + LOOK_MS
        else:
            self.flights[effect.path] = Flight(effect, data, None, "command", key)

    def _unknown(self, effect: Effect, data: Mapping[str, Any], key: str, now: int) -> None:
        wanted = command_of(effect).on_unknown == "reconcile"
        if wanted and read_back(data, self.plant, now) is True:
            self._settled(effect, "reconciled", {**data, "by": "read_back"}, key)
        else:
            unclear = {**data, "kind": "command_unknown", "reason": "unknown"}
            self._settled(effect, "failed", unclear, key)

    # requests

    def _request(self, effect: Effect, data: Mapping[str, Any], now: int) -> None:
        mock = self.receivers.mock(mock_name(effect), effect.attempt)
        longest = min(HTTP_MS, int(data.get("timeout_ms") or HTTP_MS))
        slow = mock.outcome == "timeout" or mock.takes > longest
        due = now + (longest if slow else mock.takes)
        flight = Flight(effect, data, due, "http", "", "failed" if slow else "done")
        self.flights[effect.path] = flight
        if not slow and mock.outcome == "done":
            self.receivers.plant.put(mock.sets, now)

    def _answered(self, flight: Flight) -> tuple[Phase, Mapping[str, Any]]:
        effect, data = flight.effect, flight.data
        mock = self.receivers.mock(mock_name(effect), effect.attempt)
        if flight.ends == "failed":
            return "failed", {"kind": "timeout", "reason": "no answer in time"}
        if mock.outcome != "done":
            kind = mock.kind if mock.outcome == "failed" else mock.outcome
            return "failed", {"kind": kind, "reason": mock.outcome}
        status = 200 if mock.status is None else mock.status
        body: dict[str, Any] = {"status": status, "json": mock.json_}
        if mock.text is not None:
            body = {"status": status, "text": mock.text}
        wanted = data.get("expect") or ()
        if status in wanted if wanted else 200 <= status < 300:
            return "done", body
        return "failed", {**body, "kind": f"http_{status}"}
