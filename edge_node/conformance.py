"""Hold the edge's own API against a state table: each state is reached, each event then happens.

The entry point `andon.conformance` of `andon alarms conformance`; the rig is `conformance_rig`. No
state is ever set: what no sequence of events leads to is reported as unreachable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from edge_node.conformance_rig import LONGEST_MS, Key, Outcome, Rig
from shared.alarm.conformance import (
    EVENTS,
    Mismatch,
    Row,
    before_of,
    compare,
    numbered,
    policy_of,
    region_cells,
    unreachable,
)
from shared.alarm.machine import Policy
from shared.errors import ContractError

RE_ALARM, SHELF_EXPIRED = "REALARM_TIMER", "SHELF_EXPIRED"
PLAIN = tuple(event for event in EVENTS if event != RE_ALARM)
Known = dict[Key, dict[str, Outcome]]


def check(rows: Iterable[Row]) -> tuple[int, list[Mismatch]]:
    """Run every row through the edge; returns (rows run, mismatches)."""
    table = numbered(rows)
    known: dict[Policy, Known] = {}
    wrong: list[Mismatch] = []
    for number, row in table:
        policy = policy_of(row)
        if policy not in known:
            known[policy] = explore(policy)
        there = known[policy].get(region_cells(before_of(row)))
        if there is None:
            wrong.append(unreachable(number, row))
        else:
            wrong += compare(number, row, there[row["event"]].cells)
    return len(table), wrong


def explore(policy: Policy) -> Known:
    """Every state that can be reached under `policy`, with what each event does there.

    Two alarms are walked: one without a re-alarm timer, so that a shelf may last for hours, and one
    with it, where that timer goes off in every state.
    """
    policy = replace(policy, max_shelve_ms=LONGEST_MS)
    plain = Tour(policy, re_alarm=False, wanted=PLAIN, roads={}).run()
    # On the second walk the hours of a shelf would set off the timer that is to be tried by itself.
    roads = {key: _without(done, SHELF_EXPIRED) for key, done in plain.items()}
    timed = Tour(policy, re_alarm=True, wanted=(RE_ALARM,), roads=roads).run()
    return {key: {**done, **timed[key]} for key, done in plain.items()}


def _without(done: Mapping[str, Outcome], event: str) -> dict[str, Outcome]:
    return {name: outcome for name, outcome in done.items() if name != event}


class Tour:
    """Walks a living alarm from state to state until each wanted event has happened in each."""

    def __init__(self, policy: Policy, re_alarm: bool, wanted: Sequence[str], roads: Known) -> None:
        self._policy, self._re_alarm = policy, re_alarm
        self._wanted = wanted
        self._roads: Known = {key: dict(done) for key, done in roads.items()}
        self._done: Known = {key: {} for key in roads}
        self._rig = Rig(policy, re_alarm)
        self.steps = 0

    def run(self) -> Known:
        """Everything found, by state and event."""
        start = self._rig.key
        self._done.setdefault(start, {})
        while (path := self._next()) is not None:
            for event in path[:-1]:
                self._walk(event)
            self._try(path[-1])
        return self._done

    def _next(self) -> list[str] | None:
        """The shortest way to something untried, from here or else from the beginning."""
        path = self._way(self._rig.key)
        if path is None:
            fresh = Rig(self._policy, self._re_alarm)
            path = self._way(fresh.key)
            if path is not None:
                self._rig = fresh
        return path

    def _way(self, start: Key) -> list[str] | None:
        came: dict[Key, tuple[Key, str] | None] = {start: None}
        queue = deque([start])
        while queue:
            key = queue.popleft()
            untried = next((e for e in self._wanted if e not in self._done[key]), None)
            if untried is not None:
                return [*_back(came, key), untried]
            for event, outcome in self._roads.get(key, {}).items():
                if outcome.key not in came:
                    came[outcome.key] = key, event
                    queue.append(outcome.key)
        return None

    def _walk(self, event: str) -> None:
        expected = self._roads[self._rig.key][event]
        before = self._rig.key
        if self._fire(event) != expected:
            raise ContractError(
                f"the edge is no function of its state: {event} in {' '.join(before)} has led to "
                f"{' '.join(expected.key)} and to {' '.join(self._rig.key)}"
            )

    def _try(self, event: str) -> None:
        before = self._rig.key
        outcome = self._fire(event)
        self._done[before][event] = outcome
        self._roads.setdefault(before, {})[event] = outcome
        self._done.setdefault(outcome.key, {})

    def _fire(self, event: str) -> Outcome:
        self.steps += 1
        return self._rig.fire(event)


def _back(came: Mapping[Key, tuple[Key, str] | None], key: Key) -> list[str]:
    path: list[str] = []
    while (step := came[key]) is not None:
        key, event = step
        path.append(event)
    return path[::-1]
