"""Checks of a playbook's offline fragment: it must be safe to run with nobody above.

Called by `lint`; yields (code, path, message and mend in both languages).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shared.playbook.fragment import VERBS
from shared.playbook.model import Playbook, Step
from shared.site.model import DeviceSpec

Path = tuple[str | int, ...]
Mistake = tuple[str, Path, str, str, str, str]


def mistakes(book: Playbook, devices: Mapping[str, DeviceSpec] | None) -> Iterator[Mistake]:
    """What speaks against running the fragment at an edge."""
    if book.offline is None:
        return
    if not any(trigger.alarm for trigger in book.triggers):
        yield (
            "offline_without_alarm", ("offline",), "离线片段没有告警触发器",
            "nothing would start the offline part: no trigger names an alarm",
            "加上告警触发器", "add a trigger with `alarm`",
        )  # fmt: skip
    for path, step in _walk(book.offline.steps, ("offline", "steps")):
        if step.verb not in VERBS:
            allowed = ", ".join(sorted(VERBS))
            yield (
                "not_offline", (*path, step.verb), f"离线片段不能使用 {step.verb}",
                f"`{step.verb}` needs the brain, so it cannot stand in the offline part",
                f"只用 {allowed}", f"use only {allowed}",
            )  # fmt: skip
        if step.command is not None:
            yield from _command(book, step, path, devices or {})


def _command(
    book: Playbook, step: Step, path: Path, devices: Mapping[str, DeviceSpec]
) -> Iterator[Mistake]:
    spec = step.command
    assert spec is not None
    where = (*path, "command")
    if spec.approval is not None:
        yield (
            "offline_approval", (*where, "approval"), "离线时没有人可以审批",
            "nobody can approve while the brain is away", "去掉 approval，或移到 steps",
            "leave `approval` out, or move the command to `steps`",
        )  # fmt: skip
    role = book.devices.get(spec.device)
    for device in devices.values():
        operation = device.operations.get(spec.op)
        if role is None or device.type != role.type or operation is None:
            continue
        if operation.idempotent == "no":
            yield (
                "offline_not_idempotent", (*where, "op"), f"操作 {spec.op} 不可重复",
                f"{spec.op!r} is not idempotent: what a power cut leaves open could not be settled",
                "离线片段只用幂等操作", "use an idempotent operation",
            )  # fmt: skip
            return


def _walk(steps: list[Step], base: Path) -> Iterator[tuple[Path, Step]]:
    for index, step in enumerate(steps):
        path = (*base, index)
        yield path, step
        for number, arm in enumerate(step.switch or []):
            yield from _walk(arm.steps, (*path, "switch", number, "steps"))
        branches = step.parallel.branches if step.parallel else []
        for number, branch in enumerate(branches):
            yield from _walk(branch.steps, (*path, "parallel", "branches", number, "steps"))
