"""From an occurrence and its alarm's definition to the row that operators see. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.alarm.definition import AlarmDefinition, Words
from shared.alarm.occurrence import OccurrenceView, fold
from shared.hybrid_time import HybridTime
from shared.messages.bodies import AlarmTransition, Fact
from shared.web.dto import AlarmRow, Text


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


def make_row(occurrence: Occurrence, definition: AlarmDefinition | None) -> AlarmRow:
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
        name=text(definition.name)
        if definition
        else Text(zh=occurrence.alarm, en=occurrence.alarm),
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
    )


def is_open(occurrence: Occurrence) -> bool:
    """Whether it stays in the operator's list."""
    state = occurrence.view.state
    return state.retained or (state.hidden and state.active)


def sounds(occurrence: Occurrence) -> bool:
    """Whether the horn is for it: present, unacknowledged, not hidden."""
    return occurrence.view.state.audible
