"""How fast something runs: CPU time per item, so that a busy machine does not change the figure.

Called by the other modules of the bench.
"""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Iterator

MIN_CPU_S = 0.3
MIN_CPU_QUICK_S = 0.05


def rate(run: Callable[[], int], seconds: float) -> float:
    """Items per second of CPU time of `run`, which returns how many it took (one warm-up)."""
    run()
    gc.collect()  # what came before is not this load's
    done, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        done += run()
    return done / spent


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p99 and the worst in microseconds."""
    ordered = sorted(seconds)
    at = len(ordered)
    return {
        "p50_us": round(ordered[at // 2] * 1e6, 3),
        "p99_us": round(ordered[min(at - 1, at * 99 // 100)] * 1e6, 3),
        "max_us": round(ordered[-1] * 1e6, 1),
    }


def copy_gb_per_s(seconds: float) -> float:
    """Gigabytes per second that one core copies between two blocks larger than any cache."""
    size = 64 << 20
    source, target = memoryview(bytearray(size)), memoryview(bytearray(size))

    def run() -> int:
        target[:] = source
        return size

    return rate(run, seconds) / 1e9


Batch = tuple[bytes, bytes, bytes, bytes]


def batch_of(order: array[int], values: array[float], time_ms: int) -> Batch:
    """Good samples of one instant in the order of `order`."""
    count = len(order)
    times = array("q", [time_ms]) * count
    return order.tobytes(), times.tobytes(), values.tobytes(), bytes(count)


@contextlib.contextmanager
def machine_waits() -> Iterator[Callable[[], dict[str, dict[str, float]]]]:
    """How late this machine wakes a sleeper, and how long its disk takes to make a line durable.

    Measured beside a load, by threads of their own: no latency of the node can be better.
    """
    late: list[float] = []
    synced: list[float] = []
    stop = threading.Event()
    clock = time.perf_counter

    def sleeper() -> None:
        while not stop.is_set():
            began = clock()
            time.sleep(0.002)
            late.append(clock() - began - 0.002)

    def writer() -> None:
        with tempfile.TemporaryFile() as file:
            while not stop.wait(0.02):
                file.write(b"x" * 512)
                file.flush()
                began = clock()
                os.fdatasync(file.fileno())
                synced.append(clock() - began)

    threads = [threading.Thread(target=work, daemon=True) for work in (sleeper, writer)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: {"wake_up": percentiles(late), "disk_sync": percentiles(synced)}
    finally:
        stop.set()
        for thread in threads:
            thread.join(2)
