"""What a window of early warning is: its length, its parts, the bounds of a plant, their digest.

Read by whoever makes windows, sends them or takes them; free of numpy, so that a tier may start
without it. It computes no window.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

WINDOW_MIN = 30
WINDOW_MS = WINDOW_MIN * 60_000
DAY = 48
"""Windows whose median is the tag's own normal of late: drift of an instrument is no event."""
SLOPE = 4
"""Windows (2 h) over which the slope is taken ..."""
LONG = 8
"""... and (4 h) over which the deviation is averaged."""
LEAD = DAY + LONG
"""Windows before one whose past it needs to be what an unbroken run would make it."""
PARTS = ("deviation", "slope", "long_deviation", "spread")
SCHEMA = "warning-windows/v1"
MODEL_SCHEMA = "warning-model/v1"
LIMIT = 30.0
FLOOR = 0.05
LEAST_TAGS, MOST_TAGS = 3, 64
"""Tags of a plant: fewer tell nothing of each other, more make a model that is too large."""


def schema_hash(tags: Sequence[str]) -> str:
    """A digest of what a feature vector means: two models are comparable only if it is equal.

    It names a plant: the same tags in the same order, cut into the same windows.
    """
    meaning = [SCHEMA, list(PARTS), WINDOW_MIN, DAY, SLOPE, LONG, LIMIT, FLOOR, list(tags)]
    return hashlib.blake2b(json.dumps(meaning).encode(), digest_size=8).hexdigest()
