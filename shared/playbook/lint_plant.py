"""Checks of a playbook against a site: alarms, devices, operations with their limits, endpoints.

Called by the linter when it is given a site.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shared.expression import compile_data
from shared.expression.tree import Root, Select
from shared.playbook.binding import bound_devices, device_named
from shared.playbook.journal import ROOTS
from shared.playbook.lint_report import Path, Plant, Report
from shared.playbook.lint_scopes import Place
from shared.playbook.model import CommandSpec, Input, Step
from shared.site.model import OperationSpec, parse_duration


class Site:
    """Checks against one site."""

    def __init__(self, report: Report, plant: Plant) -> None:
        self.report, self.plant, self.book = report, plant, report.book
        self.types = {spec.type for spec in plant.devices.values()}

    def head(self) -> None:
        """Alarms, devices, endpoints."""
        plant, report = self.plant, self.report
        for index, trigger in enumerate(self.book.triggers):
            path: Path = ("triggers", index)
            if trigger.alarm and trigger.alarm not in plant.alarms:
                report.unknown("unknown_alarm", trigger.alarm, plant.alarms, (*path, "alarm"))
            for place, role in enumerate(trigger.manual.roles if trigger.manual else []):
                if role not in plant.roles:
                    report.unknown("unknown_role", role, plant.roles,
                                   (*path, "manual", "roles", place))  # fmt: skip
        for name, role in self.book.devices.items():
            if role.type not in self.types:
                report.unknown("unknown_device_type", role.type, self.types,
                               ("devices", name, "type"))  # fmt: skip
        self._bound()
        for name, kind in self.book.endpoints.items():
            if name not in plant.endpoints:
                report.unknown("unknown_endpoint", name, plant.endpoints, ("endpoints", name))
            elif kind.get("type") == "webhook" and name in plant.unsigned:
                report.add("endpoint_unsigned", ("endpoints", name), name=name)

    def alarms(self) -> Iterable[str]:
        """The site's alarms that start the playbook."""
        for trigger in self.book.triggers:
            if trigger.alarm:
                yield from self.plant.codes.get(trigger.alarm, [trigger.alarm])

    def _bound(self) -> None:
        """Every asset that can start it has the devices."""
        for alarm in sorted(set(self.alarms())):
            asset = self.plant.assets.get(alarm)
            if asset is None:
                continue
            seen = {"id": alarm, "asset": asset}
            bound = bound_devices(self.book, seen, self.plant.devices)
            for name, role in self.book.devices.items():
                wanted = device_named(role, seen)
                if name not in bound and wanted is not None and role.type in self.types:
                    self.report.add("unbound_device", ("devices", name), alarm=alarm, device=name,
                                    wanted=wanted)  # fmt: skip

    def step(self, place: Place) -> None:
        """The commands of one step."""
        step, path = place.step, place.path
        if step.command is not None:
            self._command(step.command, (*path, "command"))
            self._repeated(step, step.command, path)
            captures = any(op.capture_before for op in self._operations(step.command))
            if captures and step.compensate is None and place.part == "steps":
                self.report.add("compensation_missing", (*path, "command"), name=step.id,
                                op=step.command.op)  # fmt: skip
        undo = step.compensate.command if step.compensate else None
        if undo is not None:
            where = (*path, "compensate", "command")
            self._command(undo, where)
            self._before(step, undo, where)

    def _operations(self, spec: CommandSpec) -> list[OperationSpec]:
        role = self.book.devices.get(spec.device)
        fitting = self.plant.of_type(role.type) if role else []
        return [d.operations[spec.op] for _, d in fitting if spec.op in d.operations]

    def _command(self, spec: CommandSpec, path: Path) -> None:
        role = self.book.devices.get(spec.device)
        if role is None or role.type not in self.types:
            return
        known = {op for _, device in self.plant.of_type(role.type) for op in device.operations}
        lacking = [d for _, d in self.plant.of_type(role.type) if spec.op not in d.operations]
        if lacking:
            self.report.unknown("unknown_operation", spec.op, known - {spec.op}, (*path, "op"))
            return
        for operation in self._operations(spec):
            self._arguments(spec, operation, path)

    def _arguments(self, spec: CommandSpec, operation: OperationSpec, path: Path) -> None:
        wanted = operation.arg
        for name in spec.args:
            if name != wanted:
                self.report.unknown("unknown_argument", name, [wanted] if wanted else [],
                                    (*path, "args", name))  # fmt: skip
        if wanted is None or (wanted not in spec.args and spec.args):
            return
        if wanted not in spec.args:
            self.report.add("missing_argument", (*path, "op"), op=spec.op, name=wanted)
            return
        value, where = spec.args[wanted], (*path, "args", wanted)
        low = float("-inf") if operation.min is None else operation.min
        high = float("inf") if operation.max is None else operation.max
        shown: dict[str, Any] = {"low": "" if low == float("-inf") else f"{low:g}",
                 "high": "" if high == float("inf") else f"{high:g}"}  # fmt: skip
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not low <= value <= high:
                self.report.add("argument_outside_limits", where, name=wanted, value=value, **shown)
            return
        name = _input_of(value)
        given = self.book.inputs.get(name)
        if given is not None:
            self._tunable(name, given, spec, low, high)

    def _tunable(self, name: str, given: Input, spec: CommandSpec, low: float, high: float) -> None:
        bounds, add = given.tunable, self.report.add
        if bounds is not None:
            least, most = _number(bounds.min), _number(bounds.max)
            if least is not None and most is not None and (least < low or most > high):
                add("tunable_beyond_device", ("inputs", name, "tunable"), low=bounds.min,
                    high=bounds.max, name=name, device=spec.device, op=spec.op, least=f"{low:g}",
                    most=f"{high:g}")  # fmt: skip
            return
        value = _number(given.default)
        if value is not None and not low <= value <= high:
            add("argument_outside_limits", ("inputs", name, "default"), name=name, value=value,
                low=f"{low:g}", high=f"{high:g}")  # fmt: skip

    def _repeated(self, step: Step, spec: CommandSpec, path: Path) -> None:
        if step.retry is None:
            return
        if any(operation.idempotent == "no" for operation in self._operations(spec)):
            self.report.add("retry_not_idempotent", (*path, "retry"), name=step.id, op=spec.op)

    def _before(self, step: Step, undo: CommandSpec, path: Path) -> None:
        command = step.command
        if command is None or ".before" not in str(undo.args):
            return
        operations = self._operations(command)
        if operations and not any(operation.capture_before for operation in operations):
            self.report.add("no_before", (*path, "args"), op=command.op, name=step.id)


def _input_of(value: object) -> str:
    """The input when a value is `${inputs.x}` and nothing else."""
    if not isinstance(value, str) or "${" not in value:
        return ""
    try:
        found = compile_data(value, roots=ROOTS)
    except ValueError:
        return ""
    parts = getattr(found, "expressions", ())
    tree = parts[0].tree if len(parts) == 1 else None
    if not isinstance(tree, Select) or not isinstance(tree.operand, Root):
        return ""
    return tree.member if tree.operand.name == "inputs" else ""


def _number(value: object) -> float | None:
    if isinstance(value, str):
        try:
            return parse_duration(value) / 1000
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None
