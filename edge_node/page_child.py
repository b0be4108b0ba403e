"""`python -m edge_node.page_child --port P`: the edge's local page in a process of its own.

Started and supervised by the engine, which sends it the status and takes its actions in `ipc`
frames. The only process of the edge that has a web framework; it never decides anything.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import sys
from collections.abc import Generator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from edge_node.adapters.child_pipes import (
    Pipes,
    die_with_parent,
    give_back_memory,
    ignore_interrupt,
    open_pipes,
)
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
from edge_node.web.desk import Desk
from edge_node.web.local_api import LOOPBACK, Gate, create_app
from shared.clock import SystemClock
from shared.errors import ConfigError, ContractError
from shared.telemetry import logger, setup_logs

log = logger("page")
STOP_S = 2.0


class _Server(uvicorn.Server):
    """A uvicorn server that leaves the process's signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none."""
        yield


def read_password(path: Path | None, host: str) -> str | None:
    """The page's password; a page that others can reach must have one."""
    if path is None:
        if host not in LOOPBACK:
            raise ConfigError(
                f"the local page at {host} can be reached from the network without a password",
                mend="give --password-file, or bind it to 127.0.0.1",
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


def listen_on(host: str, port: int) -> socket.socket:
    """The listening socket, or a clear refusal."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"the local page cannot listen on {host}:{port}: {error.strerror}",
            mend="free the port or set another page_port in the edge's settings",
        ) from error


async def hear(pipes: Pipes, desk: Desk) -> None:
    """Take the engine's frames until it says stop or goes away."""
    while True:
        message = await read_to_child(pipes.reader)
        match message:
            case None | Stop():
                return
            case PageStatus():
                desk.on_status(message.json)
            case OperatorResult():
                desk.on_result(message)
            case PageAnswer():
                desk.on_answer(message)
            case _:
                raise ContractError(f"the page does not understand {type(message).__name__}")


async def main(listener: socket.socket, host: str, password: str | None) -> None:
    """Serve until the engine ends it."""
    stop = asyncio.Event()
    ignore_interrupt(stop)
    pipes = await open_pipes()

    def send(message: OperatorAction | PageQuery) -> None:
        pipes.writer.write(pack(message))

    desk = Desk(send)
    server = _server(create_app(desk, Gate(password, SystemClock()), host))
    give_back_memory()
    tasks = {
        asyncio.create_task(server.serve(sockets=[listener])),
        asyncio.create_task(hear(pipes, desk)),
        asyncio.create_task(stop.wait()),
    }
    log.info("page_ready", host=host, port=listener.getsockname()[1], password=bool(password))
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = server.force_exit = True
    await asyncio.wait(rest, timeout=STOP_S)
    for task in done:
        task.result()


def _server(app: FastAPI) -> _Server:
    config = uvicorn.Config(
        app, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None,
        access_log=False, limit_concurrency=100, timeout_graceful_shutdown=1,
    )  # fmt: skip
    return _Server(config)


def run() -> None:
    """The command line of the child."""
    parser = argparse.ArgumentParser(prog="edge_node.page_child")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--password-file", type=Path, default=None)
    given = parser.parse_args()
    die_with_parent()
    setup_logs(stream=sys.stderr)
    try:
        password = read_password(given.password_file, given.host)
        listener = listen_on(given.host, given.port)
    except ConfigError as error:
        sys.stderr.write(f"andon edge page: {error}\n")
        raise SystemExit(2) from None
    with listener:
        asyncio.run(main(listener, given.host, password))


if __name__ == "__main__":
    run()
