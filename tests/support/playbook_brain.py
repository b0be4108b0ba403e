"""A brain's engine in a process of its own that is killed: real engine, store, bus and database.

As a program it is a nursery: everything is imported once, each life is a fork that kills itself
with SIGKILL at a numbered point around its commits, its commands and its calls. No product code
knows of the points; they are put around its functions here.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import json
import os
import select
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from factory_brain.adapters.outward_http import HttpCalls
from factory_brain.adapters.postgres import run_deliveries
from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.pools import SHORT_S
from factory_brain.adapters.postgres.run_incidents import RunIncidents
from factory_brain.adapters.postgres.run_store import PgRunStore
from factory_brain.adapters.postgres.run_writes import RunWrites
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.adapters.postgres.trigger_store import PgTriggerStore
from factory_brain.adapters.webhook_sender import HttpWebhooks, Outside
from factory_brain.application.fleet import FleetView
from factory_brain.application.playbooks import engine as engine_module
from factory_brain.application.playbooks import keeping
from factory_brain.application.playbooks.alarm_states import AlarmStates
from factory_brain.application.playbooks.edge_devices import EdgeDevices
from factory_brain.application.playbooks.engine import Engine, Ports
from factory_brain.application.playbooks.plant_tags import PlantTags
from shared.bus.nats_bus import NatsBus
from shared.clock import SystemClock
from shared.messages.subjects import Node
from shared.paths import demo_sites
from shared.postgres.pool import connect_pool
from shared.site.loader import load_site
from shared.site.model import EndpointSpec
from tests.support.playbook_trees import DEVICES

HUNG_S = 60
SITE = load_site(demo_sites() / "f1")


def devices() -> dict[str, Any]:
    """The demo plant's devices and those of the trees, without limits on how often."""
    found = dict(DEVICES)
    for name, spec in SITE.bindings.devices.items():
        operations = {
            key: each.model_copy(update={"max_per_min": None})
            for key, each in spec.operations.items()
        }
        found[name] = spec.model_copy(update={"operations": operations})
    return found


class Points:
    """Counts the points that a life passes and ends it at one of them."""

    def __init__(self, kill_at: int | None, only: str = "") -> None:
        self.kill_at, self.passed, self._only = kill_at, 0, only

    def pass_by(self, what: str) -> None:
        """A point; the life may end here."""
        if self._only and not what.startswith(self._only):
            return
        self.passed += 1
        if self.passed == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        """Put a point before and one after a coroutine function."""
        real: Callable[..., Any] = getattr(owner, name)

        async def watched(*args: Any, **more: Any) -> Any:
            self.pass_by(f"before {name}")
            found = await real(*args, **more)
            self.pass_by(f"after {name}")
            return found

        setattr(owner, name, watched)


async def _for_ever(engine: Engine) -> None:
    """The engine as a supervisor keeps it: one that was frozen finds its statements late."""
    while True:
        try:
            await engine.run()
        except* TimeoutError:
            await asyncio.sleep(0.05)


async def _busy(pool: asyncpg.Pool) -> bool:
    """Whether anything is left to do."""
    try:
        return bool(
            await pool.fetchval("SELECT count(*) FROM run WHERE status IN ('running', 'waiting')")
            or await pool.fetchval("SELECT count(*) FROM delivery WHERE status = 'due'")
        )
    except TimeoutError:  # frozen in the middle of asking
        return True


async def live(order: dict[str, Any]) -> int:
    """One life: work until no run is live; returns how many points it passed."""
    points = Points(order.get("kill_at"), order.get("only", ""))
    clock = SystemClock()
    run_deliveries.SEND_AGAIN_MS = order.get("send_again_ms", 300)
    engine_module.IDLE_S, keeping.NEWS_S = 0.06, 0.2
    pool = await connect_pool(order["database"], size=3, transaction_s=SHORT_S)
    bus = await NatsBus.connect(
        order["nats"], user="app", password=order["password"], name="brain",
        inbox=Node("f1", "brain").inbox, site="f1",
    )  # fmt: skip
    fleet = FleetView("f1", SITE.info.edges, clock)

    async def on_health(subject: str, data: bytes) -> None:
        await fleet.on_health(subject, data)

    await bus.subscribe(Node("f1", "e1").health, on_health)
    store = PgRunStore(pool, clock, RunIncidents(clock))
    where = {name: EndpointSpec(url=order["receiver"], secret="hook", private=True)
             for name in ("cmms", "echo")}  # fmt: skip
    outside = Outside("f1", where, {}, Path(order["folder"]))
    webhooks, calls = HttpWebhooks(outside, clock), HttpCalls(outside)
    edges = EdgeDevices("f1", bus, fleet, store, devices())
    tags = PlantTags(SITE.tags, SITE.sources, SampleStore(pool), fleet, clock)
    for owner, name in (
        (RunWrites, "_commit"), (edges, "send"), (edges, "query"), (calls, "call"),
        (store, "delivered"), (store, "claim"),
    ):  # fmt: skip
        if isinstance(owner, type):
            points.around(store.writes, name)
        else:
            points.around(owner, name)
    ports = Ports(store, edges, tags, webhooks, clock, calls)
    engine = Engine(ports, devices(), lease_ms=order.get("lease_ms", 250))
    engine.ask_alarms(AlarmStates(clock, AlarmStore(pool), PgTriggerStore(pool), engine.poke))
    async with asyncio.timeout(order.get("hung_s", HUNG_S)):
        while not fleet.online("e1"):
            await asyncio.sleep(0.005)
        working = asyncio.create_task(_for_ever(engine))
        while await _busy(pool):
            if working.done():
                working.result()
            await asyncio.sleep(0.02)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    await bus.close()
    await pool.close()
    return points.passed


def _child(order: dict[str, Any]) -> None:
    code = 0
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        passed = asyncio.run(live(order))
        Path(order["points"]).write_text(str(passed))
    except BaseException as error:  # the parent must see why, and the fork must end here
        Path(order["points"]).write_text(f"fault: {error!r}")
        code = 1
    os._exit(code)


def _warm() -> None:
    """What a brain would otherwise import and read at its first call, in every life anew."""
    for name in ("httpcore", "httpcore._async.connection_pool", "anyio._backends._asyncio"):
        importlib.import_module(name)
    ssl.create_default_context = functools.cache(ssl.create_default_context)
    httpx.AsyncClient()


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def _begin(line: bytes, lives: dict[int, str]) -> None:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        _child(order)
    lives[child] = order["life"]
    _say(life=order["life"], pid=child)


def _reap(lives: dict[int, str]) -> None:
    while lives:
        child, status, used = os.wait4(-1, os.WNOHANG)
        if child == 0:
            return
        spent = used.ru_utime + used.ru_stime
        _say(life=lives.pop(child), status=status, cpu=round(spent, 4))


def main() -> None:
    """The nursery: one order a line, a fork each, many at a time; says how each has ended.

    It has no thread and no event loop, so that a fork is as good as a new process.
    """
    ear, mouth = os.pipe()
    for end in (ear, mouth):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _warm()
    gc.collect()
    gc.freeze()  # a fork shares what was imported and never copies it for a collection
    lives: dict[int, str] = {}
    heard = b""
    while True:
        ready, _, _ = select.select([0, ear], [], [], 1.0)
        if ear in ready:
            os.read(ear, 4096)
        if 0 in ready:
            more = os.read(0, 1 << 20)
            if not more:
                break
            *orders, heard = (heard + more).split(b"\n")
            for line in orders:
                _begin(line, lives)
        _reap(lives)
    for child in lives:
        os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
