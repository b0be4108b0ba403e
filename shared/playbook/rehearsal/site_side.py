"""The site's own word on a command in a rehearsal: interlocks, limits and rates of its binding.

Asked by `receivers.py` in the order in which a real edge looks; without a binding nothing speaks
against a command but its own `require`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.expression import StaticEnvironment, Unknown, compile_expression
from shared.playbook.binding import bound_devices, logical_tags
from shared.playbook.model import Playbook
from shared.playbook.rehearsal.plant import Plant
from shared.site.limits import RateLimit, beyond
from shared.site.model import DeviceSpec, OperationSpec


@dataclass(frozen=True, slots=True)
class SiteDevice:
    """What a logical device is at the site, for one run's alarm."""

    name: str
    spec: DeviceSpec
    names: Mapping[str, str]
    """The site's tag -> the logical one under which the test gives its value."""


def site_device(
    book: Playbook, logical: str, alarm: Mapping[str, Any], devices: Mapping[str, DeviceSpec]
) -> SiteDevice | None:
    """The site's device; None where the site has none."""
    bound = bound_devices(book, alarm, devices)
    if logical not in bound:
        return None
    names = {site: name for name, site in logical_tags(bound, devices).items()}
    return SiteDevice(bound[logical], devices[bound[logical]], names)


@dataclass(slots=True)
class SiteSide:
    """The binding's limits over a whole rehearsal."""

    plant: Plant
    rates: RateLimit = field(default_factory=RateLimit)

    def refusal(
        self, at: SiteDevice, operation: str, args: Mapping[str, Any], now: int
    ) -> dict[str, Any] | None:
        """Why the site forbids it now; None if it does not."""
        spec = at.spec.operations.get(operation)
        if spec is None:
            return {"kind": "refused", "reason": "unknown_operation"}
        before = self.before(at, spec)
        number = float(before) if isinstance(before, int | float) else None
        found = beyond(spec, args, number) or self.rates.check(
            at.name, operation, spec.max_per_min, now
        )  # fmt: skip
        if found is not None:
            return {"kind": "refused", "reason": found.code, "params": dict(found.params)}
        why = self._interlocked(at)
        return None if why is None else {"kind": "interlock", "reason": "interlock", "params": why}

    def before(self, at: SiteDevice, spec: OperationSpec | None) -> Any:
        """What the device stands at, as the binding says it is read; None while that is unknown."""
        if spec is None or not spec.capture_before:
            return None
        reading = self.plant.of_site(at.names).tag(spec.capture_before)
        return reading.value if reading is not None and reading.good else None

    def _interlocked(self, at: SiteDevice) -> dict[str, str] | None:
        env: StaticEnvironment = self.plant.of_site(at.names)
        for text in at.spec.interlocks:
            value = compile_expression(text).evaluate(env)
            if value is not True:  # what cannot be told is a refusal
                why = value.reason if isinstance(value, Unknown) else "false"
                return {"expression": text, "why": why}
        return None
