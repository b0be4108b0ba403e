"""The verbs that act or note: what exactly is asked for, and what becomes of it.

Called by the walk. Data are filled in once and never evaluated again: an alarm's text that reads
`${secret}` arrives so.
"""

from __future__ import annotations

from typing import Any

from shared.playbook import retries
from shared.playbook.ground import NotGroundError
from shared.playbook.journal import Record
from shared.playbook.model import Step
from shared.playbook.walk import Walk
from shared.playbook.walk_asks import unknown_command


def notify(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Tell people; unknown parts of the text show as a question mark."""
    spec = step.notify
    assert spec is not None
    data = {
        "to": [walk.see.render(one) for one in spec.to], "channel": spec.channel,
        "message": walk.words(spec.message),
    }  # fmt: skip
    return walk.handed("notify", step, path, data)


def webhook(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Hand a message to the outbox; wait for its delivery unless it is detached."""
    spec = step.webhook
    assert spec is not None
    if record is None:
        key = f"{walk.context.run.get('id', '')}:{path}"
        data = {
            "endpoint": spec.endpoint, "type": spec.type, "data": _told(walk, spec.data),
            "schedule": retries.offsets(step.retry, key), "detach": spec.detach,
        }  # fmt: skip
        if spec.detach:
            return walk.handed("webhook", step, path, data)
        return walk.effect("webhook", step, path, data)
    told = walk.context.answers.get(path)
    if told is not None:
        return walk.settle(step, path, told["phase"], told["data"])
    until = walk.until(step, record.began)
    if until is not None:
        if walk.now >= until:
            return walk.settle(step, path, "failed", {**record.data, "kind": "timeout"})
        walk.wake(until)
    return walk.overdue(step, path, record)


def http(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Ask a linked system; a try whose answer was lost is made again under the same key."""
    spec = step.http
    assert spec is not None
    until = walk.until(step, walk.now if record is None else record.began)
    if record is not None and record.phase in ("intent", "unknown"):
        if until is not None and walk.now >= until:
            data = {**record.data, "kind": "timeout", "final": True}
            return walk.settle(step, path, "failed", data, record.attempt)
        return walk.effect("http", step, path, record.data, record.attempt)
    body, address = walk.see.data(spec.body), walk.see.address(spec.path)
    attempt = 1 if record is None else record.attempt + 1
    if address is None or (body is None and spec.body is not None):
        return walk.settle(step, path, "failed", {"kind": "argument_unknown"}, attempt)
    data: dict[str, Any] = {
        "endpoint": spec.endpoint, "method": spec.method, "path": address, "body": body,
        "expect": list(spec.expect),
    }  # fmt: skip
    if until is not None:
        data["timeout_ms"] = until - walk.now
    return walk.effect("http", step, path, data, attempt)


def emit(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Write an event into the factory's journal."""
    assert step.emit is not None
    data = {"event": step.emit.event, "data": _told(walk, step.emit.data)}
    return walk.handed("emit", step, path, data)


def _told(walk: Walk, data: Any) -> Any:
    """Data for other systems; in a drill they are told that it is one."""
    told = walk.see.told(data)
    return {**told, "drill": True} if walk.context.run.get("drill") is True else told


def set_incident(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Change the run's incident."""
    return walk.handed("incident", step, path, walk.see.told(step.set_incident))


def set_values(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Keep values for later steps."""
    return walk.settle(step, path, "done", walk.see.told(step.set))


def log(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Note a text."""
    return walk.settle(step, path, "done", {"text": walk.see.render(step.log or "")})


def stop(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """End here on purpose."""
    assert step.stop is not None
    data = {"outcome": step.stop.outcome, "reason": walk.see.render(step.stop.reason)}
    return walk.settle(step, path, "done", data)


def fail(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """End with an error that the nearest handler takes."""
    spec = step.fail
    assert spec is not None
    data = {"kind": spec.kind, "reason": walk.see.render(spec.reason), "ends": spec.outcome}
    return walk.settle(step, path, "failed", data)


def command(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Move a device, once: what has begun is found out about, never sent blindly."""
    spec = step.command
    assert spec is not None
    if record is not None:
        if record.phase in ("intent", "unknown"):
            return walk.effect("reconcile", step, path, record.data, record.attempt)
        if walk.next_try(step, path, record) is None:
            return unknown_command(walk, step, path, record)
    attempt = 1 if record is None else record.attempt + 1
    if spec.approval is not None and "answer" not in walk.scope.steps.get(spec.approval, {}):
        return walk.settle(step, path, "failed", {"kind": "not_approved"}, attempt)
    see, args = walk.see, walk.see.data(spec.args)
    try:
        require = [see.grounded(text) for text in spec.require]
        verify = see.grounded(spec.verify.until) if spec.verify else ""
    except NotGroundError as error:
        unclear = {"kind": "argument_unknown", "reason": str(error)}
        return walk.settle(step, path, "failed", unclear, attempt)
    if args is None:
        return walk.settle(step, path, "failed", {"kind": "argument_unknown"}, attempt)
    data = {"args": args, "require": require, "verify": verify}
    return walk.effect("command", step, path, data, attempt)
