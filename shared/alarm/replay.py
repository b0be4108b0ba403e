"""What another setting, a shelf or a suppression would have made of alarms that happened.

Pure. Called by `andon alarms replay` over a journal and by the brain over stored samples: it only
compares episodes, and says of each alarm whether it would have vanished, come later, or been new.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge

from shared.alarm.kpi.records import RAISED, RETURNED, Record

Episode = tuple[int, int | None]
"""When it was raised and when it cleared; None: it still stood at the end."""
Journal = Mapping[str, Sequence[Episode]]
"""alarm -> its episodes, oldest first."""
TEN_MIN_MS = 600_000


@dataclass(frozen=True, slots=True)
class Delays:
    """An on- and an off-delay for the alarms that fit a pattern."""

    on_ms: int = 0
    off_ms: int = 0
    pattern: str = "*"

    def of(self, alarm: str, episodes: Sequence[Episode]) -> list[Episode]:
        """The episodes as these delays would have told them."""
        return delayed(episodes, self.on_ms, self.off_ms) if fits(self.pattern, alarm) else [
            *episodes
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hiding:
    """A shelf (for a time) or a suppression (while another alarm stands)."""

    pattern: str
    since: int | None = None
    until: int | None = None
    cause: str = ""
    """The alarm that suppresses; empty: a shelf."""

    def of(self, alarm: str, episodes: Sequence[Episode], journal: Journal) -> list[Episode]:
        """The episodes without what was hidden; what still stands afterwards is told then."""
        if not fits(self.pattern, alarm) or alarm == self.cause:
            return [*episodes]
        spans: Sequence[Episode] = journal.get(self.cause, ()) if self.cause else [
            (self.since if self.since is not None else -(1 << 62), self.until)
        ]  # fmt: skip
        return uncovered(episodes, spans)


Trial = tuple[Delays | Hiding, ...]
"""What is tried together; delays first come first."""


@dataclass(frozen=True, slots=True)
class Later:
    """An alarm that would have been told, but later."""

    raised_at: int
    cleared_at: int | None
    told_at: int


@dataclass(frozen=True, slots=True)
class Compared:
    """What became of the alarms of one point."""

    before: int
    after: int
    vanish: list[Episode]
    later: list[Later]
    new: list[Episode]
    """Told by the new setting where the old one told nothing."""


def fits(pattern: str, alarm: str) -> bool:
    """Whether a pattern (`*`, `FIR*`, `FIR123|H`) means an alarm."""
    return fnmatch.fnmatchcase(alarm, pattern)


def episodes_of(records: Iterable[Record]) -> tuple[dict[str, list[Episode]], int]:
    """Every alarm's episodes from its raises and returns, and how many raises were repeats."""
    found: dict[str, list[Episode]] = {}
    repeats = 0
    for each in records:
        mine = found.setdefault(each.alarm, [])
        stands = bool(mine) and mine[-1][1] is None
        if each.kind == RAISED:
            repeats += stands
            if not stands:
                mine.append((each.time, None))
        elif each.kind == RETURNED and stands:
            mine[-1] = (mine[-1][0], each.time)
    return {alarm: mine for alarm, mine in found.items() if mine}, repeats


def delayed(episodes: Sequence[Episode], on_ms: int, off_ms: int) -> list[Episode]:
    """Told is what stands for the on-delay; it is over when it has been away for the off-delay.

    >>> delayed([(0, 10), (20, 90), (95, 200)], 60, 10)
    [(80, 210)]
    """
    told: list[Episode] = []
    for began, ended in episodes:
        if told and ((last := told[-1][1]) is None or began < last):
            # It came back before the off-delay was over: still the same alarm.
            told[-1] = (told[-1][0], None if ended is None else ended + off_ms)
        elif ended is None or ended - began >= on_ms:
            told.append((began + on_ms, None if ended is None else ended + off_ms))
    return told


def uncovered(episodes: Sequence[Episode], spans: Sequence[Episode]) -> list[Episode]:
    """Episodes as told where nothing is told within `spans`.

    What was told before a span stays told; what begins in it is told at its end, if it still
    stands then.
    """
    found: list[Episode] = []
    for began, ended in episodes:
        at: int | None = began
        for since, until in spans:
            if at is not None and since <= at and (until is None or at < until):
                at = until
        if at is not None and (ended is None or at < ended):
            found.append((at, ended))
    return found


def tried(journal: Journal, trial: Trial) -> dict[str, list[Episode]]:
    """The journal as the trial would have told it."""
    told = {alarm: [*episodes] for alarm, episodes in journal.items()}
    for part in trial:
        if isinstance(part, Delays):
            told = {alarm: part.of(alarm, mine) for alarm, mine in told.items()}
        else:
            told = {alarm: part.of(alarm, mine, told) for alarm, mine in told.items()}
    return told


def compare(now: Sequence[Episode], new: Sequence[Episode]) -> Compared:
    """Hold the alarms of one point against what another setting would have told.

    Each new one is the first old one's that it overlaps and that has none yet; an old one without
    any vanishes, also where it would have been a part of the one before it.
    """
    vanish, later, fresh, place = list[Episode](), list[Later](), list[Episode](), 0
    for began, ended in new:
        while place < len(now) and _over(now[place], began):
            vanish.append(now[place])
            place += 1
        if place == len(now) or (ended is not None and now[place][0] >= ended):
            fresh.append((began, ended))
            continue
        if began > now[place][0]:
            later.append(Later(*now[place], began))
        place += 1
    return Compared(len(now), len(new), [*vanish, *now[place:]], later, fresh)


def _over(episode: Episode, at: int) -> bool:
    return episode[1] is not None and episode[1] < at


def worst_ten_minutes(journal: Journal) -> int:
    """The most alarms within any ten minutes."""
    times = [at for at in merge(*([began for began, _ in mine] for mine in journal.values()))]
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - TEN_MIN_MS:
            first += 1
        most = max(most, last - first + 1)
    return most


def standing_ms(journal: Journal, end: int) -> int:
    """How long alarms stood in all, until `end`."""
    return sum(
        max(0, (end if ended is None else min(ended, end)) - began)
        for mine in journal.values()
        for began, ended in mine
    )
