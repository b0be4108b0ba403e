"""What was gathered of the brain's own firings; the fold itself is `shared/playbook/throttle.py`.

Used by the triggers and their store. Pure.
"""

from __future__ import annotations

from shared.playbook.throttle import Taken, Window, take

__all__ = ["Taken", "Window", "take"]
