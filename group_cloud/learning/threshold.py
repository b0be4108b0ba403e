"""The threshold optimiser of one alarm point: candidate settings scored by people's labels.

Called by the trainer through `learn_one`, `forget` and `propose`. It never learns from an alarm
that nobody has judged, never proposes what the caller's guardrails refuse, and holds no clock.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable
from typing import Any

from group_cloud.domain.evidence import LABELS, Costs, Gate, Score, Shadow, Suggestion
from group_cloud.learning.contract import UnlabelledError
from group_cloud.learning.registry import fingerprint
from group_cloud.learning.river_parts import EWMean, EWVar, Mean, new_adwin
from shared.alarm.point import Setting
from shared.alarm.shadow import setting_data, setting_of

FADING = 0.1
"""Weight of the newest occurrence in the recent cost."""
CAPACITY = 500
SCHEMA = "expert-bank/v1"
Allowed = Callable[[Setting, Setting], bool]
"""(current, candidate) -> whether the guardrails let it through."""


class _Expert:
    """One candidate's record."""

    __slots__ = ("delay", "false", "missed", "recent", "spread")

    def __init__(self) -> None:
        self.false, self.missed = 0, 0
        self.delay, self.recent, self.spread = Mean(), EWMean(FADING), EWVar(FADING)

    def learn(self, announced: bool, delay_s: float, label: str, costs: Costs) -> None:
        cost = 0.0
        if label == "nuisance":
            if announced:
                self.false += 1
                cost = costs.false
        elif announced:
            self.delay.update(delay_s)
            cost = costs.of(0, 0, delay_s)
        else:
            self.missed += 1
            cost = costs.missed
        self.recent.update(cost)
        self.spread.update(cost)

    def score(self, setting: Setting, costs: Costs) -> Score:
        announced = int(self.delay.n)
        total = self.delay.get() * announced if announced else 0.0
        return Score(
            setting,
            self.false,
            self.missed,
            total / announced if announced else None,
            total,
            costs.of(self.false, self.missed, total),
            self.recent.get(),
            math.sqrt(max(0.0, self.spread.get())),
        )


