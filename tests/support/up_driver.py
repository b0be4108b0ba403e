"""Runs the demo's plan with real engines and a tiny stand-in for every tier, until SIGTERM.

Started as a process by `test_embedded.py`, as root and as an ordinary user; made to be killed.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.clock import SystemClock
from shared.embedded.plan import Outside, Planner, Secrets, Tier
from shared.embedded.ports import Ports
from shared.embedded.secrets import SecretStore
from shared.embedded.sites import read_sites
from shared.embedded.supervisor import Options, StateLock, Supervisor
from shared.paths import demo_sites

STAND_IN = """
import socket, sys, subprocess
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
child = subprocess.Popen(["sleep", "600"])
while True:
    server.accept()[0].close()
"""


def stand_in(tier: Tier, config: Path) -> Sequence[str]:
    """Listens on the tier's port and has a child of its own, as an edge has."""
    assert config.stat().st_mode & 0o077 == 0
    return (sys.executable, "-S", "-c", STAND_IN, str(tier.port))


async def main(state: Path) -> None:
    """As `andon up` does it, less the terminal."""
    lock = StateLock(state)
    lock.take()
    store, ports = SecretStore(state), Ports()
    secrets = Secrets(store.password, store.path, store.key_pair, store.webhook)
    # No usual ports: the tests run beside whatever uses them.
    planner = Planner(read_sites(demo_sites()), state, lambda _: ports.take(), secrets)
    plan = planner.plan(state, Outside(), simulate=True)
    options = Options(state, postgres_password=store.password("db-superuser"), command=stand_in)
    supervisor = Supervisor(plan, options, SystemClock(), lambda *_: None)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await supervisor.start()
    supervisor.write_up_file()
    await stopping.wait()
    await supervisor.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
