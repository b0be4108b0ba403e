"""Samples per second of both kernels on this machine, as JSON: `python -m edge_node.kernel.bench`.

Called by people and by `andon bench`; never by the engine.
"""

from __future__ import annotations

import json
import random
import struct
import sys
import time
from collections.abc import Callable

from edge_node.kernel import PureQuietBand, QuietBand, kernel_name

Batch = tuple[bytes, bytes, bytes, bytes]
TAGS = 10_000
MIN_SECONDS = 0.3


def batch(order: list[int], value: float) -> Batch:
    """One good sample of the same value for each tag in `order`."""
    n = len(order)
    return (
        struct.pack(f"<{n}i", *order),
        struct.pack(f"<{n}q", *range(n)),
        struct.pack("<d", value) * n,
        bytes(n),
    )


def rate(run: Callable[[], int]) -> float:
    """Samples per second of `run`, which returns how many it took."""
    run()
    done, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < MIN_SECONDS:
        done += run()
    return done / spent


def figures(kernel: type[PureQuietBand]) -> dict[str, float]:
    """Full scan, random tags, one sample at a time, and 5 % excursions."""
    band = kernel(TAGS)
    for tag in range(TAGS):
        band.set_band(tag, 0.0, 10.0 if tag % 20 else 5.0)
    order = list(range(TAGS))
    shuffled = random.Random(1).sample(order, TAGS)
    quiet, mixed, one = batch(order, 4.0), batch(shuffled, 6.0), batch([7], 4.0)

    def full() -> int:
        return band.scan(*quiet, 0)

    def excursions() -> int:
        at = 0
        while at < TAGS:
            at = band.scan(*mixed, at) + 1
        return TAGS

    return {
        "full_scan": rate(full),
        "one_sample_per_call": rate(lambda: band.scan(*one, 0)),
        "five_percent_excursions_random": rate(excursions),
    }


def report() -> dict[str, object]:
    """Both kernels' figures in samples per second."""
    result: dict[str, object] = {"kernel": kernel_name(), "unit": "samples/s", "tags": TAGS}
    result["python"] = {k: round(v) for k, v in figures(PureQuietBand).items()}
    if kernel_name() == "cython":
        result["cython"] = {k: round(v) for k, v in figures(QuietBand).items()}
    return result


if __name__ == "__main__":
    json.dump(report(), sys.stdout, indent=2)
    sys.stdout.write("\n")
