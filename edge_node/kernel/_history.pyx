# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Looking through columns of samples: one tag's rows, and a thinner curve of them, compiled.

Called through `edge_node.kernel.history`, whose pure form is the contract and the test oracle.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport isnan
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef Py_ssize_t _pick(
    const char* tags, const char* times, const char* values, const uint8_t* grades,
    Py_ssize_t count, int32_t wanted, int64_t since, int64_t until,
    char* out_times, char* out_values, uint8_t* out_grades,
) noexcept nogil:
    cdef Py_ssize_t i, found = 0
    cdef int32_t tag
    cdef int64_t time
    for i in range(count):
        memcpy(&tag, tags + 4 * i, 4)
        if tag != wanted:
            continue
        memcpy(&time, times + 8 * i, 8)
        if time < since or time > until:
            continue
        memcpy(out_times + 8 * found, &time, 8)
        memcpy(out_values + 8 * found, values + 8 * i, 8)
        out_grades[found] = grades[i]
        found += 1
    return found


def pick(tags, times, values, qualities, int32_t wanted, int64_t since, int64_t until):
    """The columns (times, values, qualities) of one tag in [since, until], in the batch's order."""
    cdef Py_buffer[4] columns
    cdef int held = 0
    cdef Py_ssize_t count, found
    cdef char* room = NULL
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
        room = <char*>malloc(17 * count + 1)
        if room is NULL:
            raise MemoryError()
        with nogil:
            found = _pick(
                <const char*>columns[0].buf, <const char*>columns[1].buf,
                <const char*>columns[2].buf, <const uint8_t*>columns[3].buf, count,
                wanted, since, until, room, room + 8 * count, <uint8_t*>(room + 16 * count),
            )
        return (
            room[: 8 * found], room[8 * count : 8 * count + 8 * found],
            room[16 * count : 16 * count + found],
        )
    finally:
        free(room)
        while held:
            held -= 1
            PyBuffer_Release(&columns[held])


cdef Py_ssize_t _note(
    Py_ssize_t* kept, Py_ssize_t found, Py_ssize_t least, Py_ssize_t top, Py_ssize_t bad,
) noexcept nogil:
    """Add up to three different places in rising order."""
    cdef Py_ssize_t[3] places
    cdef Py_ssize_t i, j, swap
    places[0], places[1], places[2] = least, top, bad
    for i in range(2):
        for j in range(2 - i):
            if places[j] > places[j + 1]:
                swap = places[j]
                places[j] = places[j + 1]
                places[j + 1] = swap
    for i in range(3):
        if places[i] >= 0 and (i == 0 or places[i] != places[i - 1]):
            kept[found] = places[i]
            found += 1
    return found


cdef Py_ssize_t _thin(
    const char* times, const char* values, const uint8_t* grades, Py_ssize_t count,
    int64_t since, int64_t span, Py_ssize_t buckets, Py_ssize_t* kept,
) noexcept nogil:
    cdef Py_ssize_t i, bucket, now = -1, found = 0
    cdef Py_ssize_t least = -1, top = -1, bad = -1
    cdef int64_t time
    cdef double value, low = 0, high = 0
    for i in range(count):
        memcpy(&time, times + 8 * i, 8)
        memcpy(&value, values + 8 * i, 8)
        bucket = min(max(<Py_ssize_t>((time - since) * buckets // span), 0), buckets - 1)
        if bucket != now:
            found = _note(kept, found, least, top, bad)
            now, least, top, bad = bucket, -1, -1, -1
        if grades[i] or isnan(value):
            if bad < 0:
                bad = i
            continue
        if least < 0 or value < low:
            least, low = i, value
        if top < 0 or value > high:
            top, high = i, value
    return _note(kept, found, least, top, bad)


def thin(times, values, qualities, int64_t since, int64_t until, Py_ssize_t most):
    """Places of at most `most` rows that draw the same curve (rows in the order of time)."""
    cdef Py_buffer[3] columns
    cdef int held = 0
    cdef Py_ssize_t count, found, i
    cdef Py_ssize_t* kept = NULL
    cdef int64_t span = max(<int64_t>1, until - since + 1)
    cdef Py_ssize_t buckets = max(1, most // 3)
    try:
        for column in (times, values, qualities):
            PyObject_GetBuffer(column, &columns[held], PyBUF_SIMPLE)
            held += 1
        count = columns[2].len
        if columns[0].len != 8 * count or columns[1].len != 8 * count:
            raise ValueError("columns of a batch differ in length")
        if count <= most:
            return list(range(count))
        # Rows out of order may change their span at every row: room for all of them.
        kept = <Py_ssize_t*>malloc(count * sizeof(Py_ssize_t))
        if kept is NULL:
            raise MemoryError()
        with nogil:
            found = _thin(
                <const char*>columns[0].buf, <const char*>columns[1].buf,
                <const uint8_t*>columns[2].buf, count, since, span, buckets, kept,
            )
        return [kept[i] for i in range(found)]
    finally:
        free(kept)
        while held:
            held -= 1
            PyBuffer_Release(&columns[held])
