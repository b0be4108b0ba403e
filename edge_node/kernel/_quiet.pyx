# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The kernel, compiled: two compares and three stores per quiet sample, rules without Python.

Called through `edge_node.kernel`; `pure.py` says what each method does and is its test oracle.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from edge_node.kernel.rules import QUALITIES

include "_quiet_rules.pxi"

cdef tuple _QUALITIES = QUALITIES


include "_quiet_columns.pxi"


cdef class Kernel(_RuleBook):
    """Last value of every tag, the band in which no sample of it can change a rule, the rules."""

    def __cinit__(self, Py_ssize_t n, rules):
        cdef Py_ssize_t count = len(rules), i
        if n < 0 or n > 0x7FFFFFFF:
            raise ValueError(f"{n} tags: must not be negative")
        self._n, self._count = <uint32_t>n, <uint32_t>count
        self._hot = <Hot*>malloc((n or 1) * sizeof(Hot))
        self._heard = <int64_t*>malloc((n or 1) * sizeof(int64_t))
        self._quality = <uint8_t*>malloc(n or 1)
        self._flags = <uint8_t*>calloc(n or 1, 1)
        self._first = <uint32_t*>calloc(n + 1, sizeof(uint32_t))
        self._rules = <Rule*>calloc(count or 1, sizeof(Rule))
        self._meta = <uint8_t*>calloc(count or 1, 1)
        if not (self._hot and self._heard and self._quality and self._flags and self._first):
            raise MemoryError()
        if not (self._rules and self._meta):
            raise MemoryError()
        for i in range(n):
            self._hot[i] = Hot(INFINITY, -INFINITY, NAN, 0)
            self._heard[i] = NEVER
            self._quality[i] = 2
        self._fill(rules)

    cdef _fill(self, rules):
        cdef Py_ssize_t i, count = self._count
        cdef int32_t tag
        cdef bytes tags = bytes(rules.tags), kinds = bytes(rules.kinds)
        cdef bytes limits = bytes(rules.limits), deadbands = bytes(rules.deadbands)
        cdef bytes on = bytes(rules.on), off = bytes(rules.off), orders = bytes(rules.orders)
        cdef Rule* rule
        for i in range(count):
            tag = (<const int32_t*><const char*>tags)[i]
            if not 0 <= tag < <int64_t>self._n:
                raise ValueError(f"a rule's tag is not below {self._n}")
            self._first[tag + 1] += 1
            rule = &self._rules[i]
            rule.limit = (<const double*><const char*>limits)[i]
            rule.deadband = (<const double*><const char*>deadbands)[i]
            rule.on = (<const uint32_t*><const char*>on)[i]
            rule.off = (<const uint32_t*><const char*>off)[i]
            rule.order = (<const int32_t*><const char*>orders)[i]
            self._meta[i] = (<const uint8_t*><const char*>kinds)[i]
        for i in range(self._n):
            self._first[i + 1] += self._first[i]

    def __dealloc__(self):
        free(self._hot)
        free(self._heard)
        free(self._quality)
        free(self._flags)
        free(self._first)
        free(self._rules)
        free(self._meta)
        free(self._heap)
        free(self._changes)

    def __len__(self):
        return self._n

    @property
    def nbytes(self):
        """Bytes of memory that it holds, deadlines and waiting changes included."""
        return (
            self._n * (sizeof(Hot) + sizeof(int64_t) + 2 + sizeof(uint32_t))
            + self._count * (sizeof(Rule) + 1)
            + self._room * sizeof(Entry) + self._space * sizeof(Change)
        )

    # what is known of a tag

    def value(self, Py_ssize_t tag):
        """Value of the last sample; NaN before the first."""
        self._check(tag)
        return self._hot[tag].value

    def time(self, Py_ssize_t tag):
        """Source time of the last sample; 0 before the first."""
        self._check(tag)
        return self._hot[tag].time

    def quality(self, Py_ssize_t tag):
        """Quality of the last sample (0 good, 1 uncertain, 2 bad); 2 before the first."""
        self._check(tag)
        return self._quality[tag]

    def heard(self, Py_ssize_t tag):
        """Steady time at which the last sample came, good or bad; None before the first."""
        self._check(tag)
        return None if self._heard[tag] == NEVER else self._heard[tag]

    def band(self, Py_ssize_t tag):
        """Good samples in `[lo, hi)` are quiet."""
        self._check(tag)
        return self._hot[tag].lo, self._hot[tag].hi

    # set up

    def watch(self, Py_ssize_t tag):
        """A scan stops after every sample of `tag`: somebody wants to see each."""
        self._check(tag)
        self._flags[tag] |= WATCH
        self._close_band(<uint32_t>tag)

    def load(self, Py_ssize_t rule, bint beyond, bint raw):
        """A rule's state from before a restart; the next sample of its tag is judged."""
        self._check_rule(rule)
        self._close_band(self._tag_of(<uint32_t>rule))
        self._meta[rule] &= ~(BEYOND | RAW)
        self._meta[rule] |= (BEYOND if beyond else 0) | (RAW if raw else 0)

    def start(self, int64_t now, later=None):
        """Time begins: what stays silent from now on goes stale; `later`: rules with their own."""
        cdef uint32_t tag, rule
        cdef dict own = dict(later or {})
        for tag in range(self._n):
            for rule in range(self._first[tag], self._first[tag + 1]):
                if self._meta[rule] & KIND == STALE:
                    self._rules[rule].deadband = <double>bounded(own.get(rule, now))
                    self._reserve(1)
                    self._arm_stale(rule, tag, NAN, Q_GOOD)

    def pause(self, Py_ssize_t rule, bint on):
        """While `on`, a scan stops after a change of `rule` (settings wait for it)."""
        self._check_rule(rule)
        self._meta[rule] = (self._meta[rule] & ~PAUSE) | (PAUSE if on else 0)

    def set_rule(
        self, Py_ssize_t rule, double limit, double deadband, int64_t on_ms, int64_t off_ms,
        int64_t now,
    ):
        """New numbers: a running delay gets its new length, the present value is judged."""
        if isnan(limit) or isnan(deadband):
            raise ValueError("a rule's numbers must not be NaN")
        self._check_rule(rule)
        cdef uint32_t r = <uint32_t>rule, tag = self._tag_of(<uint32_t>rule)
        cdef Rule* numbers = &self._rules[r]
        cdef int kind = self._meta[r] & KIND
        cdef int64_t delay = self._delay(r)
        cdef Entry entry
        now = bounded(now)
        self._reserve(2)
        numbers.on = <uint32_t>min(on_ms, MAX_DELAY)
        numbers.off = <uint32_t>min(off_ms, MAX_DELAY)
        if numbers.slot:
            entry = self._heap[numbers.slot - 1]
        if kind == STALE:
            if numbers.slot:
                self._arm_stale(r, tag, entry.value, entry.quality)
            return
        if numbers.slot:
            entry.deadline += self._delay(r) - delay
            self._put(r, tag, entry.deadline, entry.value, entry.quality)
            if entry.deadline <= now:
                self._drop(r)
                self._decide(r, entry.deadline, entry.value, entry.quality)
        if kind == HIGH or kind == LOW:
            numbers.limit, numbers.deadband = limit, deadband
            if self._heard[tag] != NEVER and not self._flags[tag] & TEXT:
                self._judge(r, tag, now, self._hot[tag].value, self._good(tag))
        if self._heard[tag] != NEVER:
            self._set_band(tag)

    # samples

    def newest(self, tags, times, values, qualities, Py_ssize_t base, Py_ssize_t n):
        """Check a batch of a source whose `n` tags begin at `base`: its newest source time."""
        cdef _Columns columns = _Columns(tags, times, values, qualities)
        cdef uint32_t most
        cdef int64_t newest
        if not columns.batch.count:
            raise ValueError("a batch without samples")
        _extremes(&columns.batch, &most, &newest)
        if not 0 <= base <= base + n <= <Py_ssize_t>self._n or most >= n:
            raise ValueError(f"a tag index is not below {n}")
        return newest

    def scan(
        self, tags, times, values, qualities, Py_ssize_t start, Py_ssize_t base, Py_ssize_t n,
        int64_t offset, int64_t now,
    ):
        """Take samples from `start` on; returns how many of the batch have been taken."""
        cdef _Columns columns = _Columns(tags, times, values, qualities)
        cdef Py_ssize_t done = start
        if not 0 <= start <= columns.batch.count:
            raise ValueError(f"start {start} is outside the batch of {columns.batch.count}")
        if not 0 <= base <= base + n <= <Py_ssize_t>self._n:
            raise ValueError(f"tags {base} to {base + n} are not below {self._n}")
        offset, now = bounded(offset), bounded(now)
        # Holding the interpreter: to get it back from a busy thread takes up to 5 ms, which is
        # a million samples.
        cdef int status = self._run(
            &columns.batch, &done, <uint32_t>base, <uint32_t>n, offset, now
        )
        if status == 1:
            raise ValueError(f"a tag index is not below {n}")
        if status == 2:
            raise MemoryError()
        return done

    cdef int _run(
        self, const Batch* batch, Py_ssize_t* done, uint32_t base, uint32_t n, int64_t offset,
        int64_t now,
    ) noexcept nogil:
        cdef Py_ssize_t i
        cdef uint32_t tag
        cdef double value
        cdef int64_t moment, at
        cdef Hot* record
        cdef Hot* hot = self._hot + base
        cdef int64_t* heard = self._heard + base
        for i in range(done[0], batch.count):
            memcpy(&tag, batch.tags + 4 * i, 4)
            if tag >= n:
                done[0] = i
                return 1
            memcpy(&value, batch.values + 8 * i, 8)
            memcpy(&moment, batch.times + 8 * i, 8)
            record = hot + tag
            record.value = value
            record.time = moment
            heard[tag] = now
            if batch.qualities[i] or not (record.lo <= value < record.hi):
                tag += base
                self._quality[tag] = batch.qualities[i]
                self._flags[tag] &= ~TEXT
                at = bounded(moment) + offset
                if self._excursion(tag, at if at < now else now, value) < 0:
                    done[0] = i
                    return 2
                if self._stop or self._made >= MANY:
                    done[0] = i + 1
                    return 0
        done[0] = batch.count
        return 0

    def sample(
        self, Py_ssize_t tag, int64_t time, double code, int quality, int64_t offset, int64_t now
    ):
        """One text of a tag, as a number that stands for it: limits do not look at it."""
        self._check(tag)
        now = bounded(now)
        self._hot[tag].value, self._hot[tag].time, self._heard[tag] = code, time, now
        self._quality[tag] = <uint8_t>quality
        self._flags[tag] |= TEXT
        if self._excursion(<uint32_t>tag, min(bounded(time) + bounded(offset), now), code) < 0:
            raise MemoryError()

    def take(self):
        """The changes since the last call, in order."""
        self._stop = False
        if not self._made:
            return []
        cdef uint32_t i
        cdef Change* change
        cdef list changes = []
        for i in range(self._made):
            change = &self._changes[i]
            changes.append((
                change.rule, change.present != 0, change.at,
                None if isnan(change.value) else change.value, _QUALITIES[change.quality],
            ))
        self._made = 0
        if self._space > 4 * MANY:  # a storm's room is given back
            free(self._changes)
            self._changes, self._space = NULL, 0
        return changes

    # time

    def tick(self, int64_t now):
        """Let all delays end that end by `now`, and go stale what has been silent too long."""
        cdef Entry entry
        now = bounded(now)
        while self._held and self._heap[0].deadline <= now:
            self._reserve(2)
            entry = self._heap[0]
            self._drop(entry.rule)
            if self._meta[entry.rule] & (KIND | BEYOND) == STALE:
                self._stale_due(&entry)
            else:
                self._decide(entry.rule, entry.deadline, entry.value, entry.quality)

    @property
    def next_due(self):
        """When the next delay ends; None when none runs."""
        return self._heap[0].deadline if self._held else None

    cdef int _check(self, Py_ssize_t tag) except -1:
        if not 0 <= tag < <Py_ssize_t>self._n:
            raise ValueError(f"tag index {tag} is not below {self._n}")
        return 0


def store_only(tags, times, values, records):
    """The same loads and stores as a quiet scan with no judgement: the limit of the machine.

    `records` is room for 32 bytes per tag.
    """
    cdef _Columns columns = _Columns(tags, times, values, bytes(len(values) // 8))
    cdef Py_buffer room
    cdef const Batch* batch = &columns.batch
    cdef Py_ssize_t i
    cdef uint32_t tag, n
    cdef Hot* hot
    PyObject_GetBuffer(records, &room, PyBUF_SIMPLE | 1)  # writable
    try:
        n = <uint32_t>(room.len // sizeof(Hot))
        hot = <Hot*>room.buf
        with nogil:
            for i in range(batch.count):
                memcpy(&tag, batch.tags + 4 * i, 4)
                if tag < n:
                    memcpy(&hot[tag].value, batch.values + 8 * i, 8)
                    memcpy(&hot[tag].time, batch.times + 8 * i, 8)
    finally:
        PyBuffer_Release(&room)
    return batch.count
