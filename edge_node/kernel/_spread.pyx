# distutils: extra_compile_args = -O3 -ffp-contract=off
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled form of `spread.PureSpread`, row for row the same figures."""

from libc.math cimport exp, fabs, isnan, sqrt
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free

cdef double LN2 = 0.6931471805599453
cdef double LEAST_SHARE = 1e-4
cdef int WARM = 30
cdef int64_t EARLIEST = -(<int64_t>1 << 62)
cdef int MOST = 2000000000

cdef struct Row:
    double mean
    double variance
    double half_life
    double limit
    double back
    double least
    int64_t time
    int32_t count
    int32_t warm
    int8_t side
    int8_t beyond


cdef inline double _spread(Row* row) noexcept nogil:
    cdef double floor = row.least
    cdef double share = LEAST_SHARE * fabs(row.mean)
    if share > floor:
        floor = share
    if 1e-300 > floor:
        floor = 1e-300
    cdef double spread = sqrt(row.variance)
    return floor if floor > spread else spread


cdef inline double _update(Row* row, int64_t at, double value) noexcept nogil:
    cdef double spread, delta, score, weight, even, reach, step
    cdef int64_t passed
    if row.count == 0:
        row.mean, row.time, row.count = value, at, 1
        return 0.0
    spread = _spread(row)
    delta = value - row.mean
    score = delta / spread
    passed = at - row.time
    if passed < 0:
        passed = 0
    weight = 1.0 - exp(-LN2 * <double>passed / row.half_life)
    even = 1.0 / (row.count + 1)
    if even > weight:
        weight = even
    reach = row.limit * spread
    if row.count >= WARM and fabs(delta) > reach:
        delta = reach if delta > 0 else -reach
    step = weight * delta
    row.mean += step
    row.variance = (1.0 - weight) * (row.variance + step * delta)
    if at > row.time:
        row.time = at
    if row.count < MOST:
        row.count += 1
    return score


cdef class Spread:
    """Rows of weighted mean and variance, one for each watched tag."""

    cdef Row* _rows
    cdef int32_t* _row_of
    cdef Py_ssize_t _n, _tags

    def __cinit__(self, Py_ssize_t rows, Py_ssize_t tags):
        if rows < 0 or tags < 0:
            raise ValueError("rows and tags are not negative")
        self._n, self._tags = rows, tags
        self._rows = <Row*>calloc(max(rows, 1), sizeof(Row))
        self._row_of = <int32_t*>calloc(max(tags, 1), sizeof(int32_t))
        if self._rows == NULL or self._row_of == NULL:
            raise MemoryError()
        cdef Py_ssize_t i
        for i in range(tags):
            self._row_of[i] = -1

    def __dealloc__(self):
        free(self._rows)
        free(self._row_of)

    cdef Row* _row(self, Py_ssize_t row) except NULL:
        if not 0 <= row < self._n:
            raise IndexError(row)
        return &self._rows[row]

    def configure(self, Py_ssize_t row, Py_ssize_t tag, double half_life_ms, double limit,
                  double deadband, double least_spread, int min_samples, int side):
        """Watch `tag` by `row`; what the row has learnt stays."""
        if half_life_ms <= 0 or limit <= 0 or least_spread < 0 or not 0 <= row < self._n:
            raise ValueError("a half-life and a limit are positive, a least spread not negative")
        if not 0 <= tag < self._tags:
            raise IndexError(tag)
        self._row_of[tag] = row
        cdef Row* it = &self._rows[row]
        it.half_life, it.limit, it.back = half_life_ms, limit, limit - deadband
        it.least, it.warm, it.side = least_spread, min_samples, side

    def load(self, Py_ssize_t row, bint beyond):
        """Whether the row was abnormal when the edge last ran."""
        self._row(row).beyond = beyond

    def beyond(self, Py_ssize_t row):
        """Whether the row is abnormal now."""
        return bool(self._row(row).beyond)

    def count(self, Py_ssize_t row):
        """Samples learnt from."""
        return self._row(row).count

    def mean(self, Py_ssize_t row):
        """The weighted mean."""
        return self._row(row).mean

    def spread(self, Py_ssize_t row):
        """The weighted standard deviation, at least the least one."""
        return _spread(self._row(row))

    def learnt(self, Py_ssize_t row):
        """What a row knows: mean, variance, newest time, number of samples."""
        cdef Row* it = self._row(row)
        return it.mean, it.variance, it.time, it.count

    def learn(self, Py_ssize_t row, double mean, double variance, int64_t time, int32_t count):
        """Let a row know what another has learnt."""
        cdef Row* it = self._row(row)
        it.mean, it.variance, it.time, it.count = mean, variance, time, count

    def update(self, Py_ssize_t row, int64_t at, double value):
        """The score of a sample against all before it; then learn it, no further than the limit."""
        return _update(self._row(row), at, value)

    def scan(self, const uint8_t[::1] tags, const uint8_t[::1] times, const uint8_t[::1] values,
             const uint8_t[::1] qualities, Py_ssize_t base, int64_t offset, int64_t now):
        """Score a checked batch; the rows that have become abnormal or normal, in order."""
        cdef Py_ssize_t count = qualities.shape[0]
        cdef Py_ssize_t i, tag
        cdef Row* row
        cdef double value, score, off
        cdef int64_t at
        cdef bint known, beyond
        out = []
        if tags.shape[0] != 4 * count or times.shape[0] != 8 * count:
            raise ValueError("columns of a batch differ in length")
        if values.shape[0] != 8 * count:
            raise ValueError("columns of a batch differ in length")
        if count == 0:
            return out
        cdef const int32_t* tag_column = <const int32_t*>&tags[0]
        cdef const int64_t* time_column = <const int64_t*>&times[0]
        cdef const double* value_column = <const double*>&values[0]
        for i in range(count):
            tag = base + tag_column[i]
            if not 0 <= tag < self._tags:
                raise IndexError(tag)
            if self._row_of[tag] < 0 or qualities[i] or isnan(value_column[i]):
                continue
            row = &self._rows[self._row_of[tag]]
            value = value_column[i]
            at = time_column[i]
            if at < EARLIEST:
                at = EARLIEST
            at = now if at >= now - offset else at + offset
            known = row.count > row.warm
            score = _update(row, at, value)
            off = score * row.side if row.side else fabs(score)
            beyond = off > (row.back if row.beyond else row.limit)
            if known and beyond != row.beyond:
                row.beyond = beyond
                out.append((self._row_of[tag], bool(beyond), at, score))
        return out
