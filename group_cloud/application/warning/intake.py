"""Takes labelled windows and answers to models from the factories, in the receiver's transaction.

What is out of its bounds is refused and logged: a number that is no sigma would teach nonsense. It
learns nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from group_cloud.application.ports import Transaction
from group_cloud.application.warning.ports import WarningRows
from shared.alarm.warning_checks import windows_fault
from shared.messages.warning import WarningWindows
from shared.telemetry import logger

log = logger("warning")
AHEAD_MS = 3_600_000
"""A factory's clock may be a little ahead."""


class WindowIntake:
    """What comes up of windows."""

    def __init__(self, rows: WarningRows) -> None:
        self._rows = rows
        self.refused = 0
        self.on_windows: Callable[[], None] = lambda: None

    async def take(self, tx: Transaction, site: str, body: WarningWindows, at: int) -> None:
        """Keep what is newer; a repetition changes nothing."""
        why = windows_fault(body, at + AHEAD_MS)
        if body.site != site:
            why = "windows of another factory"
        if not why and not await self._rows.keep_windows(tx, body, at):
            why = "more plants than a factory may have"
        if why:
            self.refused += 1
            log.error("windows_refused", site=site, why=why, refused=self.refused)
            return
        self.on_windows()
