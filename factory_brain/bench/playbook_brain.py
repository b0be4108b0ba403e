"""A whole brain with ten thousand waiting runs, killed: how soon it answers the next alarm.

The process is the one that is installed, `andon brain run`, started anew at once as a supervisor
does; the plant is the demo factory, and every part of a brain is there.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec

from factory_brain.adapters.postgres.partitions import Partitions
from factory_brain.adapters.postgres.run_store import PgRunStore
from factory_brain.bench.playbook_edge import EdgeOrder
from factory_brain.bench.playbook_loads import create
from factory_brain.bench.playbook_nodes import EDGE
from factory_brain.bench.playbook_site import FIRST, WAITING, Horn, books
from factory_brain.bench.playbook_world import MIGRATIONS, Figures, PlaybookWorld, spawn
from factory_brain.bench.servers import Postgres, cpu_s, nats, until
from shared.bus.nats_bus import NatsBus
from shared.clock import SystemClock
from shared.embedded.ports import Ports
from shared.ids import new_epoch
from shared.paths import demo_sites
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.security import generate_key

ALARM, ASSET, TAG = "FUR-01.TT-101.HIHI", "FUR-01", "TT-101"
CRITICAL = 1
READY_S = 60.0
ASK_S = 0.05
_HOLD = {
    "device": "burner",
    "op": "set_output",
    "args": {"output_pct": 35},
    "expires": "60s",
    "verify": {"until": 'tag("burner.output").value <= 40', "within": "10s"},
}
_HELD = "SELECT count(*) FROM lease WHERE name = $1 AND until > clock_timestamp()"


class _Brain(PlaybookWorld):
    """The world of the engine's process, with a whole brain in its place."""

    async def start(self) -> None:
        """Start the brain; it is not ready yet."""
        with (self.folder / "brain.log").open("ab") as log:
            self.engine = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "shared.cli.main", "brain", "run", "--config",
                str(self.folder / "brain.yaml"), stdout=log, stderr=log,
            )  # fmt: skip

    log = "brain.log"


async def whole_brain(folder: Path, server: Postgres, waiting: int, kills: int) -> Figures:
    """SIGKILL, a fresh critical alarm, and the brain started again at once; several times."""
    place = folder / "whole"
    (place / "books").mkdir(parents=True)
    url, epoch, clock = await server.database("brain"), new_epoch(), SystemClock()
    await migrate(url, MIGRATIONS)
    async with nats(place) as bus_server:
        order = EdgeOrder(
            bus_server.url, bus_server.password, str(place / "edge.db"), epoch, Ports().take(0)
        )
        (place / "edge.json").write_bytes(msgspec.json.encode(order))
        _write(place, url, bus_server.url, bus_server.password)
        pool = await connect_pool(url, size=4, name="bench")
        bus = await NatsBus.connect(
            bus_server.url, user="app", password=bus_server.password, name="bench",
            inbox=EDGE.inbox, site=EDGE.site,
        )  # fmt: skip
        horn = Horn(clock, epoch)
        world = _Brain(
            server, url, place, 1, pool, bus, place / "edge.db", horn, epoch=epoch, clock=clock
        )
        edge = await spawn(place, "edge")
        try:
            await Partitions(pool).make_ahead(clock.now_ms())
            await _waiting_runs(world, waiting)
            await world.start()
            await world.hello(READY_S)
            await _raised(world, 0)
            found = [await _killed(world, number) for number in range(1, kills + 1)]
        finally:
            await world.kill()
            if edge.returncode is None:
                edge.kill()
            await edge.wait()
            await bus.close()
            await pool.close()
    late = sorted(each["first_command_s"] for each in found)
    return {
        "runs": waiting, "kills": kills, "first_command_s": late[len(late) // 2],
        "worst_s": late[-1], "each": found, "commands_repeated": world.repeated(),
    }  # fmt: skip


def _write(place: Path, url: str, nats_url: str, password: str) -> None:
    private, public = generate_key()
    for name, data in {
        "app": password.encode(), "admin": b"correct horse", "key": private, "pub": public,
    }.items():  # fmt: skip
        (place / name).write_bytes(data)
        (place / name).chmod(0o600)
    document: dict[str, Any] = books()[FIRST].document | {
        "triggers": [{"id": "hot", "alarm": ALARM}], "concurrency": {"key": "alarm.occurrence"},
        "steps": [{"id": "hold", "command": _HOLD}],
    }  # fmt: skip
    (place / "books" / f"{FIRST}.yaml").write_bytes(msgspec.json.encode(document))
    config = {
        "site": EDGE.site, "site_dir": str(demo_sites() / EDGE.site),
        "state_dir": str(place / "state"), "playbook_dir": str(place / "books"),
        "secrets_dir": str(place), "brain_name": "bench", "http_port": Ports().take(0),
        "approval_key_file": str(place / "key"), "release_key_file": str(place / "pub"),
        "nats_url": nats_url, "nats_password_file": str(place / "app"), "database_url": url,
        "admin_password_file": str(place / "admin"),
    }  # fmt: skip
    (place / "state").mkdir()
    (place / "brain.yaml").write_bytes(msgspec.json.encode(config))


async def _waiting_runs(world: PlaybookWorld, count: int) -> None:
    """As in a plant that has been running: each at its pause, most of them with a question."""
    store = PgRunStore(world.pool, world.clock)
    for loaded in books().values():
        await store.save_version(
            loaded.digest, loaded.playbook.playbook, 1, loaded.document, world.clock.now_ms()
        )
    await create(world, [(WAITING[n % 3], n // 3, {"pause_s": 43_200}) for n in range(count)])


async def _raised(world: PlaybookWorld, number: int) -> tuple[int, int]:
    """When a fresh critical alarm was raised, and when its command came to the edge."""
    sent, before = world.clock.now_ms(), len(world.arrivals())
    await world.send(world.horn.raised(ALARM, ASSET, TAG, CRITICAL))

    async def commanded() -> bool:
        world.process  # noqa: B018  # says why if it is gone
        return len(world.arrivals()) > before

    await until(f"the command of alarm {number}", commanded, READY_S, ASK_S)
    return sent, max(world.arrivals().values())


async def _killed(world: PlaybookWorld, number: int) -> Figures:
    async def at_rest() -> bool:
        world.process  # noqa: B018
        busy = await world.pool.fetchval("SELECT count(*) FROM run WHERE owner IS NOT NULL")
        return not busy and await world.pool.fetchval(_HELD, f"source/{EDGE.name}") == 1

    await until("the runs to rest", at_rest, READY_S)
    await asyncio.sleep(2)
    killed = world.clock.now_ms()
    await world.kill()
    await world.start()
    _, came = await _raised(world, number)
    return {
        "first_command_s": round((came - killed) / 1000, 2),
        "processor_s": round(cpu_s(world.process.pid), 2),
    }  # fmt: skip
