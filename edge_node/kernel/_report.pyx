# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What goes up to the factory, decided sample by sample, compiled.

Called through `edge_node.kernel.report`, whose pure form says what each method does and is its
test oracle.
"""

import sys

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport NAN, fabs, isnan
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

cdef Py_ssize_t MOST = sys.maxsize

cdef enum:
    OFF = 0
    CHANGE = 1
    RAW = 2
    WINDOW = 3
    NEVER = 255


cdef struct Kept:
    double last
    double deadband
    int64_t time
    int64_t every
    uint8_t mode
    uint8_t grade
    uint8_t stats


cdef struct Open:
    # a window under way
    double total
    double least
    double most
    double last
    int64_t start
    int64_t time
    int64_t good
    int64_t count
    uint8_t worst


cdef class Reporter:
    """Modes and last reported values of one source's tags, and the rows that wait."""

    cdef Kept* _kept
    cdef Open* _open
    cdef int32_t* _slot
    cdef int32_t* _out
    cdef int64_t* _times
    cdef double* _values
    cdef uint8_t* _grades
    cdef uint32_t _n
    cdef Py_ssize_t _rows, _room, _most
    cdef readonly Py_ssize_t dropped
    cdef readonly int64_t first
    cdef readonly int64_t last
    cdef int64_t _repeat

    def __cinit__(self, Py_ssize_t n, Py_ssize_t most, int64_t repeat):
        if n < 0 or n > 0x1FFFFFFF or most < 0:
            raise ValueError(f"{n} tags, {most} rows: out of range")
        self._n, self._most, self._repeat = <uint32_t>n, most, repeat
        self._kept = <Kept*>calloc(n or 1, sizeof(Kept))
        self._slot = <int32_t*>malloc((n or 1) * 4 * sizeof(int32_t))
        if self._kept is NULL or self._slot is NULL:
            raise MemoryError()
        memset(self._slot, 0xFF, (n or 1) * 4 * sizeof(int32_t))
        cdef Py_ssize_t i
        for i in range(n):
            self._kept[i].grade = NEVER
        self.first = self.last = 0

    def __dealloc__(self):
        free(self._kept)
        free(self._open)
        free(self._slot)
        free(self._out)
        free(self._times)
        free(self._values)
        free(self._grades)

    def __len__(self):
        return self._rows

    def set_mode(self, Py_ssize_t tag, int mode, double deadband=0.0, int64_t every=0, int stats=8):
        """How `tag` is reported from now on; its next sample is reported in any case."""
        if not 0 <= tag < self._n:
            raise ValueError(f"tag index {tag} is not below {self._n}")
        if not OFF <= mode <= WINDOW or (mode == WINDOW and (every <= 0 or not 0 < stats < 16)):
            raise ValueError(f"mode {mode} with every {every} and stats {stats} is not possible")
        cdef Kept* kept = self._kept + tag
        if mode == WINDOW and self._open is NULL:
            self._open = <Open*>calloc(self._n, sizeof(Open))
            if self._open is NULL:
                raise MemoryError()
        if self._open is not NULL:
            self._open[tag].count = 0
        kept.mode, kept.deadband, kept.every, kept.stats = mode, deadband, every, stats
        kept.grade = NEVER

    def take(self, tags, times, values, qualities):
        """Note one batch: rows that are to be reported, and the batch's span of time."""
        cdef Py_buffer[4] columns
        cdef int held = 0
        cdef Py_ssize_t count, at = 0
        try:
            for column in (tags, times, values, qualities):
                PyObject_GetBuffer(column, &columns[held], PyBUF_SIMPLE)
                held += 1
            count = columns[3].len
            if (
                columns[0].len != 4 * count
                or columns[1].len != 8 * count
                or columns[2].len != 8 * count
            ):
                raise ValueError("columns of a batch differ in length")
            at = self._run(
                <const char*>columns[0].buf, <const char*>columns[1].buf,
                <const char*>columns[2].buf, <const uint8_t*>columns[3].buf, count,
            )
        finally:
            while held:
                held -= 1
                PyBuffer_Release(&columns[held])
        if at < count:
            raise ValueError(f"a tag index is not below {self._n}")

    cdef Py_ssize_t _run(
        self, const char* tags, const char* times, const char* values, const uint8_t* grades,
        Py_ssize_t count,
    ) noexcept:
        cdef Py_ssize_t i
        cdef uint32_t tag
        cdef int64_t time, first = 0, last = 0
        cdef double value
        cdef uint8_t grade
        cdef Kept* kept
        for i in range(count):
            memcpy(&tag, tags + 4 * i, 4)
            if tag >= self._n:
                return i
            memcpy(&time, times + 8 * i, 8)
            if i == 0:
                first = last = time
            elif time < first:
                first = time
            elif time > last:
                last = time
            kept = self._kept + tag
            if kept.mode == OFF:
                continue
            memcpy(&value, values + 8 * i, 8)
            grade = grades[i]
            if kept.mode == WINDOW:
                self._gather(tag, time, value, grade)
                continue
            if (
                kept.mode == CHANGE
                and grade == kept.grade
                and (
                    grade != 0
                    or value == kept.last
                    or fabs(value - kept.last) <= kept.deadband
                    or (isnan(value) and isnan(kept.last))
                )
                and time - kept.time < self._repeat
            ):
                continue
            if self._put(<int32_t>(4 * tag + 3), time, value, grade):
                kept.last, kept.grade, kept.time = value, grade, time
        if count:
            self.first, self.last = first, last
        return count

    cdef void _gather(self, uint32_t tag, int64_t time, double value, uint8_t grade) noexcept:
        cdef Open* window = self._open + tag
        cdef int64_t every = self._kept[tag].every
        cdef int64_t rest
        if window.count and time >= window.start + every:
            self._shut(tag)
        if not window.count:
            rest = time % every
            window.start = time - (rest + every if rest < 0 else rest)
            window.good, window.total, window.worst = 0, 0.0, 0
        window.count += 1
        if grade > window.worst:
            window.worst = grade
        if window.count == 1 or time > window.time:
            window.time = time
        if grade != 0 or isnan(value):
            return
        if not window.good:
            window.least = window.most = value
        elif value < window.least:
            window.least = value
        elif value > window.most:
            window.most = value
        window.good += 1
        window.total += value
        window.last = value

    cdef void _shut(self, uint32_t tag) noexcept:
        cdef Open* window = self._open + tag
        cdef int stats = self._kept[tag].stats
        cdef int32_t out = <int32_t>(4 * tag)
        cdef uint8_t grade = window.worst
        cdef bint good = window.good > 0
        if good and grade > 1:
            grade = 1
        if stats & 1:
            self._put(out, window.time, window.total / window.good if good else NAN, grade)
        if stats & 2:
            self._put(out + 1, window.time, window.least if good else NAN, grade)
        if stats & 4:
            self._put(out + 2, window.time, window.most if good else NAN, grade)
        if stats & 8:
            self._put(out + 3, window.time, window.last if good else NAN, grade)
        window.count = 0

    def close(self, int64_t until):
        """End the windows that should have ended by `until`, though no sample came to end them."""
        cdef uint32_t tag
        if self._open is NULL:
            return
        for tag in range(self._n):
            if self._open[tag].count and self._open[tag].start + self._kept[tag].every <= until:
                self._shut(tag)

    cdef bint _put(self, int32_t out, int64_t time, double value, uint8_t grade) noexcept:
        if self._rows >= self._room and not self._grow():
            self.dropped += 1
            return False
        self._out[self._rows] = out
        self._times[self._rows] = time
        self._values[self._rows] = value
        self._grades[self._rows] = grade
        self._rows += 1
        return True

    cdef bint _grow(self) noexcept:
        cdef Py_ssize_t room = min(self._most, 2 * self._room + 256)
        cdef void* made
        if room <= self._room:
            return False
        made = realloc(self._out, room * sizeof(int32_t))
        if made is NULL:
            return False
        self._out = <int32_t*>made
        made = realloc(self._times, room * sizeof(int64_t))
        if made is NULL:
            return False
        self._times = <int64_t*>made
        made = realloc(self._values, room * sizeof(double))
        if made is NULL:
            return False
        self._values = <double*>made
        made = realloc(self._grades, room)
        if made is NULL:
            return False
        self._grades = <uint8_t*>made
        self._room = room
        return True

    def drain(self, Py_ssize_t most=MOST):
        """The oldest rows and forget them: (outputs used, index column, times, values, grades)."""
        cdef Py_ssize_t i, rows = min(max(most, 0), self._rows)
        cdef Py_ssize_t rest = self._rows - rows
        cdef int32_t out
        used = []
        for i in range(rows):
            out = self._out[i]
            if self._slot[out] < 0:
                self._slot[out] = <int32_t>len(used)
                used.append(out)
            self._out[i] = self._slot[out]
        for given in used:
            self._slot[<Py_ssize_t>given] = -1
        drained = (
            used,
            (<char*>self._out)[: 4 * rows] if rows else b"",
            (<char*>self._times)[: 8 * rows] if rows else b"",
            (<char*>self._values)[: 8 * rows] if rows else b"",
            (<char*>self._grades)[:rows] if rows else b"",
        )
        self._rows = rest
        if rest:
            memmove(self._out, self._out + rows, rest * sizeof(int32_t))
            memmove(self._times, self._times + rows, rest * sizeof(int64_t))
            memmove(self._values, self._values + rows, rest * sizeof(double))
            memmove(self._grades, self._grades + rows, rest)
        return drained
