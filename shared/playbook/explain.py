"""What a playbook can do at worst: its tree, its time, its commands, the devices it can move.

Called by `andon playbook explain`; counts from the document alone and evaluates nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.expression import parse_duration
from shared.playbook.model import Playbook, Step


@dataclass(frozen=True, slots=True)
class Shown:
    """One step of the tree."""

    path: str
    name: str
    verb: str
    depth: int


@dataclass(frozen=True, slots=True)
class Explained:
    """The playbook at a glance."""

    steps: tuple[Shown, ...]
    worst_case_ms: int
    """Never more than the deadline."""
    worst_case_commands: int
    moves: tuple[str, ...]
    """`device.operation`, by the playbook's own names."""
    tells: tuple[str, ...]


def explain(playbook: Playbook) -> Explained:
    """Static blast radius and worst case of a playbook."""
    walker = _Walker(playbook)
    if playbook.offline is not None:  # run by an edge, instead of these steps or before them
        walker.block(playbook.offline.steps, "/offline", 0)
    time, commands = walker.block(playbook.steps, "/steps", 0)
    handled = [
        walker.block(handler.steps, f"/catch/{index}", 0)
        for index, handler in enumerate(playbook.catch)
    ]
    last_time, last_commands = walker.block(playbook.finally_, "/finally", 0)
    caught_time = max((found[0] for found in handled), default=0)
    caught_commands = max((found[1] for found in handled), default=0)
    return Explained(
        steps=tuple(walker.shown),
        # Handlers and `finally` still run after the deadline has cut the steps.
        worst_case_ms=min(time, playbook.deadline) + caught_time + last_time,
        worst_case_commands=commands + caught_commands + last_commands,
        moves=tuple(sorted(walker.moves)),
        tells=tuple(sorted(walker.tells)),
    )


class _Walker:
    def __init__(self, playbook: Playbook) -> None:
        self.playbook = playbook
        self.shown: list[Shown] = []
        self.moves: set[str] = set()
        self.tells: set[str] = set()

    def block(self, steps: list[Step], base: str, depth: int) -> tuple[int, int]:
        """(milliseconds, commands) of steps one after the other."""
        found = [self.step(step, f"{base}/{step.id}", depth) for step in steps]
        return sum(time for time, _ in found), sum(commands for _, commands in found)

    def step(self, step: Step, path: str, depth: int) -> tuple[int, int]:
        self.shown.append(Shown(path, step.id, step.verb, depth))
        if step.notify is not None:
            self.tells.update(step.notify.to)
        if step.switch is not None:
            arms = [
                self.block(arm.steps, f"{path}/{index}", depth + 1)
                for index, arm in enumerate(step.switch)
            ]
            return max(t for t, _ in arms), max(c for _, c in arms)
        if step.parallel is not None:
            branches = [
                self.block(branch.steps, f"{path}/{branch.id}", depth + 1)
                for branch in step.parallel.branches
            ]
            return max(t for t, _ in branches), sum(c for _, c in branches)
        if step.command is not None:
            self.moves.add(f"{step.command.device}.{step.command.op}")
            verify = step.command.verify.within if step.command.verify else 0
            return step.command.expires + verify, 1
        return self.waiting(step), 0

    def waiting(self, step: Step) -> int:
        if step.ask is not None:
            self.tells.update(step.ask.to)
            for rung in step.escalate:
                self.tells.update(rung.to)
            ladder = max((rung.after for rung in step.escalate), default=0)
            return self.longest(step.ask.within) + ladder
        if step.wait_until is not None:
            return self.longest(step.wait_until.within)
        if step.webhook is not None and not step.webhook.detach and step.retry is not None:
            return sum(step.retry.schedule)
        return self.longest(step.wait) if step.wait is not None else 0

    def longest(self, duration: int | str) -> int:
        """A duration; a template counts as its input's upper bound, else as the whole deadline."""
        if isinstance(duration, int):
            return duration
        name = duration.removeprefix("${").removesuffix("}").strip()
        given = self.playbook.inputs.get(name.removeprefix("inputs."))
        if given is None or not name.startswith("inputs."):
            return self.playbook.deadline
        longest = given.tunable.max if given.tunable else given.default
        seconds = parse_duration(longest) if isinstance(longest, str) else None
        return round(seconds * 1000) if seconds is not None else self.playbook.deadline
