"""The alarm list as JSON, row by row: a row is encoded once for as long as it stays the same.

Called by the list's route; a model's response for every reader costs several times as much.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.web.dto import AlarmRow, AlarmSnapshot

_NO_ROWS = b'"rows":[]'


class ListJson:
    """Keeps the encoded rows beside the rows that they were made of."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[AlarmRow, bytes]] = {}

    def encode(self, empty: AlarmSnapshot, rows: Mapping[str, AlarmRow]) -> bytes:
        """The JSON of a snapshot that has no rows, with `rows` (by alarm) in it."""
        kept = self._kept
        if len(kept) > len(rows) + 1000:
            self._kept = kept = {alarm: kept[alarm] for alarm in rows if alarm in kept}
        parts: list[bytes] = []
        for alarm, row in rows.items():
            known = kept.get(alarm)
            if known is None or known[0] is not row:
                known = kept[alarm] = (row, row.model_dump_json().encode())
            parts.append(known[1])
        head, found, tail = empty.model_dump_json().encode().partition(_NO_ROWS)
        assert found
        return b"".join((head, b'"rows":[', b",".join(parts), b"]", tail))
