# The columns of a batch as the compiled kernel reads them; included by _quiet.pyx.

cdef struct Batch:
    const char* tags
    const char* times
    const char* values
    const uint8_t* qualities
    Py_ssize_t count


cdef class _Columns:
    """Holds the buffers of a batch while they are read."""

    cdef Py_buffer[4] held
    cdef int count
    cdef Batch batch

    def __cinit__(self, tags, times, values, qualities):
        self.count = 0
        for column in (tags, times, values, qualities):
            PyObject_GetBuffer(column, &self.held[self.count], PyBUF_SIMPLE)
            self.count += 1
        cdef Py_ssize_t n = self.held[3].len
        if self.held[0].len != 4 * n or self.held[1].len != 8 * n or self.held[2].len != 8 * n:
            raise ValueError("columns of a batch differ in length")
        self.batch = Batch(
            <const char*>self.held[0].buf, <const char*>self.held[1].buf,
            <const char*>self.held[2].buf, <const uint8_t*>self.held[3].buf, n,
        )

    def __dealloc__(self):
        while self.count:
            self.count -= 1
            PyBuffer_Release(&self.held[self.count])


cdef void _extremes(const Batch* batch, uint32_t* most, int64_t* newest) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint32_t tag, top = 0
    cdef int64_t time, last = INT64_MIN
    # memcpy throughout: a column inside a received frame need not be aligned
    for i in range(batch.count):
        memcpy(&tag, batch.tags + 4 * i, 4)
        top = tag if tag > top else top
    for i in range(batch.count):
        memcpy(&time, batch.times + 8 * i, 8)
        last = time if time > last else last
    most[0] = top
    newest[0] = last
