"""What a trial of the whole plant on one machine sets otherwise than a plant does: nobody waits.

Used by the plan of `andon up`; a real plant's settings are in its own files.
"""

from __future__ import annotations

from typing import Any

CLOUD: dict[str, Any] = {
    "rollout_policy": "fast",
    # Long enough on its line for a fault to be seen that a bad setting keeps quiet about.
    "rollout_policies": {
        "watched": {"like": "fast", "dwell_s": {"canary_line": 90.0}, "min_coverage": 0.0}
    },
}
"""A roll-out in minutes, not in weeks."""
BRAIN: dict[str, Any] = {"shadow_every": "10s", "shadow_running_day": True}
"""Candidates are counted at once, not at the day's end."""
