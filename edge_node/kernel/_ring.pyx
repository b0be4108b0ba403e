# distutils: extra_compile_args = -O3 -ffp-contract=off
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled form of the sliding window (`edge_node.domain.windows.sliding`), figure for figure."""

from libc.math cimport INFINITY, NAN, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove

cdef struct Bucket:
    int64_t n, start, first_at, last_at
    double mean, m2, low, high, first, last

cdef enum Figure:
    AVG, MIN, MAX, STDDEV, SUM, RANGE, FIRST, LAST, CHANGED, RATE, COUNT, LAG

cdef dict CODES = {
    "avg": AVG, "min": MIN, "max": MAX, "stddev": STDDEV, "sum": SUM, "range": RANGE,
    "first": FIRST, "last": LAST, "changed": CHANGED, "rate": RATE, "count": COUNT, "lag": LAG,
}


cdef inline void _clear(Bucket* it) noexcept nogil:
    it.n = it.start = it.first_at = it.last_at = 0
    it.mean = it.m2 = 0.0
    it.low, it.high = INFINITY, -INFINITY
    it.first = it.last = NAN


cdef inline void _add(Bucket* it, int64_t at, double value) noexcept nogil:
    cdef double delta = value - it.mean
    it.n += 1
    it.mean += delta / it.n
    it.m2 += delta * (value - it.mean)
    if value < it.low:
        it.low = value
    if value > it.high:
        it.high = value
    if it.n == 1:
        it.first, it.first_at, it.last, it.last_at = value, at, value, at
    elif at >= it.last_at:
        it.last, it.last_at = value, at
    elif at < it.first_at:
        it.first, it.first_at = value, at


cdef inline void _merge(Bucket* it, Bucket* other) noexcept nogil:
    cdef int64_t n
    cdef double delta
    if other.n == 0:
        return
    if it.n == 0:
        it[0] = other[0]
        return
    n = it.n + other.n
    delta = other.mean - it.mean
    it.mean += delta * other.n / n
    it.m2 += other.m2 + delta * delta * it.n * other.n / n
    it.n = n
    if other.low < it.low:
        it.low = other.low
    if other.high > it.high:
        it.high = other.high
    if other.last_at >= it.last_at:
        it.last, it.last_at = other.last, other.last_at
    if other.first_at < it.first_at:
        it.first, it.first_at = other.first, other.first_at


cdef object _figure(Bucket* it, int code):
    cdef int64_t span
    if code == COUNT:
        return float(it.n)
    if it.n == 0:
        return None
    if code == AVG:
        return it.mean
    if code == MIN:
        return it.low
    if code == MAX:
        return it.high
    if code == STDDEV:
        return sqrt((it.m2 if it.m2 > 0.0 else 0.0) / it.n)
    if code == SUM:
        return it.mean * it.n
    if code == RANGE:
        return it.high - it.low
    if code == FIRST:
        return it.first
    if code == LAST:
        return it.last
    if code == CHANGED:
        return it.low != it.high
    span = it.last_at - it.first_at
    return (it.last - it.first) * 1000 / span if span > 0 else None


cdef class Ring:
    """The samples later than `span_ms` ago, in buckets of `width` ms."""

    cdef Bucket* _buckets
    cdef Bucket _closed
    cdef int _size, _head, _count
    cdef bint _known, _held
    cdef double _before
    cdef int64_t _before_at
    cdef readonly int64_t span_ms, tolerance_ms, width
    cdef public object late

    def __cinit__(self, int64_t span_ms, late, int64_t tolerance_ms=1000, int buckets=32):
        self.span_ms, self.tolerance_ms, self.late = span_ms, tolerance_ms, late
        self.width = max(1, span_ms // buckets)
        self._size = self._head = self._count = 0
        self._known = self._held = False
        self._buckets = NULL

    def __dealloc__(self):
        free(self._buckets)

    def __len__(self):
        return self._count

    cdef inline Bucket* _at(self, int place) noexcept:
        cdef int index = self._head + place
        return &self._buckets[index - self._size if index >= self._size else index]

    cdef int _grow(self) except -1:
        """Room for one more; a window that gets few samples stays small."""
        cdef int size = 4 if self._size == 0 else 2 * self._size
        cdef int most = <int>(self.span_ms // self.width) + 3
        if most < size and most > self._size:
            size = most
        cdef Bucket* room = <Bucket*>realloc(self._buckets, size * sizeof(Bucket))
        if room == NULL:
            raise MemoryError()
        cdef int tail = self._size - self._head
        if self._size and self._head:  # the part at the end goes to the new end
            memmove(&room[size - tail], &room[self._head], tail * sizeof(Bucket))
            self._head = size - tail
        self._buckets, self._size = room, size
        return 0

    cdef void _expire(self, int64_t now) noexcept:
        cdef int64_t start = now - self.span_ms
        cdef Bucket* it
        while self._count:
            it = self._at(0)
            if it.last_at > start:
                return
            self._before, self._before_at, self._held = it.last, it.last_at, True
            self._head = self._head + 1 if self._head + 1 < self._size else 0
            self._count -= 1
            self._known = False

    def add(self, int64_t at, double value):
        """Take one sample."""
        cdef Bucket* it
        if self._count:
            it = self._at(self._count - 1)
            if at < it.start:
                self._add_late(at, value, it.last_at)
                return
            if at < it.start + self.width:
                _add(it, at, value)
                return
        self._expire(at)
        if self._count == self._size:
            self._grow()
        it = self._at(self._count)
        self._count += 1
        self._known = False
        _clear(it)
        it.start = at
        _add(it, at, value)

    cdef int _add_late(self, int64_t at, double value, int64_t newest) except -1:
        cdef int place
        if at <= newest - self.span_ms:
            self.late.too_late += 1
            if not self._held or at >= self._before_at:
                self._before, self._before_at, self._held = value, at, True
            return 0
        if at < newest - self.tolerance_ms:
            self.late.late += 1
        place = self._count - 1
        while place > 0 and self._at(place).start > at:
            place -= 1
        _add(self._at(place), at, value)
        if at < self._at(place).start:
            self._at(place).start = at
        self._known = False
        return 0

    cdef void _total(self, Bucket* total) noexcept:
        cdef int place
        if not self._known:
            _clear(&self._closed)
            for place in range(self._count - 1):
                _merge(&self._closed, self._at(place))
            self._known = True
        _clear(total)
        _merge(total, &self._closed)
        if self._count:
            _merge(total, self._at(self._count - 1))

    def figure(self, str function, int64_t now):
        """A figure over (now - span, now]; None without data."""
        cdef int code = CODES[function]
        cdef Bucket total, held
        self._expire(now)
        if code == LAG:
            return self._before if self._held else None
        self._total(&total)
        if code == COUNT:
            return float(total.n)
        if self._held and (total.n == 0 or code == RATE or code == CHANGED):
            _clear(&held)
            _add(&held, self._before_at, self._before)
            _merge(&held, &total)
            return _figure(&held, code)
        return _figure(&total, code)

    def ends(self):
        """Number of samples, time and value of the first and of the last."""
        cdef Bucket total
        self._total(&total)
        return total.n, total.first_at, total.first, total.last_at, total.last
