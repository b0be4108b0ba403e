"""`andon bench resume`: how fast a backlog comes home, and what live alarms notice of it.

Runs the whole real system on a site of its own, freezes the factory's broker (a silent cut), makes
a backlog at the edge, lets go, and measures in the factory's own database.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import queue
import signal
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console as Terminal
from rich.table import Table

from shared.errors import AndonError
from shared.postgres.pool import connect_pool
from simulators import bench_limits
from simulators.bench_device import BenchDevice
from simulators.bench_e2e import BenchFailed, Console, Say, System, percentiles, running, wait_until
from simulators.bench_site import ACTING, EDGE, PLAIN, SITE

STORED_S, DRAIN_S = 60.0, 180.0
LIVE_EVERY_S = 0.12
"""Pace of the live alarms whose latency is measured."""
PATIENCE_S = 30.0
"""A late alarm counts with its whole delay; only what never comes is missed."""
CHUNK, CHUNK_S = 40, 0.01
"""A storm of some 4,000 changes a second."""
POLL_S = 0.02
SOURCE = f"{SITE}.{EDGE}"


class Store:
    """The factory's database, asked for what it has committed."""

    def __init__(self, url: str) -> None:
        self._url, self._loop = url, asyncio.new_event_loop()
        self.pool: Any = self.call(connect_pool(url, size=2))

    def call(self, work: Any) -> Any:
        """Run a coroutine to its end."""
        return self._loop.run_until_complete(work)

    def committed(self) -> int:
        """Events of the edge that are stored, samples apart."""
        return self.call(
            self.pool.fetchval(
                "SELECT coalesce(sum(seq), 0)::bigint FROM watermark "
                "WHERE source = $1 AND lane <> 'history'",
                SOURCE,
            )
        )

    def backlog(self) -> int:
        """Events of the backlog's own alarm that are stored."""
        return self.call(
            self.pool.fetchval(
                "SELECT count(*) FROM event WHERE source = $1 AND alarm = $2", SOURCE, PLAIN
            )
        )

    def live(self, since: int, until: int) -> tuple[list[float], dict[str, int]]:
        """Of the raises that the edge received in a span, whatever lane they took: edge's receive
        time -> written at the factory, and how many took each lane."""
        rows = self.call(
            self.pool.fetch(
                "SELECT lane, received_at - (body->>'receive_time')::bigint AS ms FROM event "
                "WHERE source = $1 AND alarm = $4 AND body->>'kind' = 'raised' "
                "AND (body->>'receive_time')::bigint BETWEEN $2 AND $3 "
                "ORDER BY (body->>'receive_time')::bigint",
                SOURCE, since, until, ACTING,
            )
        )  # fmt: skip
        return [float(row["ms"]) for row in rows], dict(Counter(row["lane"] for row in rows))

    def totals(self) -> dict[str, int]:
        """Counts for the proof that nothing was lost or doubled."""
        row = self.call(
            self.pool.fetchrow(
                "SELECT (SELECT count(*) FROM event WHERE source = $1) AS events, "
                "(SELECT count(DISTINCT id) FROM event WHERE source = $1) AS ids, "
                "(SELECT count(*) FROM gap WHERE source = $1) AS gaps, "
                "(SELECT count(*) FROM quarantined WHERE source = $1) AS quarantined",
                SOURCE,
            )
        )
        return dict(row)

    def close(self) -> None:
        """Disconnect."""
        self.call(self.pool.close())
        self._loop.close()


class LiveAlarms:
    """Raises an alarm again and again and notes when it stands on the console's stream."""

    def __init__(self, system: System, device: BenchDevice) -> None:
        self._device, self._console = device, Console(system)
        self.screen: list[tuple[float, float]] = []
        """(monotonic second of the sample, ms until its row was on the wire to the screen)."""
        self.missed = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        if not self._console.ready.wait(20):
            raise BenchFailed("the console's stream did not open")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            began = self._device.set(act=True)
            try:
                shown = self._console.raised.get(timeout=PATIENCE_S)[1]
                self.screen.append((began, (shown - began) * 1000))
            except queue.Empty:
                self.missed += 1
            self._device.set(act=False)
            self._stop.wait(LIVE_EVERY_S)

    def stop(self) -> None:
        """No more."""
        self._stop.set()
        self._thread.join(PATIENCE_S + 10)

    def between(self, since: float, until: float) -> list[float]:
        """Latencies of the alarms raised in a span of monotonic seconds."""
        return [ms for began, ms in self.screen if since <= began <= until]


def _freeze(system: System, number: signal.Signals) -> None:
    up = json.loads((system.state / "run" / "up.json").read_text())
    os.kill(up["processes"][f"nats-{SITE}"], number)


def _produced(system: System) -> int:
    """Events that the edge has written to its outbox, samples apart."""
    file = next((system.state).rglob("edge.db"))
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as edge:
        asked = "SELECT coalesce(sum(produced), 0) FROM outbox_lane WHERE lane <> 'history'"
        return edge.execute(asked).fetchone()[0]


def _backlog(system: System, device: BenchDevice, changes: int, say: Say) -> None:
    """Make transitions while nobody above hears them; waits until the edge has stored them all."""
    before = _produced(system)
    for number in range(changes):
        device.set(plain=number % 2 == 0)
        if number % CHUNK == CHUNK - 1:
            time.sleep(CHUNK_S)
        if number % 20_000 == 0:
            say(f"积压 / backlog {number}/{changes}")
    wait_until(lambda: _produced(system) >= before + changes, STORED_S, "the edge's own storing")


def _now_ms(store: Store) -> int:
    """The machine's wall clock, as the database reads it."""
    return int(
        store.call(store.pool.fetchval("SELECT extract(epoch FROM clock_timestamp())")) * 1000
    )


