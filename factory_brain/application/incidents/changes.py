"""What late data and people's joining do to incidents that exist: merged, renamed, split. Pure.

Nothing that people said is lost: an incident that is no more points to the one that has its alarms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from factory_brain.application.incidents.ports import MERGED, Entry, Incident, Member
from factory_brain.domain.incidents.life_cycle import STATUSES, Status, united


@dataclass(frozen=True, slots=True)
class Change:
    """Occurrences that changed their incident."""

    before: Mapping[str, Member]
    after: Mapping[str, str]

    @property
    def olds(self) -> set[str]:
        """Incidents that lost some."""
        return {each.incident for each in self.before.values() if each.incident}


def united_rows(
    change: Change, members: Mapping[str, Sequence[Member]], rows: dict[str, Incident], now: int,
    entries: list[Entry],
) -> list[tuple[str, str]]:  # fmt: skip
    """Change `rows` and add to `entries`; returns (old, new) of those whose time line moves."""
    gone: list[tuple[str, str]] = []
    for old in sorted(change.olds):
        left = sorted(
            (each for each in change.before.values() if each.incident == old),
            key=lambda each: each.seen.order,
        )
        counts: dict[str, int] = {}
        for each in left:
            new = change.after[each.seen.occurrence]
            counts[new] = counts.get(new, 0) + 1
        heir = change.after[left[0].seen.occurrence]
        for new, count in sorted(counts.items()):
            if members.get(old) or new != heir:
                entries.append(_entry(old, now, "incident_split", other=new, alarms=count))
                entries.append(_entry(new, now, "incident_split_from", other=old, alarms=count))
        if not members.get(old) and old in rows:
            _hand_over(rows, old, heir, counts[heir], now, entries)
            gone.append((old, heir))
    return gone


def _hand_over(
    rows: dict[str, Incident], old: str, heir: str, alarms: int, now: int, entries: list[Entry]
) -> None:
    mine, theirs = rows[old], rows.get(heir)
    if theirs is None or theirs.status == MERGED:
        # An earlier alarm came late: the same incident under the name of its new first.
        rows[heir] = replace(mine, id=heir)
        entries.append(_entry(heir, now, "incident_renamed", other=old))
    else:
        status = united([_status(mine), _status(theirs)])
        closed = status == "closed"
        rows[heir] = replace(
            theirs, status=status, owner=theirs.owner or mine.owner,
            opened_at=min(mine.opened_at, theirs.opened_at),
            closed_at=theirs.closed_at if closed else None,
            closed_by=theirs.closed_by if closed else "",
        )  # fmt: skip
        entries.append(_entry(heir, now, "incident_merged", other=old, alarms=alarms))
    rows[old] = replace(
        mine, status=MERGED, merged_into=heir, alarms=0, standing=0, unacked=0, first_out=()
    )


def _status(row: Incident) -> Status:
    return STATUSES[STATUSES.index(row.status)] if row.status in STATUSES else STATUSES[0]


def _entry(incident: str, now: int, kind: str, **params: object) -> Entry:
    return Entry(incident, now, "alarm", kind, params)
