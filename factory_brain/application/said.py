"""What stands said about every alarm: kept in memory for the rows, rebuilt from the stored facts.

Asked for each row that is made; read anew after each commit that brought a fact. Owns no truth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from factory_brain.application.ports import Transaction
from factory_brain.domain.holds import NOTHING_SAID, SaidOfAlarm, Stated, said_of

Send = Callable[[str, bytes], None]
EVENT = "facts"


class Facts(Protocol):
    """Reads of the stored facts."""

    async def stated(self, alarms: list[str] | None) -> list[Stated]:
        """The newest facts of each kind about these alarms, or about all."""
        ...

    async def fact(self, tx: Any, fact_id: str) -> Stated | None:
        """One fact."""
        ...


class Said:
    """By alarm: holds, pending actions, the newest refusal."""

    def __init__(self, facts: Facts, send: Send) -> None:
        self._facts, self._send = facts, send
        self._by_alarm: dict[str, SaidOfAlarm] = {}
        self._asked = 0
        self._read: dict[str, int] = {}
        """Alarm -> the question whose answer stands."""
        self.on_change: list[Callable[[str], None]] = []
        """Told the alarm whose row wants to be made anew."""

    async def load(self) -> None:
        """Read all of it, at start."""
        gathered: defaultdict[str, list[Stated]] = defaultdict(list)
        for each in await self._facts.stated(None):
            gathered[each.fact.alarm].append(each)
        self._by_alarm = {alarm: said_of(stated) for alarm, stated in gathered.items()}

    def of(self, alarm: str) -> SaidOfAlarm:
        """What stands said about an alarm."""
        return self._by_alarm.get(alarm, NOTHING_SAID)

    @property
    def alarms(self) -> list[str]:
        """Alarms about which anything was ever said."""
        return list(self._by_alarm)

    async def stated(self, tx: Transaction, fact_id: str) -> Stated | None:
        """One fact as it is stored."""
        return await self._facts.fact(tx, fact_id)

    async def changed(self, alarm: str) -> None:
        """Read an alarm's facts anew, after a commit; viewers hear of a new refusal."""
        self._asked += 1
        mine = self._asked
        said = said_of(await self._facts.stated([alarm]))
        if self._read.get(alarm, 0) > mine:
            return  # asked later, answered earlier: that one knows more
        self._read[alarm] = mine
        before = self.of(alarm)
        self._by_alarm[alarm] = said
        if said.refused is not None and said.refused != before.refused:
            told = {"alarm": alarm, "refused": msgspec.to_builtins(said.refused)}
            self._send(EVENT, msgspec.json.encode(told))
        for listener in self.on_change:
            listener(alarm)
