"""The expert bank of one alarm point: what each candidate setting would have told.

Called by the optimiser with daily counters and with verdicts on recorded faults. It learns from
judged days and recorded faults only, never sees the signal, and chooses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from group_cloud.learning.contract import UnlabelledError, checked_schema, packed, unpacked
from group_cloud.learning.river_parts import EWMean, EWVar, new_adwin

SCHEMA = "limit-bank/v1"
JUDGED, FAULT = "judged", "fault"
HALF_LIFE_DAYS = 14.0
MOST_FAULTS = 400
"""Recorded faults that are kept per point; the oldest go first."""
MOST_DAYS = 180.0
"""More days of evidence than this weigh no more."""
STALE = 0.25
"""What is left of the older days' weight when the rate of alarms has changed its regime."""
FADING = 0.1
Counters = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DayCounts:
    """One day in shadow: per candidate its activations and the seconds it stood."""

    day: int
    activations: npt.NDArray[Any]
    standing_s: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class FaultVerdicts:
    """One recorded fault: per candidate the seconds to its announcement (-1 none), and what of the
    days' counters belongs to the fault and its running up, and so is no false alarm."""

    fault: str
    day: float
    upset_s: float
    delays_s: npt.NDArray[Any]
    inside: npt.NDArray[Any]
    inside_standing_s: npt.NDArray[Any]


class PointBank:
    """Fading false alarms and standing time per candidate; delays per candidate and fault."""

    def __init__(self, candidates: int, reference: int = 0) -> None:
        self.candidates, self.reference = candidates, reference
        self._false = np.zeros(candidates, np.float32)
        self._standing = np.zeros(candidates, np.float32)
        self._weight, self._last_day, self.days, self.upset_s = 0.0, -1, 0, 0.0
        self.faults: list[str] = []
        self._delays = np.zeros((0, candidates), np.int16)
        self._rate, self._mean, self._spread = new_adwin(), EWMean(FADING), EWVar(FADING)
        self._seen: list[float] = []
        self.stale_on: list[int] = []

    def learn_one(self, x: DayCounts | FaultVerdicts, y: str | None) -> bool:
        """Take a day that was judged, or the verdicts on a recorded fault; each of them once."""
        if isinstance(x, DayCounts) and y == JUDGED:
            return self._day(x)
        if isinstance(x, FaultVerdicts) and y == FAULT:
            return self._fault(x)
        raise UnlabelledError(f"{type(x).__name__} with label {y!r}")

    def _day(self, x: DayCounts) -> bool:
        if x.day <= self._last_day:
            return False
        passed = 1 if self._last_day < 0 else x.day - self._last_day
        fading = 0.5 ** (passed / HALF_LIFE_DAYS)
        self._last_day, self.days = x.day, self.days + 1
        self._weight = self._weight * fading + 1.0
        self._false = (self._false * fading + x.activations).astype(np.float32)
        self._standing = (self._standing * fading + x.standing_s).astype(np.float32)
        self._watch(x.day, float(x.activations[self.reference]))
        return True

    def _watch(self, day: int, told: float) -> None:
        """Old days go stale when the reference candidate's rate is no longer what it was."""
        self._seen.append(told)
        if len(self._seen) > MOST_DAYS:
            # The detectors are a function of what is kept, so that a snapshot can rebuild them.
            self._seen = self._seen[round(MOST_DAYS) // 3 :]
            self._rate, self._mean, self._spread = new_adwin(), EWMean(FADING), EWVar(FADING)
            for earlier in self._seen[:-1]:
                self._detect(earlier)
        if self._detect(told):
            self.stale_on = [*self.stale_on, day][-10:]
            for counters in (self._false, self._standing):
                counters *= STALE
            self._weight *= STALE

    def _detect(self, told: float) -> bool:
        self._mean.update(told)
        self._spread.update(told)
        self._rate.update(told)
        return bool(self._rate.drift_detected)

    def _fault(self, x: FaultVerdicts) -> bool:
        if x.fault in self.faults:
            return False
        age = max(0.0, self._last_day - x.day)
        # What had faded or gone stale of that day is what can still be taken back.
        share = 0.5 ** (age / HALF_LIFE_DAYS)
        for day in self.stale_on:
            share *= STALE if day >= x.day else 1.0
        self._false = np.maximum(self._false - share * x.inside, 0).astype(np.float32)
        standing = self._standing - share * x.inside_standing_s
        self._standing = np.maximum(standing, 0).astype(np.float32)
        self.upset_s += x.upset_s
        delays = np.where(x.delays_s < 0, -1, np.minimum(x.delays_s / 60, 32_000))
        row = np.floor(delays).astype(np.int16)[None]
        self.faults = [*self.faults, x.fault][-MOST_FAULTS:]
        self._delays = np.concatenate((self._delays, row))[-MOST_FAULTS:]
        return True

    def false_per_day(self) -> Counters:
        """False alarms per day of every candidate, the newest days counting most."""
        return self._false / max(self._weight, 1.0)

    def standing_h_per_day(self) -> Counters:
        """Hours per day that every candidate would stand without a fault."""
        return self._standing / (3600.0 * max(self._weight, 1.0))

    @property
    def delays(self) -> npt.NDArray[np.int16]:
        """Minutes to the announcement, -1 none: [recorded fault, candidate]."""
        return self._delays

    @property
    def weighty_days(self) -> float:
        """How many days the evidence is worth."""
        return float(min(self.days, MOST_DAYS))

    def band(self) -> tuple[float, float]:
        """Mean and spread of the reference candidate's alarms per day."""
        return self._mean.get() or 0.0, max(0.0, self._spread.get() or 0.0) ** 0.5

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "schema": SCHEMA,
            "reference": self.reference,
            "false": packed(self._false),
            "standing": packed(self._standing),
            "weight": self._weight,
            "last_day": self._last_day,
            "days": self.days,
            "upset_s": self.upset_s,
            "faults": list(self.faults),
            "delays": packed(self._delays),
            "seen": list(self._seen),
            "stale_on": list(self.stale_on),
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> Self:
        """The bank that `snapshot` wrote."""
        checked_schema(data, SCHEMA)
        false = unpacked(data["false"])
        bank = cls(len(false), data["reference"])
        bank._false, bank._standing = false, unpacked(data["standing"])
        bank._weight, bank._last_day = float(data["weight"]), int(data["last_day"])
        bank.days, bank.upset_s = int(data["days"]), float(data["upset_s"])
        bank.faults, bank._delays = list(data["faults"]), unpacked(data["delays"])
        bank.stale_on = list(data["stale_on"])
        bank._seen = [float(told) for told in data["seen"]]
        # River's detectors are rebuilt from what they saw: they have no plain form of their own.
        for told in bank._seen:
            bank._detect(told)
        return bank
