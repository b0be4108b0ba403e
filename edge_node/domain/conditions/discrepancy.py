"""Discrepancy: a feedback that does not follow its command within a time.

Made by the registry. The time runs from when they began to differ or the command last changed.
"""

from __future__ import annotations

from edge_node.domain.conditions.plain import same
from edge_node.domain.conditions.port import Answer, Condition, Environment
from shared.alarm.condition import ConditionSpec
from shared.alarm.definition import AlarmDefinition


class DiscrepancyCondition:
    """`tag` differs from `command` for longer than `within`."""

    __slots__ = ("_command", "_feedback", "_setting", "_since", "_spec", "_tag", "_unknown",
                 "_was", "alarms", "every_ms", "tags")  # fmt: skip

    def __init__(self, definition: AlarmDefinition, spec: ConditionSpec) -> None:
        self._spec, self._tag, self._setting = spec, definition.tag, definition.setting
        self.tags: tuple[str, ...] = (definition.tag, spec.against)
        self.alarms: tuple[str, ...] = ()
        self.every_ms: int | None = None
        self._command: float | str | None = None
        self._feedback: float | str | None = None
        self._unknown: set[str] = set(self.tags)
        self._since: int | None = None
        self._was = False

    def sample(self, tag: str, at: int, value: float | str, good: bool) -> None:
        """Take a sample of either."""
        if not good:
            self._unknown.add(tag)
            return
        self._unknown.discard(tag)
        moved = False
        if tag == self._tag:
            self._feedback = value
        else:
            moved = self._command is not None and value != self._command
            self._command = value
        if self._unknown:
            return
        if self._agree():
            self._since = None
        elif self._since is None or moved:
            self._since = at

    def _agree(self) -> bool:
        command, feedback = self._command, self._feedback
        if command is None or feedback is None:
            return True
        for wanted, feedbacks in self._spec.pairs:
            if same(command, wanted):
                return any(same(feedback, one) for one in feedbacks)
        if isinstance(command, str) or isinstance(feedback, str):
            return command == feedback
        margin = self._setting.limit - (self._setting.deadband if self._was else 0.0)
        return abs(command - feedback) <= max(0.0, margin)

    def look(self, tags: Environment, at: int) -> Answer:
        """Whether the time is up."""
        if self._unknown:
            return Answer(None, reason="tag_bad")
        shown = self._feedback if isinstance(self._feedback, float) else None
        params = {"command": self._command, "feedback": self._feedback}
        if self._since is None:
            self._was = False
            return Answer(False, shown, params=params)
        due = self._since + self._spec.within_ms
        self._was = self._was or at >= due
        return Answer(at >= due, shown, params=params, again_at=due if at < due else None)

    def adopt(self, old: Condition) -> None:
        """Keep what was seen of both."""
        if isinstance(old, DiscrepancyCondition) and old.tags == self.tags:
            self._command, self._feedback = old._command, old._feedback
            self._unknown, self._since, self._was = old._unknown, old._since, old._was
