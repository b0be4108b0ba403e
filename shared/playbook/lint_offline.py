"""Checks of a playbook's offline fragment: it must be safe to run with nobody above.

Called by `lint`; yields (code, path, parameters of the message).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shared.playbook.fragment import VERBS
from shared.playbook.model import Playbook, Step
from shared.site.model import DeviceSpec

Path = tuple[str | int, ...]
Mistake = tuple[str, Path, dict[str, Any]]


def mistakes(book: Playbook, devices: Mapping[str, DeviceSpec] | None) -> Iterator[Mistake]:
    """What speaks against running the fragment at an edge."""
    if book.offline is None:
        return
    if not any(trigger.alarm for trigger in book.triggers):
        yield "offline_without_alarm", ("offline",), {}
    for path, step in _walk(book.offline.steps, ("offline", "steps")):
        if step.verb not in VERBS:
            allowed = ", ".join(sorted(VERBS))
            yield "not_offline", (*path, step.verb), {"verb": step.verb, "allowed": allowed}
        if step.compensate is not None:
            yield "offline_compensate", (*path, "compensate"), {}
        if step.command is not None:
            yield from _command(book, step, path, devices or {})


def _command(
    book: Playbook, step: Step, path: Path, devices: Mapping[str, DeviceSpec]
) -> Iterator[Mistake]:
    spec = step.command
    assert spec is not None
    where = (*path, "command")
    if spec.approval is not None:
        yield "offline_approval", (*where, "approval"), {}
    role = book.devices.get(spec.device)
    for device in devices.values():
        operation = device.operations.get(spec.op)
        if role is None or device.type != role.type or operation is None:
            continue
        if operation.idempotent == "no":
            yield "offline_not_idempotent", (*where, "op"), {"op": spec.op}
            return


def _walk(steps: list[Step], base: Path) -> Iterator[tuple[Path, Step]]:
    for index, step in enumerate(steps):
        path = (*base, index)
        yield path, step
        for place, _, block in step.blocks():
            yield from _walk(block, (*path, *place))
