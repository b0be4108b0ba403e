"""From database rows to the values of incidents, and the statements that read them.

Used by `incident_store.py` and `incident_reads.py`; decides nothing.
"""

from __future__ import annotations

from dataclasses import fields

import asyncpg
import msgspec

from factory_brain.application.incidents.ports import Incident, Member, Shown
from factory_brain.domain.incidents.grouping import Place
from factory_brain.domain.incidents.seen import Seen
from shared.alarm.states import AlarmState

_state = msgspec.json.Decoder(dict).decode
MEMBERS = (
    "SELECT m.occurrence, m.alarm, m.asset, m.edge, m.at, m.uncertainty, m.grp, m.group_at, "
    "m.group_first, m.incident, m.first_out, m.hidden_behind, m.hidden_rule, m.marks, "
    "o.raised_at, o.returned_at, o.open, o.label, o.run, o.local_action, "
    "(o.transition->>'priority')::int AS priority, "
    "coalesce((o.transition->>'annunciated_version')::int, 0) AS annunciated, "
    "(o.transition->'state')::text AS state, "
    "EXISTS (SELECT 1 FROM fact f WHERE f.occurrence = m.occurrence AND f.action = 'acknowledge' "
    "AND f.result IS DISTINCT FROM 'refused' AND f.version_seen >= "
    "coalesce((o.transition->>'annunciated_version')::int, 0)) AS said "
    "FROM incident_member m JOIN occurrence o ON o.occurrence = m.occurrence "
)
INCIDENT_FIELDS = tuple(each.name for each in fields(Incident))
INCIDENTS = f"SELECT {', '.join(INCIDENT_FIELDS)}, changed FROM incident "


def member(row: asyncpg.Record) -> Member:
    """One occurrence in its incident."""
    state = AlarmState.from_dict(_state(row["state"]))
    seen = Seen(
        occurrence=row["occurrence"],
        alarm=row["alarm"],
        asset=row["asset"],
        edge=row["edge"],
        at=row["at"],
        uncertainty=row["uncertainty"],
        priority=row["priority"],
        raised_at=row["raised_at"],
        returned_at=row["returned_at"],
        active=state.active,
        acked=state.acked or row["said"],
        open=row["open"],
        hidden=state.hidden or not state.enabled,
        annunciated=row["annunciated"] > 0,
    )
    place = Place(row["grp"], row["group_at"], row["group_first"]) if row["grp"] else None
    shown = Shown(row["first_out"], row["hidden_behind"], row["hidden_rule"], tuple(row["marks"]))
    return Member(
        seen, place, row["incident"], shown, row["label"], row["run"], row["local_action"]
    )


def incident(row: asyncpg.Record) -> Incident:
    """One incident."""
    found = {name: row[name] for name in INCIDENT_FIELDS}
    found["first_out"] = tuple(found["first_out"])
    return Incident(**found)
