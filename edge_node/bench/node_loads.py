"""Loads of the whole node: real processes, real MQTT, the outbox on the disk.

Called by the bench. CPU is that of engine, driver children and NATS server together.
"""

from __future__ import annotations

import json
import os
import queue
import random
import threading
import time
from array import array
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from edge_node.adapters.sources.mqtt_batch import encode_batch
from edge_node.bench.device import Device, publish
from edge_node.bench.measure import machine_waits, percentiles
from edge_node.bench.world import BenchFailed, Node, running_node
from shared.clock import SystemClock

IN_MESSAGE = 1000
QUIET, FAR = 50.0, 95.0
RULES, MESSAGES_PER_S = 300, 500.0
"""eKuiper's published workload."""
STEP = 30
"""A tenth of the rules changes with each message: 90 % of the evaluations are filtered out."""


def batches(tags: int, storm_every: int = 0) -> Callable[[int], bytes]:
    """Messages of IN_MESSAGE samples, over all tags in turn; values wander without an alarm.

    With `storm_every`, each so manieth message puts its first tag over its limit and back.
    """
    clock, chance = SystemClock(), random.Random(4)
    columns = [
        array("i", range(start, min(start + IN_MESSAGE, tags))).tobytes()
        for start in range(0, tags, IN_MESSAGE)
    ]
    values = array("d", (QUIET + chance.uniform(-5, 5) for _ in range(4 * IN_MESSAGE)))

    def make(number: int) -> bytes:
        column = columns[number % len(columns)]
        count = len(column) // 4
        start = 7 * number % (3 * IN_MESSAGE)
        mine = values[start : start + count]
        if storm_every and number % storm_every == 0:
            mine[0] = FAR if number // storm_every % 2 == 0 else QUIET
        times = array("q", [clock.now_ms()]) * count
        return publish("batch", encode_batch(column, times.tobytes(), mine.tobytes()))

    return make


