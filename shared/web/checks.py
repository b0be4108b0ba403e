"""What `/healthz`, `/readyz` and `/metrics` ask a tier, without the web framework.

Made by each tier's bootstrap, read by `shared/web/health.py`; holds no logic.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Check = Callable[[], Awaitable[str]]
"""Empty: it holds; else a short code that says what does not."""


@dataclass(frozen=True, slots=True)
class HealthParts:
    """What the routes ask."""

    checks: dict[str, Check] = field(default_factory=dict)
    metrics: Callable[[], Awaitable[str]] | None = None
    """None: bound off."""
    details: bool = True
