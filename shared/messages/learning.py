"""The bodies that the group learns from: judged occurrences, shadow counts, verdicts, faults.

Part of `bodies.py`, which names them all. The same rules: a new field needs a default, a changed
meaning a new type. Times are UTC ms.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="t"):
    """A tagged wire struct."""


class OutcomeRecord(Struct, frozen=True, tag="outcome"):
    """A closed occurrence, its label and the shadow verdicts of candidate settings (to the group).

    `label`: true, nuisance, drill, or "" while nobody has said (never learnt from).
    `verdicts`: candidate id -> [announced (0/1), delay in s or -1].
    """

    site: str
    edge: str
    alarm: str
    occurrence: str
    tag_class: str
    side: str
    raised_at: int
    returned_at: int | None
    acked_after_s: float | None
    label: str
    cause: str = ""
    actor: str = ""
    current: dict[str, float | None] = {}
    bounds: dict[str, float] = {}
    candidates: dict[str, dict[str, float | None]] = {}
    verdicts: dict[str, list[float]] = {}
    names: dict[str, str] = {}
    unit: str = ""
    resolved_after_s: float | None = None
    """From the raise to the return to normal."""
    shelved: bool = False
    """Somebody put it on the shelf while it stood."""
    suppressed: bool = False
    """Somebody suppressed it by hand."""
    dismissed: bool = False
    """A person called this very occurrence nuisance, by label or as the reason for shelving."""
    playbook: str = ""
    """The playbook that ran for it."""
    playbook_success: bool | None = None
    """Whether that run reached its end; None: none ran, or it has not ended."""


class ShadowCounts(Struct, frozen=True, tag="shadow_counts"):
    """How often each candidate setting of one alarm point would have told, on one day (UTC).

    Newer `revision` replaces older, whatever the order of arrival; raw samples never travel.
    """

    site: str
    edge: str
    alarm: str
    tag_class: str
    side: str
    unit: str
    day: int
    """Days since 1970."""
    since: int
    until: int
    """What was counted: the whole day, or the part of it that is over."""
    grid: dict[str, Any]
    """`shared.alarm.grid.Grid` as plain data."""
    activations: bytes
    """int32, little-endian, by candidate."""
    standing: bytes
    """Seconds, float32, little-endian, by candidate."""
    revision: int = 1
    named: dict[str, list[float]] = {}
    """live, engineer, candidate -> [activations, standing in s]."""
    settings: dict[str, dict[str, float | None]] = {}
    """What the named sets were when this was counted."""
    engineer_only: list[list[int]] = []
    """[raise, clear] of what the engineer's set told and the live one did not; clear 0: stood."""
    engineer_only_more: int = 0
    coverage: float = 0.0
    """Share of the time counted for which there are good samples."""
    sigma: float | None = None
    mean: float | None = None


class ShadowVerdicts(Struct, frozen=True, tag="shadow_verdicts"):
    """How long after a fault began each candidate of one alarm point would have told."""

    site: str
    edge: str
    alarm: str
    fault: str
    grid: dict[str, Any]
    delays: bytes
    """Seconds, float32, little-endian, by candidate; -1: not at all. Empty: no samples left."""
    fault_revision: int = 1
    revision: int = 1
    """Rises with each verdict on this fault by this point; the newest holds."""
    named: dict[str, float] = {}
    """live, engineer, candidate -> delay in s, -1: not at all."""
    coverage: float = 0.0


class FaultRecord(Struct, frozen=True, tag="fault"):
    """A fault that happened, with or without an alarm, as people said it; newest revision holds."""

    site: str
    id: str
    revision: int
    asset: str
    line: str
    start: int
    end: int
    cause: str
    actor: str
    recorded_at: int
    alarms: list[str] = []
    """What told it; empty: no alarm did."""
    incident: str = ""
    withdrawn: bool = False


class TrialAnswer(Struct, frozen=True, tag="trial_answer"):
    """What a proposal's two settings told over a factory's stored samples: lists and a trend.

    The samples stay at the factory: `points` holds the lowest and highest value of a few hundred
    parts of the span.
    """

    site: str
    edge: str
    alarm: str
    proposal: str
    digest: str
    """Of the question."""
    since: int
    until: int
    coverage: float
    points: list[list[float]] = []
    """[time in ms, lowest, highest]."""
    before: int = 0
    after: int = 0
    vanish: list[list[int]] = []
    """[raise, clear] of what the new setting does not tell; clear 0: it stood at the end."""
    vanish_more: int = 0
    later: list[list[int]] = []
    """[raise, clear, told at] of what it tells later."""
    later_more: int = 0
    new: int = 0
    """Alarms that only the new setting tells."""
    faults: list[list[Any]] = []
    """[fault, start, end, delay before in s, delay after in s], -1: not at all."""