def footprint(tags: int, seconds: float) -> dict[str, Any]:
    """Start, rest, and all tags once a second and ten times a second."""
    with running_node(tags=tags, alarms=tags // 10) as (node, start):
        device = Device(node)
        device.pace(batches(tags), tags / IN_MESSAGE, 1.0)
        figures: dict[str, Any] = {"tags": tags, "alarms": tags // 10, "start_s": start}
        idle = _during(node, lambda: time.sleep(seconds), seconds)
        figures["idle"] = idle
        for name, period in (("every_1_s", 1.0), ("every_100_ms", 0.1)):
            rate = tags / IN_MESSAGE / period
            make = batches(tags)
            figures[name] = _during(
                node, lambda rate=rate, make=make: device.pace(make, rate, seconds), seconds
            )
        device.close()
    return figures


def _during(node: Node, work: Callable[[], Any], seconds: float) -> dict[str, Any]:
    before, began = node.use(), time.monotonic()
    work()
    after, spent = node.use(), max(seconds, time.monotonic() - began)
    return {"cores": after.since(before, spent), "rss_mb": after.rss_mb}


def throughput(tags: int, per_second: float, seconds: float, *, report: bool) -> dict[str, Any]:
    """Batches at a steady rate: CPU of the node per sample, and whether all arrived."""
    every = 50
    with running_node(tags=tags, alarms=IN_MESSAGE, report=report) as (node, _):
        device = Device(node)
        device.pace(batches(tags), tags / IN_MESSAGE, 1.0)
        base = node.settled()
        before, began = node.use(), time.monotonic()
        # One list of tags only: all have an alarm, and each toggle is one transition.
        sent = device.pace(batches(IN_MESSAGE, every), per_second / IN_MESSAGE, seconds)
        offered = time.monotonic() - began
        made = node.settled() - base
        spent, after = time.monotonic() - began, node.use()
        device.close()
    cpu = {k: v - before.cpu[k] for k, v in after.cpu.items()}
    samples = sent * IN_MESSAGE
    return {
        "tags": tags, "reported_upward": report, "asked_per_s": round(per_second),
        "sent_per_s": round(samples / offered), "samples": samples,
        "transitions_wanted": (sent + every - 1) // every, "transitions": made,
        "cpu_s_per_million": {k: round(v / samples * 1e6, 3) for k, v in cpu.items()},
        "samples_per_core_s": round(samples / sum(cpu.values())),
        "engine_samples_per_core_s": round(samples / cpu["engine"]),
        "took_s": round(spent, 2),
    }  # fmt: skip


def latency(
    tags: int, per_second: float, trials: int, pause_s: float, *, report: bool = False,
    prefer: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Sample to local action at the wire, while batches of other tags pour in.

    `prefer`: with the node's processes before all other work of the machine.
    """
    stop = threading.Event()
    site = {"tags": tags, "alarms": IN_MESSAGE, "report": report}
    with running_node(**site) as (node, _), machine_waits() as waits, ExitStack() as ends:
        if prefer and not ends.enter_context(node.preferred()):
            return {"not_run": "raising priorities needs the right to do so (root)"}
        device = Device(node)
        make = batches(tags)

        def pour() -> None:
            while not stop.is_set():
                device.pace(make, per_second / IN_MESSAGE, 0.5)

        pouring = threading.Thread(target=pour, daemon=True)
        pouring.start()
        time.sleep(1.5)
        spent = []
        try:
            for _ in range(trials):
                began = device.act(True)
                try:
                    spent.append(device.commands.get(timeout=10) - began)
                except queue.Empty:
                    raise BenchFailed("a sample set off no action within 10 s") from None
                device.act(False)
                time.sleep(pause_s)
        finally:
            stop.set()
            pouring.join(5)
        device.close()
        limits = waits()
    row = {
        "tags": tags,
        "reported_upward": report,
        "background_per_s": round(per_second),
        "trials": trials,
        "preferred": prefer,
        "load_average": round(os.getloadavg()[0], 1),
    }
    return row | percentiles(spent) | {"machine": limits}


def messages(per_second: float, seconds: float) -> dict[str, Any]:
    """One JSON message, one sample, one transition: how many a second become durable."""

    def make(number: int) -> bytes:
        value = 10.0 if number % 2 == 0 else 0.0
        return publish("rules", json.dumps({"values": {"temperature": value}}).encode())

    with running_node(ladder=1) as (node, _):
        return _transitions(node, make, make(1), per_second, seconds, 1)


def _transitions(
    node: Node,
    make: Callable[[int], bytes],
    at_rest: bytes,
    per_second: float,
    seconds: float,
    each: int,
) -> dict[str, Any]:
    device = Device(node)
    device.send(at_rest)  # known, and below all limits
    time.sleep(1.0)
    base, before, began = node.settled(), node.use(), time.monotonic()
    sent = device.pace(make, per_second, seconds)
    until_sent = time.monotonic() - began
    made, spent = node.grown(base, sent * each, began)
    after = node.use()
    device.close()
    return {
        "messages_per_s": round(sent / until_sent, 1), "transitions": made,
        "transitions_wanted": sent * each,
        "transitions_per_s": round(made / spent),
        "cores": after.since(before, max(spent, until_sent)), "rss_mb": after.rss_mb,
    }  # fmt: skip


def rules_workload(seconds: float) -> dict[str, Any]:
    """300 rules over one MQTT value, 500 messages a second, a tenth of the evaluations passes."""
    top = RULES // STEP

    def make(number: int) -> bytes:
        place = number % (2 * top)  # up the ladder and down again
        level = place + 1 if place < top else 2 * top - 1 - place
        body = {"values": {"temperature": 10.0 * STEP * level}}
        return publish("rules", json.dumps(body).encode())

    with running_node(ladder=RULES) as (node, start):
        at_rest = publish("rules", b'{"values":{"temperature":0}}')
        result = _transitions(node, make, at_rest, MESSAGES_PER_S, seconds, STEP)
    evaluations = round(result["messages_per_s"] * RULES)
    return {
        "rules": RULES, "asked_messages_per_s": MESSAGES_PER_S, "start_s": start,
        "evaluations_per_s": evaluations, **result,
    }  # fmt: skip
