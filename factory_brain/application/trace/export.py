"""The time line handed out: as CSV or PDF, one at a time, with its line in the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from factory_brain.application.trace.ports import TraceReads
from factory_brain.domain.trace.cells import as_csv
from shared.clock import Clock
from shared.web.dto_trace import TraceOut

AsPdf = Callable[[TraceOut, str, int, str], bytes]
"""(time line, language, made at, by whom) -> the document."""
TYPES = {"csv": "text/csv; charset=utf-8", "pdf": "application/pdf"}
WAIT_S = 30.0


class TraceExport:
    """Makes documents, in a thread: a long report holds up nobody's alarm."""

    def __init__(self, reads: TraceReads, clock: Clock, as_pdf: AsPdf) -> None:
        self._reads, self._clock, self._as_pdf = reads, clock, as_pdf
        self._one = asyncio.Semaphore(1)

    async def make(self, trace: TraceOut, form: str, language: str, actor: str) -> bytes:
        """The document; raises TimeoutError if others' reports take too long."""
        async with asyncio.timeout(WAIT_S):
            await self._one.acquire()
        try:
            if form == "csv":
                content = await asyncio.to_thread(as_csv, trace)
            else:
                now = self._clock.now_ms()
                content = await asyncio.to_thread(self._as_pdf, trace, language, now, actor)
        finally:
            self._one.release()
        said = {"format": form, "entries": len(trace.entries), "bytes": len(content)}
        await self._reads.audited(actor, "trace.exported", f"{trace.kind} {trace.id}"[:200], said)
        return content
