"""What starts a playbook, how its runs share a key, and when a run leaves by itself.

Used by `model.py`; evaluates nothing.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from shared.playbook.values import Condition, Duration, Id, Part

AlarmTransition = Literal["raised", "acknowledged", "cleared", "shelved", "escalated"]


class Throttle(Part):
    """How often a trigger fires (the three words of event rule books), per value of `by`.

    `once_within`: at the first event, then not again before the time has passed.
    `once_after`: when the time since the first event has passed, once for all that came.
    `accumulate_within`: when `count` events have come within the time.
    """

    once_within: Duration | None = None
    once_after: Duration | None = None
    accumulate_within: Duration | None = None
    count: int | None = Field(default=None, ge=2, le=1_000)
    by: Condition = "alarm.id"

    @model_validator(mode="after")
    def _one_word(self) -> Throttle:
        words = (self.once_within, self.once_after, self.accumulate_within)
        if sum(word is not None for word in words) != 1:
            raise ValueError("throttle needs one of once_within, once_after, accumulate_within")
        if (self.accumulate_within is None) != (self.count is None):
            raise ValueError("`count` belongs to `accumulate_within`, and that needs it")
        return self


class Manual(Part):
    """Who may start it by hand."""

    roles: list[str] = Field(min_length=1, max_length=20)


class Trigger(Part):
    """What starts a run: an alarm, an incident, an event, the clock or a person."""

    id: Id
    alarm: str | None = None
    """An alarm of the site, or a code that the site's binding gives to several."""
    incident: Literal["opened", "escalated", "closed"] | None = None
    event: str | None = None
    """The type of an event: of a linked device, of another playbook's `emit`."""
    cron: str | None = None
    """Five fields of the site's local time."""
    manual: Manual | None = None
    transition: AlarmTransition = "raised"
    where: Condition | None = None
    hold: Duration = Field(default=0, alias="for")
    """How long the alarm must have stood by its own time; what is left survives a restart."""
    throttle: Throttle | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Trigger:
        kinds = (self.alarm, self.incident, self.event, self.cron, self.manual)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("a trigger needs one of alarm, incident, event, cron, manual")
        if self.alarm is None and (self.transition != "raised" or self.hold):
            raise ValueError("`transition` and `for` belong to an `alarm` trigger")
        return self


class Concurrency(Part):
    """What happens when a run of the same key is live already."""

    key: Condition = "alarm.asset"
    mode: Literal["single", "restart", "queued", "parallel"] = "single"
    max: int = Field(default=1, ge=1, le=100)
    """Live (and queued) runs of a key at most; `single` and `restart` have one."""
    on_conflict: Literal["attach", "ignore"] = "attach"
    """A trigger that gets no run joins the live one, or is only counted."""

    @model_validator(mode="after")
    def _max_of_mode(self) -> Concurrency:
        if self.mode in ("single", "restart") and self.max != 1:
            raise ValueError(f"mode {self.mode} has one run of a key: leave `max` out")
        return self


class Leave(Part):
    """A run ends early because its alarm has; looked at between steps and during every wait."""

    alarm: Literal["cleared", "acknowledged", "shelved", "suppressed"]
    after_step: Id | None = None
    """Only once this step has ended."""
    then: Literal["goto_finally", "compensate"] = "goto_finally"
