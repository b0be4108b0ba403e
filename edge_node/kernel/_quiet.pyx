# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The quiet-band kernel, compiled: two compares and four stores per quiet sample.

Called through `edge_node.kernel`; `pure.py` says what each method does and is its test oracle.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport INFINITY, NAN, isnan
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef struct Hot:
    # 32 bytes: two records in a cache line
    double lo
    double hi
    double value
    int64_t time


cdef struct Found:
    Py_ssize_t index
    bint unknown


cdef Found _run(
    Hot* hot, uint8_t* quality, uint32_t n, const char* tags, const char* times,
    const char* values, const uint8_t* qualities, Py_ssize_t start, Py_ssize_t count,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint32_t tag
    cdef double value
    cdef Hot* record
    cdef Found found
    found.unknown = False
    for i in range(start, count):
        # memcpy because a column inside a received frame need not be aligned
        memcpy(&tag, tags + 4 * i, 4)
        if tag >= n:
            found.unknown = True
            found.index = i
            return found
        memcpy(&value, values + 8 * i, 8)
        record = hot + tag
        record.value = value
        memcpy(&record.time, times + 8 * i, 8)
        quality[tag] = qualities[i]
        if qualities[i] or not (record.lo <= value < record.hi):
            found.index = i
            return found
    found.index = count
    return found


cdef bint _known(const char* tags, Py_ssize_t count, uint32_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint32_t tag, most = 0
    for i in range(count):
        memcpy(&tag, tags + 4 * i, 4)
        if tag > most:
            most = tag
    return count == 0 or most < n


cdef class QuietBand:
    """Last value of every tag, and the interval in which no sample of it can change an alarm."""

    cdef Hot* _hot
    cdef uint8_t* _quality
    cdef uint32_t _n

    def __cinit__(self, Py_ssize_t n):
        if n < 0 or n > 0x7FFFFFFF:
            raise ValueError(f"{n} tags: must not be negative")
        self._hot = <Hot*>malloc((n or 1) * sizeof(Hot))
        self._quality = <uint8_t*>malloc(n or 1)
        if self._hot is NULL or self._quality is NULL:
            raise MemoryError()
        self._n = <uint32_t>n
        cdef Py_ssize_t i
        for i in range(n):
            self._hot[i].lo = INFINITY
            self._hot[i].hi = -INFINITY
            self._hot[i].value = NAN
            self._hot[i].time = 0
            self._quality[i] = 2

    def __dealloc__(self):
        free(self._hot)
        free(self._quality)

    def __len__(self):
        return self._n

    def set_band(self, Py_ssize_t tag, double lo, double hi):
        """Samples of `tag` in `[lo, hi)` are quiet; `lo >= hi` makes all of them excursions."""
        self._check(tag)
        if isnan(lo) or isnan(hi):
            raise ValueError("a band's ends must be numbers, not NaN")
        self._hot[tag].lo = lo
        self._hot[tag].hi = hi

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

    def scan(self, tags, times, values, qualities, Py_ssize_t start=0):
        """Store samples from `start` on, up to and including the first excursion."""
        cdef Py_buffer[4] columns
        cdef int held = 0
        cdef Py_ssize_t count
        cdef Found found
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
            if not 0 <= start <= count:
                raise ValueError(f"start {start} is outside the batch of {count}")
            if start == 0 and not _known(<const char*>columns[0].buf, count, self._n):
                raise ValueError(f"a tag index is not below {self._n}")
            with nogil:
                found = _run(
                    self._hot, self._quality, self._n, <const char*>columns[0].buf,
                    <const char*>columns[1].buf, <const char*>columns[2].buf,
                    <const uint8_t*>columns[3].buf, start, count,
                )
        finally:
            while held:
                held -= 1
                PyBuffer_Release(&columns[held])
        if found.unknown:
            raise ValueError(f"a tag index is not below {self._n}")
        return found.index

    cdef int _check(self, Py_ssize_t tag) except -1:
        if not 0 <= tag < self._n:
            raise ValueError(f"tag index {tag} is not below {self._n}")
        return 0
