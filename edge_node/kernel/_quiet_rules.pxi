# What the compiled kernel is made of: records, rules, deadlines and bands, all without Python.
#
# Included by `_quiet.pyx`; `pure.py` says the same in Python and is its test oracle.

from libc.math cimport INFINITY, NAN, isnan, nextafter
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport realloc

cdef enum:
    # kinds of rules, as in rules.py, and the bits of a rule's state
    HIGH = 0
    LOW = 1
    EQUAL = 2
    STALE = 3
    BAD = 4
    KIND = 7
    BEYOND = 8
    RAW = 16
    PAUSE = 32
    # bits of a tag
    WATCH = 1
    TEXT = 2
    # qualities of changes
    Q_GOOD = 0
    Q_BAD = 1
    Q_STALE = 2
    MANY = 8192

cdef int64_t FAR = 0x10000000000000  # 1 << 52: a double holds all that is nearer
cdef int64_t NEVER = INT64_MIN
cdef int64_t MAX_DELAY = 0xFFFFFFFF


cdef struct Hot:
    # 32 bytes: two records in a cache line
    double lo
    double hi
    double value
    int64_t time


cdef struct Rule:
    double limit
    double deadband  # a stale rule has none: it keeps here since when it is (not) beyond
    uint32_t on
    uint32_t off
    uint32_t slot  # place of its entry among the deadlines, from 1; 0: none
    int32_t order


cdef struct Entry:
    int64_t deadline
    double value
    uint32_t rule
    uint32_t tag
    int32_t rank
    uint8_t quality


cdef struct Change:
    int64_t at
    double value
    uint32_t rule
    uint8_t present
    uint8_t quality


cdef inline int64_t bounded(int64_t time) noexcept nogil:
    return -FAR if time < -FAR else FAR if time > FAR else time


cdef inline bint _before(const Entry* a, const Entry* b) noexcept nogil:
    if a.deadline != b.deadline:
        return a.deadline < b.deadline
    if a.rank != b.rank:
        return a.rank < b.rank
    return a.rule < b.rule


