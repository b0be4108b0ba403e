"""One row of the journal as figures and export see it, and of which alarms they ask. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from shared.alarm.kpi.records import Record


@dataclass(frozen=True, slots=True)
class Scope:
    """Of which alarms: these only, of this source only; None: of all."""

    alarms: Collection[str] | None = None
    source: str | None = None


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the journal with its exact time and what names it in an export."""

    time: int
    record: Record
    tag: str
    side: str
    source: str
    occurrence: str
