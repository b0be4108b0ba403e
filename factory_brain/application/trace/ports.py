"""What the trace needs beside alarms, incidents and units. Implemented by `trace_reads.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Row = dict[str, Any]
MOST = 500
"""Rows of one kind that are read at most; as many mean that there may be more."""


class TraceReads(Protocol):
    """What was told to whom, and what else is kept beside occurrences."""

    async def notified(self, occurrences: Sequence[str]) -> list[Row]:
        """The delivery log of people's channels: at, outcome, person, channel, reason."""
        ...

    async def noticed(self, occurrences: Sequence[str], since: int) -> list[Row]:
        """Notices to devices: at, device, status, sent_at, ended_at."""
        ...

    async def delivered(self, occurrences: Sequence[str], since: int, until: int) -> list[Row]:
        """Webhooks: at, outbound, type, status, attempt, ended_at."""
        ...

    async def attached(self, occurrences: Sequence[str], incident: str) -> list[Row]:
        """Files: at, by, name."""
        ...

    async def runs(self, occurrences: Sequence[str]) -> list[Row]:
        """Ends of playbook runs: playbook, status, started_at, ended_at."""
        ...

    async def directives(self, edges: list[str], since: int, until: int) -> list[Row]:
        """What the group had changed on these edges in that time."""
        ...

    async def audited(self, actor: str, action: str, target: str, data: Row) -> None:
        """Append to the audit log."""
        ...