cdef class _RuleBook:
    """The rules over the tags' last values."""

    cdef Hot* _hot
    cdef int64_t* _heard
    cdef uint8_t* _quality
    cdef uint8_t* _flags
    cdef uint32_t* _first
    cdef Rule* _rules
    cdef uint8_t* _meta
    cdef Entry* _heap
    cdef Change* _changes
    cdef uint32_t _n, _count, _held, _room, _made, _space
    cdef bint _stop

    # rules

    cdef int _excursion(self, uint32_t tag, int64_t at, double value) noexcept nogil:
        cdef bint good = self._good(tag)
        cdef uint32_t first = self._first[tag], last = self._first[tag + 1], i, r
        cdef Entry entry
        if last > first:
            if self._room_for(2 * (last - first)) < 0:
                return -1
            # Delays that ended before the sample come first.
            while self._first_due(first, last, at, &entry):
                self._drop(entry.rule)
                self._decide(entry.rule, entry.deadline, entry.value, entry.quality)
                if self._meta[entry.rule] & KIND == STALE:
                    self._arm_stale(entry.rule, tag, NAN, Q_GOOD)
            # What ends comes first and in reverse: nothing comes out of hiding that has ended.
            for i in range(last - first):
                r = last - 1 - i
                if self._meta[r] & BEYOND:
                    self._judge(r, tag, at, value, good)
            for r in range(first, last):
                if not self._meta[r] & BEYOND:
                    self._judge(r, tag, at, value, good)
        self._set_band(tag)
        if self._flags[tag] & WATCH:
            self._stop = True
        return 0

    cdef bint _first_due(
        self, uint32_t first, uint32_t last, int64_t at, Entry* found
    ) noexcept nogil:
        cdef uint32_t r
        cdef uint8_t meta
        cdef Entry entry
        cdef bint any_found = False
        for r in range(first, last):
            meta = self._meta[r]
            if not self._rules[r].slot or ((meta & BEYOND) != 0) == ((meta & RAW) != 0):
                continue
            entry = self._heap[self._rules[r].slot - 1]
            if meta & KIND == STALE and meta & RAW:  # the entry may be the next silence
                entry.deadline = <int64_t>self._rules[r].deadband + self._rules[r].off
            if entry.deadline > at:
                continue
            if (
                not any_found or entry.deadline < found.deadline
                or (entry.deadline == found.deadline and entry.rank < found.rank)
            ):
                found[0] = entry
                any_found = True
        return any_found

    cdef void _judge(
        self, uint32_t r, uint32_t tag, int64_t at, double value, bint good
    ) noexcept nogil:
        cdef uint8_t meta = self._meta[r]
        cdef Rule* rule = &self._rules[r]
        cdef int kind = meta & KIND
        cdef bint was = (meta & BEYOND) != 0
        cdef bint holds
        if kind == STALE:
            holds = False  # something arrived, good or bad
        elif kind == BAD:
            holds = not good
        elif not good:
            return
        elif kind == EQUAL:
            holds = value == rule.limit
        elif self._flags[tag] & TEXT:
            return
        elif kind == HIGH:
            holds = value > rule.limit - (rule.deadband if was else 0.0)
        else:
            holds = value < rule.limit + (rule.deadband if was else 0.0)
        if holds != was:
            self._follow(
                r, tag, at, NAN if self._flags[tag] & TEXT else value, Q_GOOD if good else Q_BAD
            )

    cdef void _follow(
        self, uint32_t r, uint32_t tag, int64_t at, double value, uint8_t quality
    ) noexcept nogil:
        cdef int64_t delay
        self._meta[r] ^= BEYOND
        if self._meta[r] & KIND == STALE:
            self._rules[r].deadband = <double>at
        self._drop(r)
        if ((self._meta[r] & BEYOND) != 0) != ((self._meta[r] & RAW) != 0):
            delay = self._delay(r)
            if delay:
                self._put(r, tag, at + delay, value, quality)
            else:
                self._decide(r, at, value, quality)
        if self._meta[r] & (KIND | BEYOND) == STALE:
            self._arm_stale(r, tag, value, quality)

    cdef void _decide(self, uint32_t r, int64_t at, double value, uint8_t quality) noexcept nogil:
        cdef uint8_t present = (self._meta[r] & BEYOND) != 0
        self._meta[r] = (self._meta[r] & ~RAW) | (RAW if present else 0)
        self._changes[self._made] = Change(at, value, r, present, quality)
        self._made += 1
        if self._meta[r] & PAUSE:
            self._stop = True

    cdef inline int64_t _delay(self, uint32_t r) noexcept nogil:
        return self._rules[r].on if self._meta[r] & BEYOND else self._rules[r].off

    cdef int64_t _silent(self, uint32_t r, uint32_t tag) noexcept nogil:
        cdef int64_t heard = self._heard[tag]
        cdef int64_t since = heard if heard != NEVER else <int64_t>self._rules[r].deadband
        return since + <int64_t>self._rules[r].limit

    cdef void _arm_stale(
        self, uint32_t r, uint32_t tag, double value, uint8_t quality
    ) noexcept nogil:
        cdef int64_t at, over, since = <int64_t>self._rules[r].deadband
        if self._meta[r] & BEYOND:
            if not self._meta[r] & RAW:
                self._put(r, tag, since + self._rules[r].on, value, quality)
            return
        at = self._silent(r, tag)
        if self._meta[r] & RAW:
            over = since + self._rules[r].off
            at = over if over < at else at
        self._put(r, tag, at, value, quality)

    cdef void _stale_due(self, const Entry* entry) noexcept nogil:
        cdef uint32_t r = entry.rule, tag = entry.tag
        cdef int64_t silent = self._silent(r, tag)
        cdef int64_t over = <int64_t>self._rules[r].deadband + self._rules[r].off
        if self._meta[r] & RAW and over <= silent and over <= entry.deadline:
            self._decide(r, over, entry.value, entry.quality)
            self._arm_stale(r, tag, NAN, Q_GOOD)
        elif silent <= entry.deadline:
            self._follow(r, tag, silent, NAN, Q_STALE)
            self._close_band(tag)
        else:
            self._arm_stale(r, tag, entry.value, entry.quality)

    # deadlines: a binary heap that knows where each rule's entry is

    cdef void _put(
        self, uint32_t r, uint32_t tag, int64_t at, double value, uint8_t quality
    ) noexcept nogil:
        cdef int32_t order = self._rules[r].order
        cdef bint ends = (self._meta[r] & (RAW | BEYOND)) == RAW
        self._drop(r)
        self._heap[self._held] = Entry(at, value, r, tag, -order - 1 if ends else order, quality)
        self._rules[r].slot = self._held + 1
        self._held += 1
        self._up(self._held - 1)

    cdef void _drop(self, uint32_t r) noexcept nogil:
        cdef uint32_t slot = self._rules[r].slot
        if not slot:
            return
        self._rules[r].slot = 0
        slot -= 1
        self._held -= 1
        if slot != self._held:
            self._heap[slot] = self._heap[self._held]
            self._rules[self._heap[slot].rule].slot = slot + 1
            self._up(slot)
            self._down(slot)

    cdef void _up(self, uint32_t slot) noexcept nogil:
        cdef Entry entry = self._heap[slot]
        cdef uint32_t above
        while slot:
            above = (slot - 1) >> 1
            if not _before(&entry, &self._heap[above]):
                break
            self._heap[slot] = self._heap[above]
            self._rules[self._heap[slot].rule].slot = slot + 1
            slot = above
        self._heap[slot] = entry
        self._rules[entry.rule].slot = slot + 1

    cdef void _down(self, uint32_t slot) noexcept nogil:
        cdef Entry entry = self._heap[slot]
        cdef uint32_t below
        while 2 * slot + 1 < self._held:
            below = 2 * slot + 1
            if below + 1 < self._held and _before(&self._heap[below + 1], &self._heap[below]):
                below += 1
            if not _before(&self._heap[below], &entry):
                break
            self._heap[slot] = self._heap[below]
            self._rules[self._heap[slot].rule].slot = slot + 1
            slot = below
        self._heap[slot] = entry
        self._rules[entry.rule].slot = slot + 1

    cdef int _room_for(self, uint32_t more) noexcept nogil:
        """Make room for so many changes and deadlines: nothing can fail once rules run."""
        cdef void* moved
        cdef uint32_t wanted
        if self._held + more > self._room:
            wanted = 2 * self._room if 2 * self._room > self._held + more else self._held + more
            wanted = wanted if wanted > 64 else 64
            moved = realloc(self._heap, <size_t>wanted * sizeof(Entry))
            if moved is NULL:
                return -1
            self._heap, self._room = <Entry*>moved, wanted
        if self._made + more > self._space:
            wanted = 2 * self._space if 2 * self._space > self._made + more else self._made + more
            wanted = wanted if wanted > 64 else 64
            moved = realloc(self._changes, <size_t>wanted * sizeof(Change))
            if moved is NULL:
                return -1
            self._changes, self._space = <Change*>moved, wanted
        return 0

    cdef int _reserve(self, uint32_t more) except -1:
        if self._room_for(more) < 0:
            raise MemoryError()
        return 0

    # carried over from another version of the rules

    def pending(self, Py_ssize_t rule):
        """(end, value, quality) of the delay under way; None when none runs. Not of stale rules."""
        self._check_rule(rule)
        cdef Entry entry
        if not self._rules[rule].slot or self._meta[rule] & KIND == STALE:
            return None
        entry = self._heap[self._rules[rule].slot - 1]
        return entry.deadline, entry.value, _QUALITIES[entry.quality]

    def resume(self, Py_ssize_t rule, int64_t at, double value, str quality):
        """Let a loaded rule's delay, begun under another version of the rules, end at `at`."""
        self._check_rule(rule)
        cdef uint32_t r = <uint32_t>rule
        if self._unsettled(r):
            self._reserve(1)
            self._put(r, self._tag_of(r), bounded(at), value, _QUALITIES.index(quality))

    cdef bint _unsettled(self, uint32_t r):
        cdef uint8_t meta = self._meta[r]
        return ((meta & BEYOND) != 0) != ((meta & RAW) != 0) and meta & KIND != STALE

    cdef uint32_t _tag_of(self, uint32_t rule) noexcept:
        cdef uint32_t low = 0, high = self._n, middle
        while high - low > 1:
            middle = (low + high) >> 1
            if self._first[middle] <= rule:
                low = middle
            else:
                high = middle
        return low

    cdef int _check_rule(self, Py_ssize_t rule) except -1:
        if not 0 <= rule < <Py_ssize_t>self._count:
            raise ValueError(f"rule {rule} is not below {self._count}")
        return 0

    # bands

    cdef inline bint _good(self, uint32_t tag) noexcept nogil:
        return not self._quality[tag] and not isnan(self._hot[tag].value)

    cdef void _close_band(self, uint32_t tag) noexcept nogil:
        self._hot[tag].lo, self._hot[tag].hi = INFINITY, -INFINITY

    cdef void _set_band(self, uint32_t tag) noexcept nogil:
        cdef double lo = -INFINITY, hi = INFINITY, value = self._hot[tag].value, low, high
        cdef uint32_t r
        cdef Rule* rule
        cdef bint beyond
        # While it is bad, its return to good must show; who watches sees every sample.
        if self._flags[tag] or not self._good(tag):
            self._close_band(tag)
            return
        for r in range(self._first[tag], self._first[tag + 1]):
            rule = &self._rules[r]
            beyond = (self._meta[r] & BEYOND) != 0
            low, high = -INFINITY, INFINITY
            kind = self._meta[r] & KIND
            if kind == HIGH:
                # "Past the limit" is strict, the band is closed below: hence the next number up.
                if beyond:
                    low = nextafter(rule.limit - rule.deadband, INFINITY)
                else:
                    high = nextafter(rule.limit, INFINITY)
            elif kind == LOW:
                if beyond:
                    high = rule.limit + rule.deadband
                else:
                    low = rule.limit
            elif kind == EQUAL:
                if beyond:
                    low, high = rule.limit, nextafter(rule.limit, INFINITY)
                elif value < rule.limit:
                    high = rule.limit
                else:
                    low = nextafter(rule.limit, INFINITY)
            elif kind == STALE and beyond:
                self._close_band(tag)
                return
            lo = low if low > lo else lo
            hi = high if high < hi else hi
        if lo < hi:
            self._hot[tag].lo, self._hot[tag].hi = lo, hi
        else:
            self._close_band(tag)
