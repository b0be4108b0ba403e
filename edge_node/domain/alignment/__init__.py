"""Brings samples of different process steps together into rows that speak of the same material.

Four ways, one interface (`Aligner`):

- `Along(streams, lateness_ms=...)`: by time, each stream `at` so many milliseconds down the line;
- `Along(streams, belt=Belt("SPEED"), ...)`: by belt speed and distance, `at` in metres;
- `ByUnit(steps, ...)`: by the unit id (barcode, heat, batch) that each step reads;
- `ByGate(streams, gate="CUTTING", ...)`: one row for each time a Boolean signal was true.

    aligner = Along([Stream("ZONE-T", at=0.0), Stream("WIDTH", at=12.5)], belt=Belt("SPEED"))
    for row in aligner.feed("WIDTH", time_ms, 1250.0, 0):     # quality 0 is good
        row.values["ZONE-T"], row.marks["ZONE-T"]             # of the same metre of the plate
    rows = aligner.tick(now_ms)      # by the clock as well: a silent stream holds nothing up

Invalid samples (bad quality, NaN, outside `low`..`high`) are dropped and counted; gaps are filled
by the stream's stated method up to `max_gap`; every value says in `marks` how it came about
("" measured, "filled", "late", "missing") and `counters` says how often.
"""

from edge_node.domain.alignment.along import Along, Belt
from edge_node.domain.alignment.rows import Aligner, Counters, Fill, Mark, Row, Stream, Take
from edge_node.domain.alignment.units import ByGate, ByUnit, Step

__all__ = [
    "Aligner", "Along", "Belt", "ByGate", "ByUnit", "Counters", "Fill", "Mark", "Row", "Step",
    "Stream", "Take",
]  # fmt: skip
