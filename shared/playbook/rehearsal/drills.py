"""How a plan is drilled on the running system with simulators: one drill of a test file.

A part of `document.py`; `shared/cli/playbook_drill.py` runs it, this only describes.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from shared.playbook.rehearsal.pace import MOST
from shared.playbook.rehearsal.wanted import Then
from shared.playbook.values import Duration, Id, Part


class DrillFault(Part):
    """Something breaks: a simulated plant or its device, or the way to an edge."""

    plant: str = ""
    fault: str = ""
    """Of the plant: `andon sim faults` lists them."""
    link: Id | None = None
    """The edge that cannot be reached, for `down`; it goes on by itself."""
    down: Duration = 10_000
    at: Duration = 0
    """Since the run began; 0: before it begins (see `lead`)."""
    at_step: Id | None = None
    """Once this step has begun instead, and `at` after that."""
    on: bool = True
    args: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_kind(self) -> DrillFault:
        if bool(self.plant and self.fault) == (self.link is not None):
            raise ValueError("a fault of a drill needs `plant` and `fault`, or `link` (an edge)")
        return self


class DrillAnswer(Part):
    """An answer that the drill gives when it is asked."""

    on: Id
    answer: str
    after: Duration = 0


class Drill(Part):
    """One drill: what breaks, what is answered, what must follow."""

    name: str = Field(default="drill", min_length=1, max_length=200)
    site: str = ""
    """The site of the running system; empty: the only one."""
    alarm: dict[str, str | float | int | bool | None] = Field(default_factory=dict)
    """What the run sees of its alarm, such as the value; id and asset are those of the site's."""
    faults: list[DrillFault] = Field(default_factory=list, max_length=20)
    reset: list[str] = Field(default_factory=list, max_length=20)
    """Simulated plants that are put back before and after; those of `faults` always are."""
    settle: Duration = 3_000
    """So long the plants stand reset before the run begins: their values must have come."""
    lead: Duration = 0
    """So long what breaks at 0 has been broken when the run begins."""
    speed: float = Field(default=1.0, gt=0, le=100)
    """How much faster the plants go."""
    time_scale: float = Field(default=1.0, ge=1, le=MOST)
    """How much faster the plan's own waits and time-outs pass; commands take their real time."""
    answers: list[DrillAnswer] = Field(default_factory=list, max_length=20)
    within: Duration = 120_000
    """The run must have ended by then, by the clock on the wall."""
    then: Then = Then()
