"""The kernel in plain Python: the fallback, and the oracle of the compiled one.

Called through `edge_node.kernel`; both kernels behave the same, event for event. It knows tags and
rules as numbers only, and no clock: all times are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from math import inf, isnan, nan

from edge_node.kernel.columns import Column, cast
from edge_node.kernel.rules import (
    BAD,
    EQUAL,
    HIGH,
    LOW,
    MANY,
    MAX_DELAY_MS,
    QUALITIES,
    STALE,
    UNKNOWN,
    Change,
    Rules,
    bounded,
    quiet,
)

_GOOD, _BAD, _STALE = QUALITIES


class Kernel:
    """Last value of every tag, the band in which no sample of it can change a rule, the rules.

    A new tag has an empty band: its first sample is judged by all of its rules.
    """

    def __init__(self, n: int, rules: Rules) -> None:
        if n < 0:
            raise ValueError(f"{n} tags: must not be negative")
        if len(rules) and not 0 <= min(rules.tags) <= max(rules.tags) < n:
            raise ValueError(f"a rule's tag is not below {n}")
        self._lo, self._hi = [inf] * n, [-inf] * n
        self._value, self._time = [nan] * n, [0] * n
        self._quality, self._text = bytearray([UNKNOWN]) * n, bytearray(n)
        self._watch = bytearray(n)
        self._heard: list[int | None] = [None] * n
        self._tag, self._kind, self._order = list(rules.tags), rules.kinds, list(rules.orders)
        self._limit, self._deadband = list(rules.limits), list(rules.deadbands)
        self._on, self._off = list(rules.on), list(rules.off)
        count = len(rules)
        self._beyond, self._raw, self._pause = bytearray(count), bytearray(count), bytearray(count)
        self._since = [0] * count
        self._rows: list[list[int]] = [[] for _ in range(n)]
        for rule, tag in enumerate(self._tag):
            self._rows[tag].append(rule)
        self._entry: list[tuple[int, int, int, float, str] | None] = [None] * count
        """The one deadline of each rule: (time, rank, rule, value, quality)."""
        self._heap: list[tuple[int, int, int, float, str]] = []
        """The same, by time; what is no longer a rule's entry is passed over."""
        self._pending = 0
        self._changes: list[Change] = []
        self._stop = False

    def __len__(self) -> int:
        return len(self._lo)

    # what is known of a tag

    def value(self, tag: int) -> float:
        """Value of the last sample; NaN before the first."""
        return self._value[self._check(tag)]

    def time(self, tag: int) -> int:
        """Source time of the last sample; 0 before the first."""
        return self._time[self._check(tag)]

    def quality(self, tag: int) -> int:
        """Quality of the last sample (0 good, 1 uncertain, 2 bad); 2 before the first."""
        return self._quality[self._check(tag)]

    def heard(self, tag: int) -> int | None:
        """Steady time at which the last sample came, good or bad; None before the first."""
        return self._heard[self._check(tag)]

    def band(self, tag: int) -> tuple[float, float]:
        """Good samples in `[lo, hi)` are quiet."""
        return self._lo[self._check(tag)], self._hi[tag]

    # set up

    def watch(self, tag: int) -> None:
        """A scan stops after every sample of `tag`: somebody wants to see each."""
        self._watch[self._check(tag)] = 1
        self._lo[tag], self._hi[tag] = inf, -inf

    def load(self, rule: int, beyond: bool, raw: bool) -> None:
        """A rule's state from before a restart; the next sample of its tag is judged."""
        self._beyond[self._check_rule(rule)], self._raw[rule] = beyond, raw
        self._lo[self._tag[rule]], self._hi[self._tag[rule]] = inf, -inf

    def pending(self, rule: int) -> tuple[int, float, str] | None:
        """(end, value, quality) of the delay under way; None when none runs. Not of stale rules."""
        entry = None if self._kind[self._check_rule(rule)] == STALE else self._entry[rule]
        return None if entry is None else (entry[0], entry[3], entry[4])

    def resume(self, rule: int, at: int, value: float, quality: str) -> None:
        """Let a loaded rule's delay, begun under another version of the rules, end at `at`."""
        if self._kind[self._check_rule(rule)] != STALE and self._beyond[rule] != self._raw[rule]:
            self._put(rule, bounded(at), value, quality)

    def start(self, now: int, later: Mapping[int, int] | None = None) -> None:
        """Time begins: what stays silent from now on goes stale; `later`: rules with their own."""
        for rule, kind in enumerate(self._kind):
            if kind == STALE:
                self._since[rule] = bounded((later or {}).get(rule, now))
                self._arm_stale(rule, nan, _GOOD)

    def pause(self, rule: int, on: bool) -> None:
        """While `on`, a scan stops after a change of `rule` (settings wait for it)."""
        self._pause[self._check_rule(rule)] = on

    def set_rule(
        self, rule: int, limit: float, deadband: float, on_ms: int, off_ms: int, now: int
    ) -> None:
        """New numbers: a running delay gets its new length, the present value is judged."""
        if isnan(limit) or isnan(deadband):
            raise ValueError("a rule's numbers must not be NaN")
        kind, tag = self._kind[self._check_rule(rule)], self._tag[rule]
        delay = self._delay(rule)
        self._on[rule], self._off[rule] = min(on_ms, MAX_DELAY_MS), min(off_ms, MAX_DELAY_MS)
        entry = self._entry[rule]
        if kind == STALE:
            if entry is not None:
                self._arm_stale(rule, entry[3], entry[4])
            return
        if entry is not None:
            at = entry[0] - delay + self._delay(rule)
            self._put(rule, at, entry[3], entry[4])
            if at <= now:
                self._drop(rule)
                self._decide(rule, at, entry[3], entry[4])
        if kind in (HIGH, LOW):
            self._limit[rule], self._deadband[rule] = limit, deadband
            if self._heard[tag] is not None and not self._text[tag]:
                self._judge(rule, bounded(now), self._value[tag], self._good(tag))
        if self._heard[tag] is not None:
            self._set_band(tag)

    # samples

    def newest(
        self, tags: Column, times: Column, values: Column, qualities: Column, base: int, n: int
    ) -> int:
        """Check a batch of a source whose `n` tags begin at `base`: its newest source time.

        Columns are int32, int64, float64 and uint8. Raises ValueError for unequal columns, none
        at all and tags that are not below `n`.
        """
        columns = cast(tags, times, values, qualities)
        if columns is None:
            raise ValueError("a batch without samples")
        if not 0 <= base <= base + n <= len(self) or max(columns[0]) >= n:
            raise ValueError(f"a tag index is not below {n}")
        return max(columns[1])

    def scan(
        self, tags: Column, times: Column, values: Column, qualities: Column, start: int,
        base: int, n: int, offset: int, now: int,
    ) -> int:  # fmt: skip
        """Take samples from `start` on; returns how many of the batch have been taken.

        Fewer than all when a watched tag or a paused rule needs the caller, or when many changes
        wait: then `take` them and call again from there. `offset` makes source time steady time.
        """
        columns = cast(tags, times, values, qualities)
        count = 0 if columns is None else len(columns[3])
        if not 0 <= start <= count:
            raise ValueError(f"start {start} is outside the batch of {count}")
        if not 0 <= base <= base + n <= len(self):
            raise ValueError(f"tags {base} to {base + n} are not below {len(self)}")
        if columns is None:
            return 0
        offset, now = bounded(offset), bounded(now)
        los, his, kept, when, heard = self._lo, self._hi, self._value, self._time, self._heard
        index = start
        rest = zip(*(column[start:] for column in columns), strict=True)
        for tag, moment, value, grade in rest:
            if tag >= n:
                raise ValueError(f"a tag index is not below {n}")
            tag += base
            kept[tag] = value
            when[tag] = moment
            heard[tag] = now
            index += 1
            if grade or not los[tag] <= value < his[tag]:
                self._quality[tag], self._text[tag] = grade, 0
                self._excursion(tag, min(bounded(moment) + offset, now), value)
                if self._stop or len(self._changes) >= MANY:
                    break
        return index

    def sample(self, tag: int, time: int, code: float, quality: int, offset: int, now: int) -> None:
        """One text of a tag, as a number that stands for it: limits do not look at it."""
        self._check(tag)
        now = bounded(now)
        self._value[tag], self._time[tag], self._heard[tag] = code, time, now
        self._quality[tag], self._text[tag] = quality, 1
        self._excursion(tag, min(bounded(time) + bounded(offset), now), code)

    def take(self) -> list[Change]:
        """The changes since the last call, in order."""
        changes, self._changes, self._stop = self._changes, [], False
        return changes

    # time

    def tick(self, now: int) -> None:
        """Let all delays end that end by `now`, and go stale what has been silent too long."""
        now = bounded(now)
        while (at := self.next_due) is not None and at <= now:
            self._end_one(heappop(self._heap))

    @property
    def next_due(self) -> int | None:
        """When the next delay ends; None when none runs."""
        heap, entries = self._heap, self._entry
        while heap and entries[heap[0][2]] is not heap[0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def _end_one(self, entry: tuple[int, int, int, float, str]) -> None:
        at, _, rule, value, quality = entry
        self._entry[rule] = None
        self._pending -= 1
        if self._kind[rule] == STALE and not self._beyond[rule]:
            self._stale_due(rule, at, value, quality)
        else:
            self._decide(rule, at, value, quality)

    # rules

    def _excursion(self, tag: int, at: int, value: float) -> None:
        good = self._good(tag)
        rows = self._rows[tag]
        # Delays that ended before the sample come first.
        while (first := self._first_due(rows, at)) is not None:
            deadline, _, rule, kept, quality = first
            self._drop(rule)
            self._decide(rule, deadline, kept, quality)
            if self._kind[rule] == STALE:
                self._arm_stale(rule, nan, _GOOD)
        # What ends comes first and in reverse, so that nothing comes out of hiding that has ended.
        for rule in reversed(rows):
            if self._beyond[rule]:
                self._judge(rule, at, value, good)
        for rule in rows:
            if not self._beyond[rule]:
                self._judge(rule, at, value, good)
        self._set_band(tag)
        if self._watch[tag]:
            self._stop = True

    def _first_due(self, rows: list[int], at: int) -> tuple[int, int, int, float, str] | None:
        first = None
        for rule in rows:
            entry = self._entry[rule]
            if entry is None or self._beyond[rule] == self._raw[rule]:
                continue
            if self._kind[rule] == STALE and self._raw[rule]:  # the entry may be the next silence
                entry = (self._since[rule] + self._off[rule], *entry[1:])
            if entry[0] <= at and (first is None or entry[:2] < first[:2]):
                first = entry
        return first

    def _judge(self, rule: int, at: int, value: float, good: bool) -> None:
        holds = self._holds(rule, value, good)
        if holds is None or holds == bool(self._beyond[rule]):
            return
        shown = nan if self._text[self._tag[rule]] else value
        self._follow(rule, at, shown, _GOOD if good else _BAD)

    def _holds(self, rule: int, value: float, good: bool) -> bool | None:
        """Whether the rule's condition is true; None when this sample cannot tell."""
        kind = self._kind[rule]
        if kind == STALE:
            return False  # something arrived, good or bad
        if kind == BAD:
            return not good
        if not good:
            return None
        if kind == EQUAL:
            return value == self._limit[rule]
        if self._text[self._tag[rule]]:
            return None
        margin = self._deadband[rule] if self._beyond[rule] else 0.0
        if kind == HIGH:
            return value > self._limit[rule] - margin
        return value < self._limit[rule] + margin

    def _follow(self, rule: int, at: int, value: float, quality: str) -> None:
        """The condition is the other way round from `at` on."""
        self._beyond[rule] ^= 1
        self._since[rule] = at
        self._drop(rule)
        if self._beyond[rule] != self._raw[rule]:
            delay = self._delay(rule)
            if delay:
                self._put(rule, at + delay, value, quality)
            else:
                self._decide(rule, at, value, quality)
        if self._kind[rule] == STALE and not self._beyond[rule]:
            self._arm_stale(rule, value, quality)

    def _decide(self, rule: int, at: int, value: float, quality: str) -> None:
        self._raw[rule] = present = self._beyond[rule]
        shown = None if isnan(value) else value
        self._changes.append((rule, bool(present), at, shown, quality))
        if self._pause[rule]:
            self._stop = True

    def _delay(self, rule: int) -> int:
        return (self._on if self._beyond[rule] else self._off)[rule]

    def _stale_deadline(self, rule: int) -> int:
        heard = self._heard[self._tag[rule]]
        return (self._since[rule] if heard is None else heard) + int(self._limit[rule])

    def _arm_stale(self, rule: int, value: float, quality: str) -> None:
        """The next deadline of a stale rule: its delay, or the silence that would start it."""
        if self._beyond[rule]:
            if not self._raw[rule]:
                self._put(rule, self._since[rule] + self._on[rule], value, quality)
            return
        at = self._stale_deadline(rule)
        if self._raw[rule]:
            at = min(at, self._since[rule] + self._off[rule])
        self._put(rule, at, value, quality)

    def _stale_due(self, rule: int, at: int, value: float, quality: str) -> None:
        silent = self._stale_deadline(rule)
        over = self._since[rule] + self._off[rule]
        if self._raw[rule] and over <= silent and over <= at:
            self._decide(rule, over, value, quality)
            self._arm_stale(rule, nan, _GOOD)
        elif silent <= at:
            self._follow(rule, silent, nan, _STALE)
            tag = self._tag[rule]
            self._lo[tag], self._hi[tag] = inf, -inf
        else:
            self._arm_stale(rule, value, quality)

    # deadlines

    def _put(self, rule: int, at: int, value: float, quality: str) -> None:
        self._drop(rule)
        order = self._order[rule]
        ends = self._raw[rule] and not self._beyond[rule]
        entry = self._entry[rule] = (at, -order - 1 if ends else order, rule, value, quality)
        heappush(self._heap, entry)
        self._pending += 1
        if len(self._heap) > 64 + 2 * self._pending:  # a flapping value leaves old entries behind
            self._heap = [e for e in self._heap if self._entry[e[2]] is e]
            heapify(self._heap)

    def _drop(self, rule: int) -> None:
        if self._entry[rule] is not None:
            self._entry[rule] = None
            self._pending -= 1

    # bands

    def _good(self, tag: int) -> bool:
        return not self._quality[tag] and not isnan(self._value[tag])

    def _set_band(self, tag: int) -> None:
        lo, hi = -inf, inf
        # While it is bad, its return to good must show; who watches sees every sample.
        if self._watch[tag] or self._text[tag] or not self._good(tag):
            lo, hi = inf, -inf
        else:
            for rule in self._rows[tag]:
                low, high = quiet(
                    self._kind[rule], self._limit[rule], self._deadband[rule],
                    bool(self._beyond[rule]), self._value[tag],
                )  # fmt: skip
                lo, hi = max(lo, low), min(hi, high)
        self._lo[tag], self._hi[tag] = (lo, hi) if lo < hi else (inf, -inf)

    def _check(self, tag: int) -> int:
        if not 0 <= tag < len(self._lo):
            raise ValueError(f"tag index {tag} is not below {len(self._lo)}")
        return tag

    def _check_rule(self, rule: int) -> int:
        if not 0 <= rule < len(self._tag):
            raise ValueError(f"rule {rule} is not below {len(self._tag)}")
        return rule
