"""Early warning at a factory: its plants, which windows people have judged, when a warning stands.

Pure. A plant is the numeric tags of one line. A window is labelled by what people recorded, and by
nothing else: what nobody has looked at is neither normal nor faulty.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from factory_brain.domain.shadow import DAY_MS, HOUR_MS, line_of
from shared.alarm.warning_schema import LEAST_TAGS, MOST_TAGS, WINDOW_MS, schema_hash
from shared.messages.warning import FAULTY, NORMAL, WITHDRAWN
from shared.site.assets import AssetTree
from shared.site.model import TagSpec

BEFORE_MS, AFTER_MS = 2 * HOUR_MS, 4 * HOUR_MS
"""Around a fault: neither normal nor, as far as anybody said, faulty."""
DRILLED_MS = 2 * HOUR_MS
"""A window whose last two hours saw a drill says nothing either: its slope goes back so far."""
NORMAL_A_DAY = 16
"""Normal windows of one judged day that are sent, chosen by a digest of their time."""
IN_A_ROW = 2
"""Windows that must agree before a warning is raised, and before it is cleared."""
CLEAR_SHARE = 0.8
"""Of the model's threshold, as a confidence: below it a window speaks against a warning."""
SILENT_CLEARS = 4
"""Windows in a row that could not be judged: nothing speaks for a warning any more."""
COMMISSIONING_DAYS = 4
COMMISSIONING_WINDOWS = 24
"""Windows of a day without an alarm of the line standing: fewer, and it is no such day."""
LATENESS_DAYS = 3
"""So old a day must be to count as free of faults: people record them days late."""
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plant:
    """The tags of a line that are looked at together."""

    key: str
    line: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Happened:
    """A recorded fault, or what people said of an occurrence or of a warning."""

    id: str
    asset: str
    start: int
    end: int
    label: str = "true"
    """true, nuisance or drill; a fault is `true`."""


@dataclass(frozen=True, slots=True)
class Record:
    """What people recorded of one line since some day."""

    faults: tuple[Happened, ...] = ()
    said: tuple[Happened, ...] = ()
    """Judged occurrences: they say that somebody has looked at that day."""
    verdicts: tuple[Happened, ...] = ()
    """Judged early warnings: they label their own windows."""
    drills: tuple[Span, ...] = ()
    """Drills of playbooks."""
    unjudged: tuple[Span, ...] = ()
    """Alarms and warnings that stood and of which nobody has said anything."""


Label = tuple[int, str]
"""(label, the fault or verdict that it comes from)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One judged window, as the rule sees it."""

    at: int
    confidence: float
    hit: bool
    """Above the model's threshold."""
    low: bool
    """Clearly below it."""
    silent: bool = False


def plants_of(tags: Mapping[str, TagSpec], assets: AssetTree) -> list[Plant]:
    """The lines with tags enough; of more than the most, the first by name."""
    lines: dict[str, list[str]] = {}
    for name, spec in tags.items():
        if spec.type == "number" and spec.report in ("change", "raw"):
            lines.setdefault(line_of(assets, spec.asset), []).append(name)
    found = []
    for line, names in sorted(lines.items()):
        if len(names) >= LEAST_TAGS:
            chosen = tuple(sorted(names)[:MOST_TAGS])
            found.append(Plant(schema_hash(chosen), line, chosen))
    return found


def overlaps(start: int, end: int, spans: Iterable[Span]) -> bool:
    """Whether [start, end) touches one of these."""
    return any(start < until and since < end for since, until in spans)


