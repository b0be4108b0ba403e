"""Count-in-window: a condition that counts only when it was there so often.

Wraps any condition. Samples are counted, never looks by the clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from edge_node.domain.conditions.port import Answer, Condition, Environment
from shared.alarm.condition import Repeats


class RepeatsCondition:
    """`inner`, `times` times (in a row, or within a time)."""

    __slots__ = ("_fresh", "_holding", "_repeats", "_row", "_times", "alarms", "every_ms", "inner",
                 "tags")  # fmt: skip

    def __init__(self, inner: Condition, repeats: Repeats) -> None:
        self.inner, self._repeats = inner, repeats
        self.tags, self.alarms, self.every_ms = inner.tags, inner.alarms, inner.every_ms
        self._times: deque[int] = deque(maxlen=repeats.times)
        """When it was there, within a time."""
        self._row = 0
        """How often it was there in a row."""
        self._fresh = self._holding = False

    def sample(self, tag: str, at: int, value: float | str, good: bool) -> None:
        """Take a sample of the inner condition's tags."""
        self.inner.sample(tag, at, value, good)
        self._fresh = True

    def look(self, tags: Environment, at: int) -> Answer:
        """Whether it was there often enough."""
        answer = self.inner.look(tags, at)
        fresh, self._fresh = self._fresh, False
        repeats = self._repeats
        if answer.holds is not None:
            counts = fresh if repeats.of == "samples" else not self._holding
            self._holding = answer.holds
            if answer.holds and counts:
                self._row += 1
                self._times.append(at)
            elif not answer.holds:
                self._row = 0
        if repeats.within_ms is None:
            holds = None if answer.holds is None else answer.holds and self._row >= repeats.times
            return replace(answer, holds=holds, params=_with(answer, self._row))
        return self._within(answer, at, repeats.within_ms)

    def _within(self, answer: Answer, at: int, within_ms: int) -> Answer:
        while self._times and self._times[0] <= at - within_ms:
            _ = self._times.popleft()
        holds = len(self._times) >= self._repeats.times
        again = answer.again_at
        if holds:  # it ends by the clock, when the first of them is too old
            ends = self._times[0] + within_ms
            again = ends if again is None else min(again, ends)
        params = _with(answer, len(self._times))
        return replace(answer, holds=holds, reason="", params=params, again_at=again)

    def adopt(self, old: Condition) -> None:
        """Go on counting from where the old one had got to."""
        if not isinstance(old, RepeatsCondition):
            self.inner.adopt(old)
            return
        self.inner.adopt(old.inner)
        self._row, self._holding = old._row, old._holding
        self._times.extend(old._times)


def _with(answer: Answer, count: int) -> dict[str, object]:
    return {**(answer.params or {}), "repeats": count}
