"""`python -m edge_node.opcua_child --url U`: the edge's alarms as an OPC UA server, in a process.

Started and supervised by the engine, which sends it the status and takes its actions in `ipc`
frames, as with the page. Works without any brain; never decides anything.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from edge_node.adapters.child_pipes import (
    Pipes,
    die_with_parent,
    give_back_memory,
    ignore_interrupt,
    open_pipes,
)
from edge_node.adapters.opcua_view import EdgeAlarms, EdgeDoor
from edge_node.application.ipc import (
    OperatorAction,
    OperatorResult,
    PageAnswer,
    PageQuery,
    PageStatus,
    Stop,
    pack,
    read_to_child,
)
from shared.clock import SystemClock
from shared.errors import ConfigError, ContractError
from shared.opcua.listening import Where, where
from shared.opcua.server import OpcuaServer
from shared.telemetry import setup_logs

STOP_S = 2.0


def read_password(path: Path | None, anonymous: bool) -> str | None:
    """The page's password; without one nobody acts, and somebody must be able to read."""
    if path is None:
        if not anonymous:
            raise ConfigError(
                "nobody could log in to this edge's OPC UA server",
                mend="set page_password_file (who acts) or opcua_anonymous (who reads)",
            )
        return None
    try:
        password = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"cannot read the page's password file: {error.strerror}", where=str(path),
            mend="create the file with one line",
        ) from error  # fmt: skip
    if not password:
        raise ConfigError("the page's password file is empty", where=str(path), mend="fill it")
    return password


async def hear(pipes: Pipes, alarms: EdgeAlarms) -> None:
    """Take the engine's frames until it says stop or goes away."""
    while True:
        message = await read_to_child(pipes.reader)
        match message:
            case None | Stop():
                return
            case PageStatus():
                alarms.on_status(message.json)
            case OperatorResult():
                alarms.on_result(message)
            case PageAnswer():
                alarms.on_answer(message)
            case _:
                raise ContractError(f"this child does not understand {type(message).__name__}")


async def serve(place: Where, door: EdgeDoor, alarms: EdgeAlarms) -> None:
    """Serve once the engine has told what there is."""
    await alarms.ready.wait()
    named = Where(place.url, place.certificate, place.key, alarms.name)
    server = OpcuaServer(named, SystemClock(), door, alarms, rest_s=0.0)
    alarms.listener.changed, alarms.listener.look = server.changed, server.look
    give_back_memory()
    try:
        await server.run()
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {place.url}: {error.strerror}",
            mend="free the port or set another opcua_url in the edge's settings",
        ) from error
    finally:
        await server.close()


async def main(place: Where, door: EdgeDoor) -> None:
    """Serve until the engine ends it."""
    stop = asyncio.Event()
    ignore_interrupt(stop)
    pipes = await open_pipes()

    def send(message: OperatorAction | PageQuery) -> None:
        pipes.writer.write(pack(message))

    alarms = EdgeAlarms(send, SystemClock())
    tasks = {
        asyncio.create_task(serve(place, door, alarms)),
        asyncio.create_task(alarms.follow()),
        asyncio.create_task(hear(pipes, alarms)),
        asyncio.create_task(stop.wait()),
    }
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.wait(rest, timeout=STOP_S)
    for task in done:
        task.result()


def run() -> None:
    """The command line of the child."""
    parser = argparse.ArgumentParser(prog="edge_node.opcua_child")
    parser.add_argument("--url", required=True)
    parser.add_argument("--anonymous", action="store_true")
    for name in ("--password-file", "--certificate", "--key"):
        parser.add_argument(name, type=Path, default=None)
    given = parser.parse_args()
    die_with_parent()
    setup_logs(stream=sys.stderr)
    logging.getLogger("asyncua").setLevel(logging.ERROR)
    try:
        place = where(given.url, given.certificate, given.key, "")
        password = read_password(given.password_file, given.anonymous)
        asyncio.run(main(place, EdgeDoor(password, SystemClock(), given.anonymous)))
    except ConfigError as error:
        sys.stderr.write(f"andon edge opcua: {error}\n")
        raise SystemExit(2) from None
    # Everything is closed; to take the nodes apart one by one would take seconds for nothing.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    run()
