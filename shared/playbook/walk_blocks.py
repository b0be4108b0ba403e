"""The verbs that hold steps: arms, branches, handlers; what all blocks have in common.

Called by the walk (loops are in `walk_loops.py`). Which arm, items or handler a block goes by is
pinned in its journal record, so that the plant cannot change it afterwards; a block that stops
some of its parts does so by the journal alone, so that a crash cannot change its mind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.playbook.journal import Record
from shared.playbook.model import Catch, Step
from shared.playbook.walk import Walk
from shared.playbook.walk_past import Past, State, Strand
from shared.playbook.walk_state import Failed, MismatchError, Scope
from shared.playbook.walk_strands import together


@dataclass(slots=True)
class Block:
    """A begun block with what it has pinned."""

    walk: Walk
    step: Step
    path: str
    data: dict[str, Any]
    attempt: int
    began: int

    def pin(self, **more: Any) -> None:
        """Go by something from now on."""
        self.attempt += 1
        self.data = {**self.data, **more}
        self.walk.pin(self.step, self.path, self.data, self.attempt)

    @property
    def strands(self) -> list[Strand]:
        """The blocks inside, as far as they have begun."""
        record = Record("intent", self.began, self.data, self.attempt)
        return self.walk.parts(self.step, self.path, record)

    @property
    def state(self) -> State:
        """How the first block inside stands by the journal alone."""
        first: State = "ended"
        for _, steps, base in self.strands[:1]:
            first = self.walk.peek_all(steps, base)
        return first

    def settle(self, failure: Failed | None = None) -> bool:
        """End, well or with a failure."""
        if failure is None:
            return self.walk.settle(self.step, self.path, "done", self.data, self.attempt)
        data: dict[str, Any] = {**self.data, "kind": failure.kind, "reason": failure.reason}
        if failure.path != self.path:
            data["error"] = failure.error
        if failure.outcome:
            data["ends"] = failure.outcome
        return self.walk.settle(self.step, self.path, "failed", data, self.attempt)


def block(
    walk: Walk, step: Step, path: str, record: Record | None, begin: dict[str, Any],
    body: Callable[[Block], bool], late: Callable[[Block], None] | None = None,
) -> bool:  # fmt: skip
    """Begin a block or go on with it; past its own time its parts come to rest and it fails."""
    if record is None:
        ends = [at for at in (walk.until(step, walk.now), begin.get("until")) if at is not None]
        begin = {**begin, "until": min(ends)} if ends else begin
        walk.pin(step, path, begin)
        found = Block(walk, step, path, begin, 1, walk.now)
    else:
        found = Block(walk, step, path, dict(record.data), record.attempt, record.began)
    until = None if "ended" in found.data else found.data.get("until")
    if until is not None and walk.now >= int(until):
        if not walk.halt("timeout", found.strands):
            return False
        if late is None:
            return found.settle(Failed(path, "timeout"))
        late(found)
    try:
        if body(found):
            return found.settle()
    except Failed as failure:
        return found.settle(failure)
    if until is not None and walk.now < int(until):
        walk.wake(int(until))
    return False


def switch(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Take the first arm whose condition holds; one that cannot be known does not."""
    if record is None:
        for index, arm in enumerate(step.switch or []):
            if arm.otherwise or (arm.when is not None and walk.see.truth(arm.when) is True):
                walk.settle(step, path, "done", {"arm": index})
                record = Record("done", walk.now, {"arm": index})
                break
        else:
            return walk.settle(step, path, "skipped", {"reason": "no_arm"})
    found = Block(walk, step, path, dict(record.data), 1, record.began)
    until = walk.until(step, found.began)
    if until is not None and walk.now >= until and found.state != "ended":
        if not walk.halt("timeout", found.strands):
            return False
        return found.settle(Failed(path, "timeout"))
    try:
        for _, steps, base in found.strands:
            if not walk.sequence(steps, base):
                if until is not None:
                    walk.wake(until)
                return False
    except Failed as failure:
        return found.settle(failure)
    return True


def switch_parts(walk: Past, step: Step, path: str, record: Record) -> Iterator[Strand]:
    """The arm that was taken."""
    if "arm" not in record.data:
        return
    arms, index = step.switch or [], int(record.data["arm"])
    if index >= len(arms):
        raise MismatchError(path)
    yield walk.scope, arms[index].steps, f"{path}/{index}"


def parallel(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Branches side by side until enough of them have ended well."""
    spec = step.parallel
    assert spec is not None
    count = len(spec.branches)
    need = {"all": count, "any": 1}.get(str(spec.wait), spec.wait)
    assert isinstance(need, int)

    def body(found: Block) -> bool:
        return together(walk, found.strands, min(need, count), count)

    return block(walk, step, path, record, {}, body)


def parallel_parts(walk: Past, step: Step, path: str, record: Record) -> Iterator[Strand]:
    """Every branch; branches do not see each other's steps until the block has ended."""
    for branch in step.parallel.branches if step.parallel else []:
        yield walk.scope.fork(), branch.steps, f"{path}/{branch.id}"


def try_(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Steps whose failure is handled here; past the run's deadline only the run handles it."""
    spec = step.try_
    assert spec is not None

    def body(found: Block) -> bool:
        if "catch" not in found.data:
            try:
                return walk.sequence(spec.steps, f"{path}/try")
            except Failed as failure:
                place = None if _final(walk, failure) else handler(walk, spec.catch, failure)
                if place is None:
                    raise
                found.pin(catch=place, caught=failure.error)
        *before, (scope, steps, base) = found.strands
        for _, earlier, below in before:
            walk.recall_all(earlier, below)
        with walk.inside(scope):
            return walk.sequence(steps, base)

    return block(walk, step, path, record, {}, body)


def try_parts(walk: Past, step: Step, path: str, record: Record) -> Iterator[Strand]:
    """The steps, and the handler that took their failure."""
    spec = step.try_
    if spec is None:
        return
    yield walk.scope, spec.steps, f"{path}/try"
    if "catch" in record.data:
        index = int(record.data["catch"])
        if index >= len(spec.catch):
            raise MismatchError(path)
        inside = replace(walk.scope, error=record.data.get("caught", {}))
        yield inside, spec.catch[index].steps, f"{path}/catch/{index}"


def handler(walk: Walk, handlers: Sequence[Catch], failure: Failed) -> int | None:
    """The first handler that fits a failure."""
    inside: Scope = replace(walk.scope, error=failure.error)
    with walk.inside(inside):
        for index, one in enumerate(handlers):
            if walk.see.truth(one.when) is True:
                return index
    return None


def _final(walk: Walk, failure: Failed) -> bool:
    return failure.kind == "deadline" and walk.expired
