"""From an occurrence and its alarm's definition to the row that operators see. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from factory_brain.domain.holds import NOTHING_SAID, Hold, SaidOfAlarm
from factory_brain.domain.system_words import is_system
from factory_brain.domain.warning_words import CLASS as EARLY_WARNING
from factory_brain.domain.warning_words import is_warning
from shared.alarm.definition import AlarmDefinition, Words
from shared.alarm.occurrence import OccurrenceView, fold
from shared.alarm.states import AlarmState
from shared.hybrid_time import HybridTime
from shared.messages.bodies import AlarmTransition, Fact
from shared.web.dto import AlarmRow, Text
from shared.web.dto_desk import Permit, RefusedAction, Shelf


@dataclass(frozen=True, slots=True)
class Understood:
    """What a row shows of the incident that its occurrence is in."""

    incident: str = ""
    first_out: str = ""
    hidden_behind: str = ""
    marks: tuple[str, ...] = ()


NOT_UNDERSTOOD = Understood()


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What the brain stores of one occurrence."""

    occurrence: str
    alarm: str
    edge: str
    transition: AlarmTransition
    order_key: str
    raised_at: int
    returned_at: int | None
    received_at: int
    late: bool
    facts: tuple[Fact, ...] = ()
    pending: bool = False
    """A fact is on its way to the edge."""
    label: str | None = None
    local_action: str | None = None
    run: str | None = None
    count: int = 1
    _merged: OccurrenceView | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def view(self) -> OccurrenceView:
        """Merged from the newest transition and the facts; folded once, asked for many times."""
        merged = self._merged
        if merged is None:
            merged = fold([self.transition], self.facts)
            assert merged is not None
            object.__setattr__(self, "_merged", merged)
        return merged


def order_key(transition: AlarmTransition, time: int, event_id: str) -> str:
    """Sortable text: the newest version wins, the process's own record before an acknowledgement's.

    What only records an acknowledgement keeps the version of what it acknowledges; the facts say
    the same, so it must not displace the process's record.
    """
    process = transition.kind not in ("acknowledged", "confirmed")
    return f"{transition.version:010d}/{process:d}/{time:016d}/{event_id}"


def text(words: Words) -> Text:
    """Both languages, for the console."""
    return Text(zh=words.zh, en=words.en)


def _named(transition: AlarmTransition) -> Text:
    """An alarm that no site file knows says itself what it is called, or shows its id."""
    zh, en = transition.names.get("zh"), transition.names.get("en")
    return Text(zh=zh or transition.alarm, en=en or transition.alarm)


def make_row(
    occurrence: Occurrence, definition: AlarmDefinition | None, said: SaidOfAlarm = NOTHING_SAID,
    understood: Understood = NOT_UNDERSTOOD,
) -> AlarmRow:  # fmt: skip
    """The operator's row; an alarm unknown to this brain's site still shows."""
    view, transition = occurrence.view, occurrence.transition
    return AlarmRow(
        alarm=occurrence.alarm,
        occurrence=occurrence.occurrence,
        version=view.version,
        annunciated_version=view.annunciated_version,
        edge=occurrence.edge,
        asset=transition.asset,
        tag=transition.tag,
        system=is_system(occurrence.alarm),
        alarm_class=EARLY_WARNING if is_warning(occurrence.alarm) else "plant",
        name=text(definition.name) if definition else _named(transition),
        priority=transition.priority,
        state=view.state.name,  # type: ignore[arg-type]
        isa=view.state.letter,
        active=view.state.active,
        acked=view.state.acked,
        value=transition.value,
        limit=transition.limit,
        unit=transition.unit,
        raised_at=occurrence.raised_at,
        returned_at=occurrence.returned_at,
        received_at=occurrence.received_at,
        acked_by=view.acked_by.actor if view.acked_by else None,
        acked_at=HybridTime.parse(view.acked_by.hlc).ms if view.acked_by else None,
        also_acked_by=[said.actor for said in view.also_acked_by],
        count=occurrence.count,
        late=occurrence.late,
        local_action=occurrence.local_action,
        run=occurrence.run,
        outcome=occurrence.label,
        ack_pending=occurrence.pending,
        assigned_to=view.assigned_to,
        comments=len(view.comments),
        shelf=shelf_of(view.state, said.holds.get("shelf")),
        suppressed_by=suppressed_by(occurrence, said),
        permit=permit_of(view.state, said.holds.get("out_of_service")),
        pending=list(said.pending),
        refused=_refused(occurrence, said),
        incident=understood.incident,
        first_out=understood.first_out,  # type: ignore[arg-type]
        marks=list(understood.marks),
        hidden_behind=understood.hidden_behind,
    )


def shelf_of(state: AlarmState, hold: Hold | None) -> Shelf | None:
    """How it is shelved, by whom and why; None if the edge does not say that it is."""
    if state.shelf == "U":
        return None
    return Shelf(
        mode="timed" if state.shelf == "T" else "one_shot",
        until=state.shelved_until,
        by=hold.by if hold else "",
        reason=hold.reason if hold else "",
        since=hold.since if hold else None,
    )


def suppressed_by(occurrence: Occurrence, said: SaidOfAlarm) -> list[str]:
    """What suppresses it: alarms, `state`, `when`, and `operator` while a person's word holds."""
    if not occurrence.view.state.suppressed:
        return []
    names = list(occurrence.transition.suppressed_by)
    held = said.holds.get("suppressed")
    if held is not None and not held.pending and "operator" not in names:
        names.append("operator")
    return names


def permit_of(state: AlarmState, hold: Hold | None) -> Permit | None:
    """The permit under which it is out of service; None if it is in service."""
    if not state.out_of_service:
        return None
    if hold is None:
        return Permit()
    return Permit(
        id=hold.permit, approved_by=hold.approved_by, until=hold.permit_until, by=hold.by,
        reason=hold.reason, since=hold.since,
    )  # fmt: skip


def _refused(occurrence: Occurrence, said: SaidOfAlarm) -> RefusedAction | None:
    refused = said.refused
    if refused is None or refused.occurrence not in ("", occurrence.occurrence):
        return None
    return RefusedAction(
        action=refused.action, code=refused.code, actor=refused.actor, at=refused.at
    )


def is_open(occurrence: Occurrence) -> bool:
    """Whether it stays in the operator's list."""
    state = occurrence.view.state
    return state.retained or (state.hidden and state.active)


def in_front(occurrence: Occurrence) -> bool:
    """Whether others may be shown behind it: present, and to be seen itself."""
    state = occurrence.view.state
    return state.active and state.enabled and not state.hidden


def sounds(occurrence: Occurrence) -> bool:
    """Whether the horn is for it: present, unacknowledged, not hidden."""
    return occurrence.view.state.audible