def judged_days(record: Record) -> set[int]:
    """Days of which people have said something."""
    found = {each.start // DAY_MS for each in (*record.said, *record.verdicts)}
    for fault in record.faults:
        found.update(range(fault.start // DAY_MS, fault.end // DAY_MS + 1))
    return found


def labelled(plant: Plant, site: str, record: Record, since: int, until: int) -> dict[int, Label]:
    """Window end -> what people made of it, for windows that end within (since, until].

    The record of faults goes before a verdict on a warning; a drill is no label. What a person
    confirmed, and what nobody has looked at, is not normal.
    """
    nothing, no_normal = _nothing(record), _no_normal(record)
    found: dict[int, Label] = {}
    for day in sorted(judged_days(record)):
        normal: list[int] = []
        never, hardly = _of_day(day, nothing), _of_day(day, no_normal)
        for end in _ends(day, since, until):
            label = _label(end, record, never, hardly)
            if label is None:
                continue
            if label == (NORMAL, ""):
                normal.append(end)
            else:
                found[end] = label if label[0] == FAULTY else (NORMAL, "")
        normal.sort(key=lambda end: _dice(site, plant.key, end))
        found.update((end, (NORMAL, "")) for end in normal[:NORMAL_A_DAY])
    return found


def _ends(day: int, since: int, until: int) -> Iterable[int]:
    first = day * DAY_MS + WINDOW_MS
    return (end for end in range(first, (day + 1) * DAY_MS + 1, WINDOW_MS) if since < end <= until)


def _nothing(record: Record) -> list[Span]:
    """Around a fault and after a drill nothing is said, not even by a verdict."""
    drills = [(s.start, s.end) for s in (*record.said, *record.verdicts) if s.label == "drill"]
    return [
        *_around(record.faults),
        *((start, end + DRILLED_MS) for start, end in (*drills, *record.drills)),
    ]


def _no_normal(record: Record) -> list[Span]:
    """Where an alarm or a warning was real, or nobody knows: a confirmed one has no fault yet."""
    said = (*record.said, *record.verdicts)
    return [*_around(s for s in said if s.label not in ("nuisance", "drill")), *record.unjudged]


def _around(happened: Iterable[Happened]) -> Iterable[Span]:
    return ((each.start - BEFORE_MS, each.end + AFTER_MS) for each in happened)


def _of_day(day: int, spans: Iterable[Span]) -> list[Span]:
    first, last = day * DAY_MS, (day + 1) * DAY_MS
    return [each for each in spans if overlaps(first, last, [each])]


def _label(
    end: int, record: Record, nothing: Sequence[Span], no_normal: Sequence[Span]
) -> Label | None:  # fmt: skip
    """A verdict's own normal window keeps its name, so that the daily choice does not drop it."""
    start = end - WINDOW_MS
    for fault in record.faults:
        if fault.start < end <= fault.end:
            return FAULTY, fault.id
    if overlaps(start, end, nothing):
        return None
    verdict = next((v for v in record.verdicts if v.start < end <= v.end), None)
    if verdict is not None and verdict.label == "true":
        return FAULTY, verdict.id
    if overlaps(start, end, no_normal) or (verdict is not None and verdict.label != "nuisance"):
        return None
    return NORMAL, "" if verdict is None else verdict.id


def _dice(site: str, plant: str, end: int) -> bytes:
    return hashlib.blake2b(f"{site}/{plant}/{end}".encode(), digest_size=8).digest()


def changes(wanted: Mapping[int, Label], sent: Mapping[int, Label]) -> dict[int, Label]:
    """What is to be sent: new labels, other labels, and windows that nobody judges any more."""
    found = {end: label for end, label in wanted.items() if sent.get(end) != label}
    gone = (WITHDRAWN, "")
    found.update(
        (end, gone) for end, label in sent.items() if end not in wanted and label != gone
    )  # fmt: skip
    return found


def moved(standing: bool, heard: Sequence[Heard]) -> bool:
    """Whether a warning stands after the newest of these windows, the oldest first.

    Two windows in a row raise it and two clear it; what lies between leaves it as it is.
    """
    newest = _in_a_row(heard)
    if not newest:
        return standing
    tail = newest[-IN_A_ROW:]
    if not standing:
        return len(tail) == IN_A_ROW and all(each.hit and not each.silent for each in tail)
    silent = newest[-SILENT_CLEARS:]
    if len(silent) == SILENT_CLEARS and all(each.silent for each in silent):
        return False
    return not (len(tail) == IN_A_ROW and all(each.low and not each.silent for each in tail))


def _in_a_row(heard: Sequence[Heard]) -> list[Heard]:
    """The newest windows without a gap in time."""
    found: list[Heard] = []
    for each in reversed(heard):
        if found and found[0].at - each.at != WINDOW_MS:
            break
        found.insert(0, each)
    return found


def commissioning(
    days: Iterable[int], faults: Sequence[Happened], alarms: Sequence[Span]
) -> dict[int, list[int]]:
    """Days without a fault near them -> ends of their windows in which no alarm stood."""
    around = [(f.start - BEFORE_MS, f.end + AFTER_MS) for f in faults]
    found: dict[int, list[int]] = {}
    for day in days:
        if overlaps(day * DAY_MS, (day + 1) * DAY_MS, around):
            continue
        ends = range(day * DAY_MS + WINDOW_MS, (day + 1) * DAY_MS + 1, WINDOW_MS)
        near = [each for each in alarms if overlaps(day * DAY_MS, (day + 1) * DAY_MS, [each])]
        quiet = [end for end in ends if not overlaps(end - WINDOW_MS, end, near)]
        if len(quiet) >= COMMISSIONING_WINDOWS:
            found[day] = quiet
    return found