def _cpu(system: System) -> dict[str, float]:
    """CPU seconds of each part of the system, its children included."""
    up = json.loads((system.state / "run" / "up.json").read_text())
    spent: dict[str, float] = {}
    for name, pid in up["processes"].items():
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        times = [each.cpu_times() for each in family]
        spent[name] = sum(each.user + each.system for each in times)
    return spent


def _drain(store: Store, had: int, before: int, changes: int) -> list[tuple[float, int]]:
    """(monotonic second, events at home) until the whole backlog is there.

    `had` events in all and `before` of the backlog's alarm were at home before the cut.
    """
    deadline = time.monotonic() + DRAIN_S
    progress: list[tuple[float, int]] = []
    while True:
        count, now = store.committed(), time.monotonic()
        if count >= had + changes:  # the live alarms are among them: now count exactly
            count = had + store.backlog() - before
        if count > had:
            progress.append((now, count - had))
        if count >= had + changes:
            return progress
        if now > deadline:
            raise BenchFailed(f"{had + changes - count} events are not home after {DRAIN_S:g} s")
        time.sleep(POLL_S)


def _idle(system: System, device: BenchDevice, store: Store) -> dict[str, Any]:
    since, live = _now_ms(store), LiveAlarms(system, device)
    live.start()
    time.sleep(6.0)
    live.stop()
    time.sleep(1.0)
    return {
        "to_database": percentiles(store.live(since, _now_ms(store))[0]),
        "to_console": percentiles([ms for _, ms in live.screen]),
    }


def measure(system: System, device: BenchDevice, store: Store, changes: int, say: Say) -> Any:
    """One cut, one backlog, one return."""
    device.set()
    time.sleep(2.0)
    say("空载时的延迟 / live alarms with no backlog …")
    idle = _idle(system, device, store)
    had, before = store.committed(), store.backlog()
    say("冻结工厂消息服务 / freezing the factory's broker …")
    live = LiveAlarms(system, device)
    _freeze(system, signal.SIGSTOP)
    try:
        _backlog(system, device, changes, say)
    finally:
        _freeze(system, signal.SIGCONT)
    # From the link's return on: what is raised before the edge has noticed it counts too.
    since, released = _now_ms(store), time.monotonic()
    live.start()
    say("恢复 / the link is back …")
    used = _cpu(system)
    progress = _drain(store, had, before, changes)
    until = _now_ms(store)
    used = {name: round(spent - used[name], 2) for name, spent in _cpu(system).items()}
    live.stop()
    time.sleep(2.0)
    (first, seen), (last, _) = progress[0], progress[-1]
    during, lanes = store.live(since, until)
    screen = live.between(released, last)
    if len(during) < 2 or len(screen) < 2:
        raise BenchFailed("the backlog was home before the first live alarm: ask for a larger one")
    return {
        "backlog": changes,
        "first_after_s": round(first - released, 2),
        "caught_up_s": round(last - released, 2),
        "events_per_s": round((changes - seen) / max(last - first, 1e-3)),
        "first_seen": seen,
        "live_idle": idle,
        "live_during_drain": {
            # Raised at the return itself: it waits for the servers to find each other again.
            "first": {"to_database_ms": during[0], "to_console_ms": round(screen[0], 2)},
            "to_database": percentiles(during[1:]),
            "to_console": percentiles(screen[1:]),
            "lanes": lanes,
            "missed": live.missed,
        },
        "cpu_s": used,
        "stored": store.totals(),
    }


def run(backlog: int, say: Say) -> dict[str, Any]:
    """The whole benchmark, with the limits of disk, database and broker from the same run."""
    with running(say) as (system, device):
        deadline = time.monotonic() + 30
        while "connected" not in str(system.http.get("/api/fleet").json()["edges"]):
            if time.monotonic() > deadline:
                raise BenchFailed("the edge's driver did not connect")
            time.sleep(0.2)
        store = Store(system.up["database"][SITE])
        try:
            result = measure(system, device, store, backlog, say)
            say("极限 / the limits of disk, database and broker …")
            secrets = system.state / "secrets" / f"nats-{SITE}-app"
            url = f"nats://127.0.0.1:{system.up['nats'][SITE]['client']}"
            result["limits"] = {
                **bench_limits.disk(system.state),
                **store.call(bench_limits.database(store.pool, SOURCE)),
                **store.call(bench_limits.broker(url, _secret(secrets))),
            }
        finally:
            store.close()
    return result


def _secret(path: Path) -> str:
    return path.read_text().strip()


def resume(
    backlog: Annotated[int, typer.Option(min=1000, max=500_000, help="积压 / backlog")] = 100_000,
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """断网恢复速率与实时延迟 / the rate of a resume, and what live alarms notice of it."""
    console = Terminal(stderr=True, highlight=False)
    load = round(os.getloadavg()[0], 2)
    try:
        result = run(backlog, lambda text: console.print(f"  {text}"))
    except AndonError as error:
        console.print(f"andon bench: {error}")
        raise typer.Exit(2) from error
    result["machine"] = {
        "cores": os.cpu_count(), "python": platform.python_version(), "load_before": load,
    }  # fmt: skip
    if as_json:
        typer.echo(json.dumps(result, indent=1))
        return
    table = Table("", "")
    for name in ("backlog", "first_after_s", "caught_up_s", "events_per_s"):
        table.add_row(name, str(result[name]))
    for name, value in result["limits"].items():
        table.add_row(f"limit: {name}", str(value))
    table.add_row("live_during_drain first", str(result["live_during_drain"]["first"]))
    for phase in ("live_idle", "live_during_drain"):
        for end in ("to_database", "to_console"):
            table.add_row(f"{phase} {end}", str(result[phase][end]))
    Terminal().print(table)
