"""What consoles say aloud: each new alarm, in a flurry only how many more there are.

Sends words; the console speaks them in its reader's language, unless it is muted.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping

import msgspec

from factory_brain.domain.notify.wording import more_spoken, spoken
from factory_brain.domain.rows import Occurrence, sounds
from shared.alarm.definition import AlarmDefinition
from shared.clock import Clock

EVENT = "speak"
WINDOW_MS = 10_000
SINGLY = 3
"""So many are spoken one by one within a window; of priority 1 up to `CRITICAL`."""
CRITICAL = 6
KNOWN = 5000


class Speaking:
    """The console's voice."""

    def __init__(
        self, clock: Clock, send: Callable[[str, bytes], None],
        definitions: Mapping[str, AlarmDefinition],
    ) -> None:  # fmt: skip
        self._clock, self._send, self._definitions = clock, send, definitions
        self._known: OrderedDict[str, int] = OrderedDict()
        self._since: int | None = None
        self._said, self._more, self._worst = 0, 0, 4
        self._flurry = asyncio.Event()

    async def on_occurrence(self, occurrence: Occurrence, moved: bool) -> None:
        """A committed change: spoken if it is a new annunciation that still sounds."""
        version = occurrence.view.annunciated_version
        if not moved or not sounds(occurrence):
            return
        if self._known.get(occurrence.occurrence, -1) >= version:
            return
        self._known[occurrence.occurrence] = version
        self._known.move_to_end(occurrence.occurrence)
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
        self._say(occurrence)

    def _say(self, occurrence: Occurrence) -> None:
        now, priority = self._clock.mono_ms(), occurrence.transition.priority
        if self._since is None or now - self._since >= WINDOW_MS:
            self.flush()
            self._since, self._said = now, 0
        if self._said >= (CRITICAL if priority == 1 else SINGLY):
            self._more += 1
            self._worst = min(self._worst, priority)
            self._flurry.set()
            return
        self._said += 1
        definition = self._definitions.get(occurrence.alarm)
        names = (
            {"zh": definition.name.zh, "en": definition.name.en}
            if definition
            else {"zh": occurrence.alarm, "en": occurrence.alarm, **occurrence.transition.names}
        )
        self._tell(spoken(names, priority), priority, 1, occurrence.alarm)

    def _tell(self, text: dict[str, str], priority: int, count: int, alarm: str) -> None:
        body = {"text": text, "priority": priority, "count": count, "alarm": alarm,
                "at": self._clock.now_ms()}  # fmt: skip
        self._send(EVENT, msgspec.json.encode(body))

    def flush(self) -> None:
        """Say how many more there were."""
        if self._more:
            more, worst, self._more, self._worst = self._more, self._worst, 0, 4
            self._tell(more_spoken(more), worst, more, "")

    async def run(self) -> None:
        """At the end of each window of a flurry, say the rest."""
        while True:
            await self._flurry.wait()
            self._flurry.clear()
            left = WINDOW_MS - (self._clock.mono_ms() - (self._since or 0))
            await asyncio.sleep(max(left, 0) / 1000)
            self.flush()
            self._since = None
