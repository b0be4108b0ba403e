"""An OPC UA server for the bench, a process of its own: `python -m edge_node.bench.opcua_plant`.

Prints its port; at each `RATE SECONDS` on its input it writes nodes N0, N1, ... in turn, to and
fro over a limit, and prints how many it has written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from typing import Any

from asyncua import Server, ua

NAMESPACE = "urn:andon:bench"
LOW, HIGH = 10.0, 90.0
IN_FOLDER = 100
"""The library looks through a folder for each node that it adds."""


async def build(nodes: int) -> tuple[Server, list[ua.NodeId]]:
    """A running server with its nodes."""
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/bench")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace(NAMESPACE)
    ids: list[ua.NodeId] = []
    folder: Any = None
    for number in range(nodes):
        if number % IN_FOLDER == 0:
            folder = await server.nodes.objects.add_object(index, f"F{number // IN_FOLDER}")
        node_id = ua.NodeId.from_string(f"ns={index};s=N{number}")
        await folder.add_variable(node_id, f"{index}:N{number}", LOW)
        ids.append(node_id)
    await server.start()
    return server, ids


async def write(server: Server, ids: list[ua.NodeId], rate: float, seconds: float) -> int:
    """Write at a steady rate; how many."""
    began, done, total = time.monotonic(), 0, int(rate * seconds)
    while done < total:
        due = min(int((time.monotonic() - began) * rate) + 1, total)
        for number in range(done, due):
            turn, place = divmod(number, len(ids))
            variant = ua.Variant(LOW if turn % 2 else HIGH, ua.VariantType.Double)
            await server.write_attribute_value(ids[place], ua.DataValue(variant))
        done = due
        await asyncio.sleep(0.002)
    return done


async def main(nodes: int) -> None:
    """Serve until the input ends."""
    server, ids = await build(nodes)
    assert server.bserver is not None
    say({"port": server.bserver.port})
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            rate, seconds = map(float, line.split())
            say({"written": await write(server, ids, rate, seconds)})
    finally:
        await server.stop()


def say(answer: dict[str, int]) -> None:
    """One line to whoever started it."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, required=True)
    logging.disable(logging.WARNING)
    asyncio.run(main(parser.parse_args().nodes))
