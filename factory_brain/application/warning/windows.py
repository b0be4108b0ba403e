"""Sends the windows that people have judged up to the group: never others, never raw signals.

Run by the brain that leads. What was sent is noted window by window in the transaction that sends
it; a fault that comes late, moves or is withdrawn sends its windows again with other labels.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from factory_brain.application.shadow.ports import Group
from factory_brain.application.warning.norms import Norms
from factory_brain.application.warning.ports import Norm, Reads, Rows, Samples
from factory_brain.domain.shadow import DAY_MS, HOUR_MS
from factory_brain.domain.warning import Label, Plant, changes, labelled
from shared.alarm.warning_schema import WINDOW_MIN, WINDOW_MS
from shared.clock import Clock
from shared.messages.warning import WITHDRAWN, WarningWindows
from shared.site.assets import AssetTree
from shared.telemetry import logger

log = logger("warning")
SETTLED_MS = 2 * HOUR_MS
"""A window is sent when this long has passed: edges bring what they held back."""
DAYS_BACK = 30
MOST_A_DAY = 480
"""Windows of one plant that are sent within a day; the rest waits for the next."""
EVERY_S = 1800.0
FIRST_S = 120.0
"""After a start alarms come first."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the sending stands on."""

    site: str
    plants: Callable[[], list[Plant]]
    assets: Callable[[], AssetTree]
    clock: Clock
    rows: Rows
    reads: Reads
    samples: Samples
    group: Group


class WindowSender:
    """Labelled windows on their way up."""

    def __init__(self, ground: Ground, norms: Norms) -> None:
        self._ground, self._norms = ground, norms
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """People have recorded something."""
        self._wake.set()

    async def run(self) -> None:
        """Send for ever."""
        wait = FIRST_S
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
                await asyncio.sleep(FIRST_S / 4)  # a person corrects what was just said
            except TimeoutError:
                pass
            self._wake.clear()
            await self.round()
            wait = EVERY_S

    async def round(self) -> int:
        """Send what has changed; returns how many windows."""
        sent = 0
        for plant in self._ground.plants():
            sent += await self._plant(plant)
        return sent

    async def _plant(self, plant: Plant) -> int:
        ground, now = self._ground, self._ground.clock.now_ms()
        since = (now // DAY_MS - DAYS_BACK) * DAY_MS
        record = await ground.reads.record(ground.assets(), plant.line, since)
        sent = await ground.rows.sent(plant.key, since)
        if not sent and not (record.faults or record.said or record.verdicts):
            return 0  # nobody has judged anything: not even the commissioning is looked for
        norm = await self._norms.of(plant)
        if isinstance(norm, str):
            return 0
        begin = max(since, (norm.until + 1) * DAY_MS)
        wanted = labelled(plant, ground.site, record, begin, now - SETTLED_MS)
        due = changes(wanted, {end: label for end, label in sent.items() if end > begin})
        room = MOST_A_DAY - await ground.rows.sent_today(plant.key, now // DAY_MS * DAY_MS)
        chosen = dict(sorted(due.items())[: max(0, room)])
        if len(chosen) < len(due):
            log.info("windows_wait", plant=plant.key, sent=len(chosen), waiting=len(due))
        days: dict[int, dict[int, Label]] = defaultdict(dict)
        for end, label in chosen.items():
            days[(end - 1) // DAY_MS][end] = label
        for day, labels in sorted(days.items()):
            await self._day(plant, norm, day, labels)
        return len(chosen)

    async def _day(self, plant: Plant, norm: Norm, day: int, labels: Mapping[int, Label]) -> None:
        from factory_brain.application.warning import vectors  # numpy comes with the first use

        ground = self._ground
        first = day * DAY_MS - vectors.LEAD * WINDOW_MS
        count = (vectors.LEAD + DAY_MS // WINDOW_MS) * WINDOW_MIN
        found: dict[int, bytes] = {}
        if any(label != WITHDRAWN for label, _ in labels.values()):
            minutes = await ground.samples.minutes(plant.tags, first, count)
            found = await asyncio.to_thread(vectors.vectors, norm, minutes, labels)
        empty = vectors.none_of(len(plant.tags))
        told = [
            (end, *label, empty if label[0] == WITHDRAWN else found[end])
            for end, label in labels.items() if label[0] == WITHDRAWN or end in found
        ]  # fmt: skip
        async with ground.rows.transaction() as tx:
            await ground.group.fence(tx)
            # A window without samples is noted as well: it would be looked for in every round.
            revision = await ground.rows.mark_sent(
                tx, plant.key, labels, ground.clock.now_ms()
            )  # fmt: skip
            if told:
                body = WarningWindows(
                    site=ground.site, plant=plant.key, line=plant.line, tags=list(plant.tags),
                    revision=revision, times=[t[0] for t in told], labels=[t[1] for t in told],
                    faults=[t[2] for t in told], vectors=b"".join(t[3] for t in told),
                )  # fmt: skip
                await ground.group.say(tx, "warning_windows", body)
        log.info("windows_sent", plant=plant.key, day=day, windows=len(told))
