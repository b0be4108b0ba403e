"""`andon up`: the whole system on this machine, until Ctrl-C or SIGTERM.

Called by the command line; decides nothing about what runs (see `shared/embedded/plan.py`).
"""

from __future__ import annotations

import asyncio
import functools
import json
import signal
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer
from rich.console import Console

from shared.clock import SystemClock
from shared.embedded.files import check_space, make_folder, write_private
from shared.embedded.plan import Outside, Plan, Planner, Secrets, node_names
from shared.embedded.ports import Ports
from shared.embedded.secrets import SecretStore
from shared.embedded.sites import Site, read_sites
from shared.embedded.supervisor import Options, StateLock, Supervisor
from shared.errors import ConfigError
from shared.paths import default_state_dir, demo_sites, playbook_library
from shared.telemetry import setup_logs


def up(
    site: Annotated[
        Path | None, typer.Option(help="工厂目录 (可含多个) / folder of a site or of several")
    ] = None,
    state: Annotated[Path | None, typer.Option(help="数据目录 / state folder")] = None,
    nats_url: Annotated[
        list[str] | None,
        typer.Option(help="外部 NATS: 节点=URL / outside servers: NODE=URL, one per node"),
    ] = None,
    database_url: Annotated[
        list[str] | None,
        typer.Option(help="外部数据库: 节点=DSN / outside databases: NODE=DSN, one per node"),
    ] = None,
    no_sim: Annotated[bool, typer.Option("--no-sim", help="不启动模拟装置 / no plants")] = False,
    profile: Annotated[str, typer.Option(help="PostgreSQL: demo | plant")] = "demo",
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """启动整个系统 / run every tier on this machine until Ctrl-C."""
    sites = read_sites((site or demo_sites()).absolute())
    folder = make_folder((state or default_state_dir()).absolute())
    check_space(folder)
    setup_logs("warning")
    outside = Outside(
        _named(nats_url, node_names(sites), "--nats-url"),
        _named(database_url, ["cloud", *(s.id for s in sites)], "--database-url"),
    )
    lock = StateLock(folder)
    lock.take()
    try:
        code = asyncio.run(_run(sites, folder, outside, _Output(as_json), not no_sim, profile))
    finally:
        lock.release()
    raise typer.Exit(code)


def _named(given: list[str] | None, names: list[str], option: str) -> dict[str, str]:
    """Read NODE=URL pairs; all nodes or none, since outside and embedded leaves do not mix."""
    if not given:
        return {}
    parts = [item.partition("=") for item in given]
    pairs = {name: url for name, _, url in parts}
    if set(pairs) != set(names):
        raise ConfigError(
            f"{option} names {', '.join(sorted(pairs))}; needed are {', '.join(names)}",
            mend=" ".join(f"{option} {name}=URL" for name in names),
        )
    if faulty := [name for name, url in pairs.items() if "://" not in url]:
        raise ConfigError(
            f"{option}: no URL for {', '.join(faulty)}", mend=f"write {option} {faulty[0]}=URL"
        )
    return pairs


class _Output:
    """What the person (or the script) at the terminal sees."""

    def __init__(self, as_json: bool) -> None:
        self._json, self._console = as_json, Console(highlight=False)

    def progress(self, name: str, took_ms: int) -> None:
        """One process is ready."""
        if self._json:
            typer.echo(json.dumps({"ready": name, "ms": took_ms}))
        else:
            self._console.print(f"  [green]✓[/] {name:<14} {took_ms / 1000:5.1f} s")

    def ready(self, plan: Plan, took_ms: int, password: Path, *, first: bool) -> None:
        """Everything is up: where to look and how to log in."""
        if self._json:
            shown = {"up": plan.addresses, "ms": took_ms, "admin_password_file": str(password)}
            typer.echo(json.dumps(shown))
            return
        say = functools.partial(self._console.print, soft_wrap=True)
        say(f"\n[bold]就绪 / ready[/] ({took_ms / 1000:.1f} s)")
        for name, url in plan.addresses["console"].items():
            say(f"  工厂 / factory {name:<6} {url}")
        for name, url in plan.addresses["edge_pages"].items():
            say(f"  边缘 / edge {name:<9} {url}")
        say(f"  集团 / group cloud    {plan.addresses['cloud']}")
        if plan.addresses["simulators"]:
            say(f"  模拟装置 / plants     {plan.addresses['simulators']}")
        secret = password.read_text().strip() if first else f"见文件 / in {password}"
        say(f"  用户 / user: admin   密码 / password: {secret}")
        say("  Ctrl-C 停止 / stops everything\n")

    def stopping(self) -> None:
        """The stop has begun."""
        if not self._json:
            self._console.print("正在停止 / stopping …")


def _import_passwords(outside: Outside, store: SecretStore) -> None:
    """Keep the passwords of outside servers in files, where the tiers look for them."""
    for name, url in outside.nats.items():
        write_private(store.path(f"nats-{name}-app"), unquote(urlsplit(url).password or "") + "\n")


async def _run(
    sites: tuple[Site, ...],
    state: Path,
    outside: Outside,
    output: _Output,
    simulate: bool,
    profile: str,
) -> int:
    clock = SystemClock()
    began = clock.mono_ms()
    store = SecretStore(state)
    shown = store.path("admin-password-shown")
    store.password("admin-password", 16)
    _import_passwords(outside, store)
    secrets = Secrets(store.password, store.path, store.key_pair, store.webhook)
    planner = Planner(sites, state, Ports().take, secrets)
    plan = planner.plan(playbook_library(), outside, simulate=simulate)
    options = Options(state, profile, store.password("db-superuser"))
    supervisor = Supervisor(plan, options, clock, output.progress)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)
    if not await _start(supervisor, stopping):
        return 0
    supervisor.write_up_file()
    password = store.path("admin-password")
    output.ready(plan, clock.mono_ms() - began, password, first=not shown.exists())
    # Marked only now: a first start that failed has shown nobody anything.
    write_private(shown, "")
    await stopping.wait()
    output.stopping()
    await supervisor.stop()
    return 0


async def _start(supervisor: Supervisor, stopping: asyncio.Event) -> bool:
    """Start everything; False when asked to stop meanwhile (all is stopped then)."""
    start = asyncio.create_task(supervisor.start())
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not start.done():
        start.cancel()  # start() stops what it has started
        await asyncio.wait({start})
        return False
    stop.cancel()
    start.result()
    return True
