"""Loads of the kernel alone: scans, sparse updates, excursions, storms, one sample at a time.

Called by the bench; every tag has four limits with delays and a deadband, as in a real plant.
"""

from __future__ import annotations

import random
import time
from array import array
from dataclasses import dataclass, field
from typing import Any

from edge_node.bench.measure import Batch, batch_of, percentiles, rate
from edge_node.kernel import Kernel, PureKernel, Rules, kernel_name
from edge_node.kernel.rules import HIGH, LOW

LIMITS = ((HIGH, 90.0), (HIGH, 80.0), (LOW, 20.0), (LOW, 10.0))
DELAY_MS = 1000
SPARSE = 0.01
PART = 0.05
QUIET, BEYOND, FAR = 50.0, 85.0, 95.0


@dataclass(slots=True)
class Load:
    """One kernel with all its tags in their quiet middle."""

    tags: int
    delay_ms: int = DELAY_MS
    form: type[PureKernel] = Kernel
    now: int = 1_000_000
    kernel: PureKernel = field(init=False)

    def __post_init__(self) -> None:
        rules = Rules()
        for tag in range(self.tags):
            for order, (kind, limit) in enumerate(LIMITS):
                rules.add(
                    tag, kind, limit, 1.0, self.delay_ms, self.delay_ms, len(LIMITS) * tag + order
                )
        self.kernel = self.form(self.tags, rules)
        self.kernel.start(self.now)
        self.run(self.full())

    def full(self, part_at: float = QUIET, part: float = 0.0, *, mixed: bool = False) -> Batch:
        """A sample of every tag; a random part of them at another value."""
        order = array("i", range(self.tags))
        chance = random.Random(1)
        if mixed:
            listed = list(order)
            chance.shuffle(listed)
            order = array("i", listed)
        values = array("d", [QUIET]) * self.tags
        for tag in chance.sample(range(self.tags), int(part * self.tags)):
            values[tag] = part_at
        return batch_of(order, values, self.now)

    def run(self, batch: Batch) -> int:
        """Take a batch as the pipeline does: check, scan, collect the changes."""
        self.now += 10
        kernel, n, count, done = self.kernel, self.tags, len(batch[3]), 0
        kernel.newest(*batch, 0, n)
        while done < count:
            done = kernel.scan(*batch, done, 0, n, 0, self.now)
            kernel.take()
        kernel.tick(self.now)
        kernel.take()
        return count


def scans(tags: int, seconds: float, *, full_only: bool = False) -> dict[str, Any]:
    """Samples per second of one core at so many tags, beside the limit of the memory."""
    load = Load(tags)
    quiet = load.full()
    figures: dict[str, Any] = {"tags": tags, "full_scan": rate(lambda: load.run(quiet), seconds)}
    limit = memory_limit(tags, quiet, seconds)
    if limit is not None:
        figures["memory_limit_full_scan"] = limit
    if full_only:
        return _rounded(figures)
    some = random.Random(2).sample(range(tags), max(1, int(tags * SPARSE)))
    sparse = batch_of(array("i", some), array("d", [QUIET]) * len(some), load.now)
    figures["sparse_1_percent"] = rate(lambda: load.run(sparse), seconds)
    limit = memory_limit(tags, sparse, seconds)
    if limit is not None:
        figures["memory_limit_sparse"] = limit
    size = getattr(load.kernel, "nbytes", None)
    if size is not None:
        figures["bytes_per_tag_four_limits"] = round(size / tags, 1)
    return _rounded(figures)


def memory_limit(tags: int, batch: Batch, seconds: float) -> float | None:
    """The same loads and stores with no judgement; None without the compiled kernel."""
    if kernel_name() != "cython":
        return None
    from edge_node.kernel._quiet import store_only

    records = bytearray(40 * tags)
    return rate(lambda: store_only(*batch[:3], records), seconds)


def excursions(tags: int, seconds: float) -> dict[str, float]:
    """5 % of the samples leave or enter their band: delays start and are called off again."""
    load = Load(tags)
    away, back = load.full(BEYOND, PART, mixed=True), load.full(mixed=True)
    return _rounded({"tags": tags, "samples_per_s": rate(_turns(load, [away, back]), seconds)})


def storm(tags: int, seconds: float) -> dict[str, float]:
    """Every sample changes two alarms that have no delay."""
    load = Load(tags, delay_ms=0)
    up, down = load.full(FAR, 1.0), load.full()
    samples = rate(_turns(load, [up, down]), seconds)
    return _rounded({"tags": tags, "samples_per_s": samples, "changes_per_s": 2 * samples})


def one_tag(count: int, seconds: float) -> dict[str, float]:
    """All samples of a batch are of one tag: quiet, flapping about a limit, good and bad."""
    load = Load(100)
    order = array("i", [7]) * count
    figures: dict[str, float] = {"samples_in_batch": count}
    flapping = array("d", [QUIET, BEYOND] * (count // 2))
    for name, values in (("quiet", array("d", [QUIET]) * count), ("flapping", flapping)):
        batch = batch_of(order, values, load.now)
        figures[name] = rate(lambda batch=batch: load.run(batch), seconds)
    tags, times, values, _ = batch_of(order, flapping, load.now)
    alternating = (tags, times, values, bytes([0, 2] * (count // 2)))
    figures["good_and_bad_in_turn"] = rate(lambda: load.run(alternating), seconds)
    return _rounded(figures)


def single_sample(count: int) -> dict[str, float]:
    """Wall time of one sample in one call, checks included."""
    load = Load(100_000)
    tags = random.Random(3).choices(range(load.tags), k=count)
    batches = [batch_of(array("i", [tag]), array("d", [QUIET]), load.now) for tag in tags]
    spent = []
    clock, kernel, n = time.perf_counter, load.kernel, load.tags
    for batch in batches:
        began = clock()
        kernel.newest(*batch, 0, n)
        kernel.scan(*batch, 0, 0, n, 0, load.now)
        kernel.take()
        spent.append(clock() - began)
    return percentiles(spent)


def fallback(seconds: float) -> dict[str, float]:
    """The pure-Python kernel on the same loads, smaller."""
    load = Load(10_000, form=PureKernel)
    quiet = load.full()
    away, back = load.full(BEYOND, PART, mixed=True), load.full(mixed=True)
    fast = Load(2_000, 0, PureKernel)
    turns = _turns(fast, [fast.full(FAR, 1.0), fast.full()])
    return _rounded({
        "full_scan": rate(lambda: load.run(quiet), seconds),
        "five_percent": rate(_turns(load, [away, back]), seconds),
        "storm": rate(turns, seconds),
    })  # fmt: skip


def _turns(load: Load, batches: list[Batch]) -> Any:
    turn = 0

    def run() -> int:
        nonlocal turn
        turn += 1
        return load.run(batches[turn % len(batches)])

    return run


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v) if isinstance(v, float) and v > 1000 else v for k, v in figures.items()}
