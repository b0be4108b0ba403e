"""What a drill has seen so far: first sightings of alarm states, run statuses and writes.

Fed by the drill's poller, asked by its expectations; pure, no clock and no IO.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shared.web.dto import AlarmRow, Run
from simulators.scenario import Expectation, WriteExpectation


class Observations:
    """First sightings since the start of the drill, in UTC milliseconds."""

    def __init__(self, old_runs: Iterable[str]) -> None:
        self._old_runs = frozenset(old_runs)
        self._alarms: dict[tuple[str, str], int] = {}
        self._statuses: dict[tuple[str, str], int] = {}
        self.rows: dict[str, AlarmRow] = {}
        self.runs: dict[str, Run] = {}
        """Newest run of each playbook that began during the drill."""
        self.writes: list[dict[str, Any]] = []

    def see_alarms(self, rows: Iterable[AlarmRow], now: int) -> None:
        """Take a whole alarm list."""
        self.rows = {row.alarm: row for row in rows}
        for row in self.rows.values():
            if row.active:
                self._first(row.alarm, "raised", row.raised_at)
            if row.acked and (row.alarm, "raised") in self._alarms:
                self._first(row.alarm, "acknowledged", row.acked_at or now)
        for alarm, state in list(self._alarms):
            row = self.rows.get(alarm)
            # A row leaves the list only after it returned to normal.
            if state == "raised" and (row is None or not row.active):
                self._first(alarm, "returned", (row.returned_at if row else None) or now)

    def see_runs(self, runs: Iterable[Run], now: int) -> None:
        """Take a list of runs, in any order."""
        for run in sorted(runs, key=lambda r: r.started_at):
            if run.id in self._old_runs:
                continue
            self.runs[run.playbook] = run
            # A run may pass through `running` between two polls: that it began is enough.
            self._statuses.setdefault((run.playbook, "running"), run.started_at)
            self._statuses.setdefault((run.playbook, run.status), run.ended_at or now)

    def see_writes(self, writes: Iterable[dict[str, Any]]) -> None:
        """Take the writes that are new since the last poll."""
        self.writes.extend(writes)

    def matching(self, expected: WriteExpectation) -> list[dict[str, Any]]:
        """Every accepted write that is as expected."""
        return [
            write
            for write in self.writes
            if write["plant"] == expected.plant
            and expected.address in (write["address"], write["signal"])
            and write["accepted"]
            and expected.matches(write["value"])
        ]

    def when(self, expected: Expectation) -> int | None:
        """When the expected thing happened, or None when it has not been seen."""
        if expected.alarm is not None:
            return self._alarms.get((expected.alarm, expected.state))
        if expected.write is not None:
            found = self.matching(expected.write)
            return int(found[0]["at"]) if found else None
        if expected.run is not None:
            return self._statuses.get((expected.run.playbook, expected.run.status))
        return None

    def _first(self, alarm: str, state: str, at: int) -> None:
        self._alarms.setdefault((alarm, state), at)