class ExpertBank:
    """Scores the candidates of one alarm point against recorded, labelled outcomes.

    Its state is a function of the *set* of its newest `capacity` records, whatever the order in
    which late, repeated or corrected labels came: what arrives in order is learnt one by one, what
    does not makes the bank replay its records before it next proposes.
    """

    def __init__(
        self, costs: Costs | None = None, gate: Gate | None = None, capacity: int = CAPACITY
    ) -> None:
        self.costs, self.gate, self.capacity = costs or Costs(), gate or Gate(), capacity
        self._records: dict[str, tuple[Shadow, str]] = {}
        self._order: list[tuple[int, str]] = []
        self._fresh_start()

    def __len__(self) -> int:
        return len(self._records)

    def learn_one(self, x: Shadow, y: str) -> bool:
        """Take one labelled occurrence; a second label of the same one replaces the first.

        Returns whether anything changed; raises UnlabelledError for anything but a judgement.
        """
        if y not in LABELS:
            raise UnlabelledError(f"occurrence {x.occurrence}: {y!r} is not a judgement")
        if x.current not in x.verdicts:
            raise UnlabelledError(f"occurrence {x.occurrence}: no verdict of the current setting")
        known = self._records.get(x.occurrence)
        if known == (x, y):
            return False
        if known is not None:
            self.forget(x.occurrence)
        key = (x.raised_at, x.occurrence)
        in_order = not self._order or key > self._order[-1]
        self._records[x.occurrence] = (x, y)
        insort(self._order, key)
        if len(self._order) > self.capacity:
            self._evict()
        if in_order and not self._stale and x.current == self._current:
            self._take(x, y)
        else:
            self._stale = True
        return True

    def forget(self, occurrence: str) -> bool:
        """A label was withdrawn, or turned out to be a drill."""
        known = self._records.pop(occurrence, None)
        if known is None:
            return False
        self._order.remove((known[0].raised_at, occurrence))
        self._stale = True
        return True

    def propose(self, allowed: Allowed) -> Suggestion | None:
        """The best candidate that passes the one-sided gate and `allowed`, or None."""
        self._replay_if_stale()
        current = self._current
        if current is None or self._nuisance < self.gate.min_nuisance:
            return None
        if self._true < self.gate.min_true:
            return None
        scores = {s: e.score(s, self.costs) for s, e in self._experts.items()}
        now = scores[current]
        better = [
            score
            for setting, score in scores.items()
            if setting != current and self._gate(now, score) and allowed(current, setting)
        ]
        if not better:
            return None
        best = min(better, key=lambda s: (s.cost, s.recent_cost, *_distance(current, s.setting)))
        return self._suggestion(now, best, list(scores.values()))

    @staticmethod
    def _gate(now: Score, new: Score) -> bool:
        """One-sided: missed falls, or missed does not rise and false alarms fall; and it pays."""
        protects = new.missed < now.missed
        quietens = new.missed <= now.missed and new.false_alarms < now.false_alarms
        return (protects or quietens) and new.cost < now.cost

    def _fresh_start(self) -> None:
        self._experts: dict[Setting, _Expert] = {}
        self._current: Setting | None = None
        self._rate = new_adwin()
        self._regime = 0
        self._taken = self._true = self._nuisance = 0
        self._stale = True

    def _evict(self) -> None:
        """Drop a fifth, the oldest nuisance first: what was once a true alarm goes last."""
        drop = max(1, self.capacity // 5)
        keys = sorted(self._order, key=lambda k: (self._records[k[1]][1] == "true", k))[:drop]
        for key in keys:
            del self._records[key[1]]
        gone = set(keys)
        self._order = [key for key in self._order if key not in gone]
        self._stale = True

    def _replay_if_stale(self) -> None:
        if not self._stale or not self._order:
            return
        self._fresh_start()
        self._stale = False
        newest = self._records[self._order[-1][1]][0]
        self._current = newest.current
        self._experts = {setting: _Expert() for setting in newest.verdicts}
        records = [self._records[occurrence] for _, occurrence in self._order]
        self._regime = self._newest_regime([label for _, label in records])
        for x, y in records:
            self._learn(x, y)

    def _newest_regime(self, labels: list[str]) -> int:
        """Index from which the share of nuisance is what it is today (ADWIN's last cut)."""
        start = 0
        for index, label in enumerate(labels):
            self._rate.update(float(label == "nuisance"))
            if self._rate.drift_detected:
                start = index + 1 - int(self._rate.width)
        return start

    def _take(self, x: Shadow, y: str) -> None:
        if x.verdicts.keys() != self._experts.keys():
            self._stale = True
            return
        self._rate.update(float(y == "nuisance"))
        if self._rate.drift_detected:
            self._stale = True
            return
        self._learn(x, y)

    def _learn(self, x: Shadow, y: str) -> None:
        index, self._taken = self._taken, self._taken + 1
        # Old nuisance goes stale with the regime that made it; an old true alarm never does.
        if self._current not in x.verdicts or (y == "nuisance" and index < self._regime):
            return
        if y == "nuisance":
            self._nuisance += 1
        else:
            self._true += 1
        for setting, expert in self._experts.items():
            # A candidate that was never tried on this occurrence is believed the worst of.
            announced, delay = x.verdicts.get(setting, (y == "nuisance", -1.0))
            expert.learn(announced, delay, y, self.costs)

    def _suggestion(self, now: Score, best: Score, scores: list[Score]) -> Suggestion:
        vanish, later = [], []
        for index, (_, occurrence) in enumerate(self._order):
            x, y = self._records[occurrence]
            was = x.verdicts.get(now.setting)
            if was is None or not was[0] or (y == "nuisance" and index < self._regime):
                continue
            would = x.verdicts.get(best.setting, (y == "nuisance", -1.0))
            if not would[0]:
                vanish.append(occurrence)
            elif y == "true" and would[1] > was[1]:
                later.append(occurrence)
        labels = [(occurrence, self._records[occurrence][1]) for _, occurrence in self._order]
        return Suggestion(
            current=now,
            proposed=best,
            scores=sorted(scores, key=lambda s: (s.cost, _distance(now.setting, s.setting))),
            labelled=self._true + self._nuisance,
            true_alarms=self._true,
            nuisance=self._nuisance,
            stale_nuisance=sum(label == "nuisance" for _, label in labels[: self._regime]),
            vanish=vanish,
            later=later,
            fingerprint=fingerprint(labels),
        )

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "schema": SCHEMA,
            "capacity": self.capacity,
            "costs": [self.costs.false, self.costs.missed, self.costs.delay_hour],
            "gate": [self.gate.min_nuisance, self.gate.min_true],
            "records": [_record_data(*self._records[o]) for _, o in self._order],
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> ExpertBank:
        """The bank that `snapshot` wrote."""
        if data.get("schema") != SCHEMA:
            raise ValueError(f"not an expert bank's snapshot: {data.get('schema')!r}")
        bank = cls(Costs(*data["costs"]), Gate(*data["gate"]), data["capacity"])
        for record in data["records"]:
            bank.learn_one(*_record_of(record))
        return bank


def _distance(current: Setting, new: Setting) -> tuple[float, int]:
    """Of two equal candidates the one that changes less: first the limit, then the delay."""
    return (abs(new.limit - current.limit), abs(new.on_delay_ms - current.on_delay_ms))


def _record_data(x: Shadow, label: str) -> dict[str, Any]:
    return {
        "occurrence": x.occurrence,
        "raised_at": x.raised_at,
        "label": label,
        "current": setting_data(x.current),
        "verdicts": [
            [setting_data(s), int(announced), delay] for s, (announced, delay) in x.verdicts.items()
        ],
    }


def _record_of(data: dict[str, Any]) -> tuple[Shadow, str]:
    verdicts = {setting_of(s): (bool(a), float(d)) for s, a, d in data["verdicts"]}
    shadow = Shadow(data["occurrence"], data["raised_at"], setting_of(data["current"]), verdicts)
    return shadow, data["label"]
