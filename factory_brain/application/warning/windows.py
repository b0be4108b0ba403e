"""Sends the windows that people have judged up to the group: never others, never raw signals.

Run by the brain that leads. What was sent is noted window by window in the transaction that sends
it; a fault that comes late, moves or is withdrawn sends its windows again with other labels.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from factory_brain.application.shadow.ports import Group
from factory_brain.application.warning import off_loop
from factory_brain.application.warning.norms import Norms
from factory_brain.application.warning.ports import Norm, Reads, Rows, Samples
from factory_brain.domain.shadow import DAY_MS, HOUR_MS
from factory_brain.domain.warning import Label, Plant, changes, labelled
from shared.alarm.warning_schema import LEAD, WINDOW_MIN, WINDOW_MS
from shared.clock import Clock
from shared.messages.warning import PARTS, WITHDRAWN, WarningWindows
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
Told = tuple[int, int, str, bytes]
"""Window end, label, the fault that it comes from, vector."""


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
        """Send what has changed; returns how many windows.

        A plant whose windows cannot be sent stops no other: its fault is raised after all of them.
        """
        sent, faults = 0, list[Exception]()
        for plant in self._ground.plants():
            try:
                sent += await self._plant(plant)
            except Exception as error:  # of one plant, whatever it is: the others go on
                log.error("windows_not_sent", plant=plant.key, error=repr(error))
                faults.append(error)
        if faults:
            raise faults[0]
        return sent

    async def _plant(self, plant: Plant) -> int:
        ground, now = self._ground, self._ground.clock.now_ms()
        since = (now // DAY_MS - DAYS_BACK) * DAY_MS
        record = await ground.reads.record(ground.assets(), plant.line, since, now)
        sent = await ground.rows.sent(plant.key, since)
        if not sent and not (record.faults or record.said or record.verdicts):
            return 0  # nobody has judged anything: not even the commissioning is looked for
        norm = await self._norms.of(plant)
        if isinstance(norm, str):
            return 0
        begin = max(since, (norm.until + 1) * DAY_MS)
        wanted = await asyncio.to_thread(
            labelled, plant, ground.site, record, begin, now - SETTLED_MS
        )  # fmt: skip
        due = changes(wanted, {end: label for end, label in sent.items() if end > begin})
        room = MOST_A_DAY - await ground.rows.sent_today(plant.key, now // DAY_MS * DAY_MS)
        chosen = dict(sorted(due.items())[: max(0, room)])
        if len(chosen) < len(due):
            log.info("windows_wait", plant=plant.key, sent=len(chosen), waiting=len(due))
        days: dict[int, dict[int, Label]] = defaultdict(dict)
        for end, label in chosen.items():
            days[(end - 1) // DAY_MS][end] = label
        for day, labels in sorted(days.items()):
            told = _told(plant, labels, await self._vectors(plant, norm, day, labels), sent)
            await self._day(plant, day, labels, told)
        return len(chosen)

    async def _vectors(
        self, plant: Plant, norm: Norm, day: int, labels: Mapping[int, Label]
    ) -> dict[int, bytes]:
        if all(label == WITHDRAWN for label, _ in labels.values()):
            return {}
        first = day * DAY_MS - LEAD * WINDOW_MS
        count = (LEAD + DAY_MS // WINDOW_MS) * WINDOW_MIN
        minutes = await self._ground.samples.minutes(plant.tags, first, count)
        return await off_loop.vectors(norm, minutes, labels)

    async def _day(
        self, plant: Plant, day: int, labels: Mapping[int, Label], told: Sequence[Told]
    ) -> None:
        ground = self._ground
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


def _told(
    plant: Plant, labels: Mapping[int, Label], found: Mapping[int, bytes], sent: Mapping[int, Label]
) -> list[Told]:
    """What the group hears. A window that lost its samples is withdrawn if it was sent before:
    what the group holds of it is what nobody says any more."""
    empty = bytes(array("f", [0.0] * PARTS * len(plant.tags)))
    told: list[Told] = []
    for end, (label, fault) in labels.items():
        if label != WITHDRAWN and end in found:
            told.append((end, label, fault, found[end]))
        elif label == WITHDRAWN or sent.get(end, (WITHDRAWN, ""))[0] != WITHDRAWN:
            told.append((end, WITHDRAWN, "", empty))
    return told
