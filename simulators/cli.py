"""`andon sim`: run the simulated plants as one process.

Called by the `andon` entry point; only reads the configuration and starts what others own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import Generator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from shared.clock import SystemClock
from shared.errors import ConfigError
from shared.telemetry import logger, setup_logs
from simulators.control import catalogue, create_app
from simulators.devices import DeviceAccess, LinkedDevice
from simulators.documents import load
from simulators.linked import LinkedSystem
from simulators.settings import SimulatedDevice, SimulatorSettings
from simulators.simulation import Simulation

app = typer.Typer(no_args_is_help=True, help="模拟装置 / simulated plants")
log = logger("simulators")


class PlantName(StrEnum):
    """Which plant to run."""

    FURNACE = "furnace"
    COMPRESSOR = "compressor"
    BOTTLING = "bottling"
    ALL = "all"


class _ControlServer(uvicorn.Server):
    """A uvicorn server that leaves the process's signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none: one handler stops plants and control together."""
        yield


def _only(settings: SimulatorSettings, plant: PlantName) -> SimulatorSettings:
    """The settings with every other plant left out."""
    if plant is PlantName.ALL:
        return settings
    wanted = getattr(settings.plants, plant.value)
    if wanted is None:
        raise ConfigError(
            f"plant {plant.value!r} is not in the configuration",
            mend=f"add plants.{plant.value} to the file or choose another --plant",
        )
    plants = settings.plants.model_copy(
        update={name: None for name in type(settings.plants).model_fields if name != plant.value}
    )
    return settings.model_copy(update={"plants": plants})


def _device(spec: SimulatedDevice) -> LinkedDevice:
    access = DeviceAccess(
        spec.mqtt_host, spec.mqtt_port, spec.device, spec.kind, spec.password_file
    )
    return LinkedDevice(access, SystemClock())


async def serve(settings: SimulatorSettings, stop: asyncio.Event) -> None:
    """Run plants and control until `stop` is set; raises OSError when an address is taken."""
    simulation = Simulation(settings, SystemClock())
    linked = LinkedSystem(settings.webhook_secret_file, SystemClock())
    linked.devices = [_device(each) for each in settings.devices]
    with socket.create_server((settings.control_host, settings.control_port)) as listener:
        port = listener.getsockname()[1]
        config = uvicorn.Config(
            create_app(simulation, linked), log_config=None, access_log=False, lifespan="off",
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = _ControlServer(config)
        try:
            await simulation.start()
            for device in linked.devices:
                await device.open()
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve(sockets=[listener]))
                log.info(
                    "simulators_started",
                    control=f"http://{settings.control_host}:{port}",
                    endpoints=simulation.endpoints(),
                )
                await simulation.run(stop)
                server.should_exit = True
        finally:
            for device in linked.devices:
                await device.close()
            await simulation.shutdown()
    log.info("simulators_stopped")


async def _run(settings: SimulatorSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)


def _run_to_the_end(settings: SimulatorSettings) -> str:
    """Run until told to stop; the reason when an address or a password file cannot be had."""
    reason = ""
    try:
        asyncio.run(_run(settings))
    except* OSError as group:
        reason = "; ".join(str(error) for error in group.exceptions)
    return reason


@app.command("run")
def run(
    config: Annotated[Path, typer.Option("--config", help="配置文件 / configuration (YAML)")],
    plant: Annotated[PlantName, typer.Option(help="只运行一个 / run one")] = PlantName.ALL,
    as_json: Annotated[bool, typer.Option("--json", help="日志总是 JSON / logs are JSON")] = True,
) -> None:
    """Run the simulated plants until SIGTERM."""
    del as_json
    try:
        settings = _only(load(config, SimulatorSettings), plant)
    except ConfigError as error:
        typer.echo(f"andon sim: {error}", err=True)
        raise typer.Exit(2) from None
    setup_logs()
    if reason := _run_to_the_end(settings):
        typer.echo(f"andon sim: cannot start: {reason}", err=True)
        raise typer.Exit(2)


@app.command("faults")
def faults(
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """List every plant's faults with their arguments."""
    listing = catalogue()
    if as_json:
        typer.echo(json.dumps(listing, ensure_ascii=False))
        return
    for name, kind in listing.items():
        typer.echo(f"{name} ({kind['asset']})")
        for fault, spec in kind["faults"].items():
            args = " ".join(f"{k}={v:g}" for k, v in spec["args"].items())
            typer.echo(f"  {fault:20} {spec['zh']} / {spec['en']}  {args}".rstrip())


if __name__ == "__main__":
    app()
