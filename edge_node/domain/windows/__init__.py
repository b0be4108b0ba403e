"""Windowed figures of tags in event time: what expressions ask of the last so many seconds.

`TagWindows` holds the windows of one tag; the pipeline feeds it good samples. Bounded memory; late
samples are marked and counted, and correct what is still kept. Knows no alarms, reads no clock.
"""

from edge_node.domain.windows.assigned import Assigned, Closed, Session
from edge_node.domain.windows.figures import Figures, Late, percentile
from edge_node.domain.windows.of_tag import LATENESS_MS, TagWindows
from edge_node.domain.windows.sliding import Sliding

__all__ = [
    "LATENESS_MS", "Assigned", "Closed", "Figures", "Late", "Session", "Sliding", "TagWindows",
    "percentile",
]  # fmt: skip
