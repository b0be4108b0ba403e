"""Waiting for time and for the plant: deadlines pinned at the beginning, `for` counted durably.

Called by the walk; a wait costs nothing but a row, and is woken by the tags that it names.
"""

from __future__ import annotations

from shared.playbook.journal import POLL_MS, WATCHED_MS, Record
from shared.playbook.model import Step
from shared.playbook.walk import Walk
from shared.playbook.walk_state import MismatchError


def wait(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Let time pass."""
    assert step.wait is not None
    if record is None:
        found = _began(walk, step, path, step.wait)
        if found is None:
            return walk.settle(step, path, "failed", {"kind": "argument_unknown"})
        record = found
    until, limit = _until(path, record), walk.until(step, record.began)
    if walk.now >= until:
        return walk.settle(step, path, "done")
    return _goes_on(walk, step, path, record, until if limit is None else min(until, limit), limit)


def wait_until(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Wait for the plant; with `for`, for a condition that stays true without a break."""
    spec = step.wait_until
    assert spec is not None
    if record is None:
        found = _began(walk, step, path, spec.within)
        if found is None:
            return walk.settle(step, path, "failed", {"kind": "argument_unknown"})
        record = found
    until, limit = _until(path, record), walk.until(step, record.began)
    end = until if limit is None else min(until, limit)
    met = walk.see.truth(spec.condition) is True
    record, due = _held(walk, step, path, record, met, spec.hold)
    if due is not None and walk.now >= due and (due <= end or not spec.hold):
        return walk.settle(step, path, "done", {}, record.attempt)
    if walk.now >= end:
        return walk.settle(step, path, "failed", {"kind": "timeout"}, record.attempt)
    tags, watched = walk.see.tags(spec.condition)
    walk.next.watch |= tags
    look = walk.now + (WATCHED_MS if watched else POLL_MS)
    walk.wake(look if due is None else min(look, due))
    return _goes_on(walk, step, path, record, end, limit)


def _held(
    walk: Walk, step: Step, path: str, record: Record, met: bool, hold: int
) -> tuple[Record, int | None]:
    """Pin since when the condition holds; returns when it has held for long enough."""
    if not hold:
        return record, walk.now if met else None
    since = record.data.get("held")
    if since is not None and int(since) < walk.context.watched_since:
        since = None  # nobody looked meanwhile: it may have been false
    if not met:
        if record.data.get("held") is not None:
            data = {key: value for key, value in record.data.items() if key != "held"}
            record = walk.pin(step, path, data, record.attempt + 1)
        return record, None
    if since is None:
        since, data = walk.now, {**record.data, "held": walk.now}
        pinned = walk.pin(step, path, data, record.attempt + 1)
        record = Record("intent", record.at, pinned.data, pinned.attempt, record.began)
    return record, int(since) + hold


def _began(walk: Walk, step: Step, path: str, within: int | str) -> Record | None:
    length = walk.see.duration(within)
    return None if length is None else walk.pin(step, path, {"until": walk.now + length})


def _until(path: str, record: Record) -> int:
    try:
        return int(record.data["until"])
    except (KeyError, TypeError, ValueError):
        raise MismatchError(path) from None


def _goes_on(
    walk: Walk, step: Step, path: str, record: Record, end: int, limit: int | None
) -> bool:
    if walk.hurried:
        return walk.settle(step, path, "skipped", {"reason": "cancelled"}, record.attempt)
    if limit is not None and walk.now >= limit:
        return walk.settle(step, path, "failed", {"kind": "timeout"}, record.attempt)
    walk.wake(end)
    return walk.overdue(step, path, record)
