"""What a learnt setting may never do, whatever its score: bounds, locked points, steps, expiry.

Asked by the trainer before a proposal and again before signing; the plant asks again by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.alarm.definition import Bounds
from shared.alarm.point import Setting
from shared.alarm.shadow import longest_delay, outside
from shared.errors import Rejected

MAX_STEPS = 2
"""Limit steps of one push."""
DIRECTIVE_TTL_MS = 7 * 86_400_000
"""A directive nobody took up within a week rests on evidence that has aged."""
_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Guardrails:
    """The limits of one alarm point's tuning."""

    bounds: Bounds
    step: float
    """Size of one limit step in the tag's unit; 0 if unknown."""

    def refuse(self, current: Setting, new: Setting) -> Rejected | None:
        """Why `new` may not replace `current`, None if it may."""
        return outside(self.bounds, current, new) or self._leap(current, new)

    def _leap(self, current: Setting, new: Setting) -> Rejected | None:
        moved = abs(new.limit - current.limit)
        if moved > MAX_STEPS * self.step * (1 + _SLACK):
            return Rejected("step_too_large", {"moved": moved, "max": MAX_STEPS * self.step})
        for name, now, was in (
            ("on_delay", new.on_delay_ms, current.on_delay_ms),
            ("off_delay", new.off_delay_ms, current.off_delay_ms),
        ):
            if now > longest_delay(was):
                return Rejected(
                    "delay_step_too_large",
                    {"delay": name, "delay_s": now / 1000, "max_s": longest_delay(was) / 1000},
                )
        return None


def expiry(issued_at: int) -> int:
    """When a directive issued now ends."""
    return issued_at + DIRECTIVE_TTL_MS


def expired(expires_at: int, now: int) -> bool:
    """Whether a directive may no longer be taken up."""
    return now >= expires_at
