"""OPC UA notifications to durable transitions: a real server, a real driver, the real engine.

Called by the bench.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from edge_node.bench.world import BenchFailed, running_node, until


@contextlib.contextmanager
def plant(nodes: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The server's process and its port."""
    command = [sys.executable, "-m", "edge_node.bench.opcua_plant", "--nodes", str(nodes)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process, answer(process)["port"]
    finally:
        process.terminate()
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()


def answer(process: subprocess.Popen[str]) -> dict[str, int]:
    """The next line of the server."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise BenchFailed("the OPC UA server of the bench has ended")
    return json.loads(line)


def order(process: subprocess.Popen[str], rate: float, seconds: float) -> int:
    """Let it write; how many writes."""
    assert process.stdin is not None
    process.stdin.write(f"{rate} {seconds}\n")
    process.stdin.flush()
    return answer(process)["written"]


def notifications(nodes: int, rate: float, seconds: float) -> dict[str, Any]:
    """Every write is a notification and, behind the driver, a transition."""
    with (
        plant(nodes) as (process, port),
        running_node(opcua=f"opc.tcp://127.0.0.1:{port}/bench", nodes=nodes) as (node, _),
    ):
        order(process, nodes, 1.0)  # all over their limits: once each is known, it raises
        until(lambda: node.produced() >= nodes, 60, "all nodes to be subscribed")
        order(process, 2.0 * nodes, 1.0)  # over it once more, and back below
        time.sleep(1.0)
        base, before, began = node.settled(), node.use(), time.monotonic()
        written = order(process, rate, seconds)
        offered = time.monotonic() - began
        made, spent = node.grown(base, written, began)
        after = node.use()
    cpu = {k: v - before.cpu[k] for k, v in after.cpu.items() if k != "nats_server"}
    return {
        "nodes": nodes, "written_per_s": round(written / offered), "written": written,
        "transitions": made, "transitions_per_s": round(made / spent),
        "cpu_us_per_notification": {
            k: round(v / max(1, made) * 1e6, 1) for k, v in cpu.items()
        },
        "driver_notifications_per_core_s": round(made / max(cpu["drivers"], 1e-3)),
        "cores": after.since(before, spent),
    }  # fmt: skip
