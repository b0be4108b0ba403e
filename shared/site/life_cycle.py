"""The life cycle of alarms as a site writes it: choice points, priority matrix, suppression groups.

Shapes for `alarms` and `site.yaml`, and what `definitions` makes of them. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.alarm.definition import AlarmDefinition
from shared.alarm.machine import Policy
from shared.alarm.priority import DEFAULT_MATRIX, PriorityMatrix
from shared.site.fields import AlarmId, Duration, Model

GroupId = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Za-z0-9_.-]{0,63}$")]
FIELDS = {"confirm": "confirm_used", "max_shelve": "max_shelve_ms"}
"""Names in YAML that differ from those of `Policy`."""


class LifeCycleFields(Model):
    """The choice points of the life cycle: of one alarm, or of the whole site (`alarm_policy`)."""

    latching: bool | None = None
    ack_required: bool | None = None
    confirm: bool | None = None
    leave: Literal["rearm", "keep"] | None = None
    hidden_ack: Literal["reject", "accept"] | None = None
    clear_unacked: Literal["required", "auto"] | None = None
    reshelve: Literal["restart", "reject"] | None = None
    latched_raise: Literal["annunciate", "same"] | None = None
    re_alarm_on: Literal["standing", "unacked"] | None = None
    max_shelve: Annotated[Duration, Field(gt=0)] | None = None
    re_alarm: Annotated[Duration, Field(ge=1000)] | None = None


class PriorityMatrixSpec(Model):
    """Which priority follows from a consequence and the time to respond."""

    times: list[Duration] = Field(default_factory=lambda: list(DEFAULT_MATRIX.times))
    rows: dict[str, list[int]] = Field(
        default_factory=lambda: {name: list(row) for name, row in DEFAULT_MATRIX.rows.items()}
    )

    @model_validator(mode="after")
    def _is_a_matrix(self) -> PriorityMatrixSpec:
        faults = self.matrix.faults()
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def matrix(self) -> PriorityMatrix:
        """The matrix that it describes."""
        rows = {name: tuple(row) for name, row in self.rows.items()}
        return PriorityMatrix(tuple(self.times), rows)


class StateGateSpec(Model):
    """States of one equipment's chart in which an alarm says nothing."""

    chart: str
    states: list[str] = Field(alias="in", min_length=1)


class SuppressionGroupSpec(Model):
    """While any alarm of `when` is active, all of `suppresses` are suppressed by design."""

    id: GroupId
    when: list[AlarmId] = Field(min_length=1)
    suppresses: list[AlarmId] = Field(min_length=1)


class FirstOutGroupSpec(Model):
    """Alarms of which the first to come is marked."""

    id: GroupId
    alarms: list[AlarmId] = Field(min_length=2)
    tie: Duration = 0
    """How close to the first still counts as simultaneous."""


def policy_of(alarm: LifeCycleFields, site: LifeCycleFields) -> Policy:
    """The alarm's own choices, else the site's, else the standard's."""
    chosen = {}
    for name in LifeCycleFields.model_fields:
        value = getattr(alarm, name)
        value = getattr(site, name) if value is None else value
        if value is not None and name != "re_alarm":
            chosen[FIELDS.get(name, name)] = value
    return replace(Policy(), **chosen)


def with_groups(
    alarms: dict[str, AlarmDefinition],
    suppression: list[SuppressionGroupSpec],
    first_out: list[FirstOutGroupSpec],
) -> dict[str, AlarmDefinition]:
    """The definitions with what the groups say about them."""
    alarms = dict(alarms)
    for group in suppression:
        for name in group.suppresses:
            if name in alarms:
                alarm = alarms[name]
                above = [other for other in group.when if other != name and other in alarms]
                merged = dict.fromkeys((*alarm.suppressed_by, *above))
                alarms[name] = replace(alarm, suppressed_by=tuple(merged))
    for group in first_out:
        for name in group.alarms:
            if name in alarms:
                alarms[name] = replace(alarms[name], first_out=group.id, first_out_tie_ms=group.tie)
    return alarms
