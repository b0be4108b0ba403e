"""The simulators' configuration file: which plants, on which ports, with which seed and speed.

Read by the command line; holds no passwords, only the files they are in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=0, le=65535)]
"""A TCP port; 0 lets the operating system pick."""
MAX_SPEED = 60.0


Token = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
"""A site, edge or device id, as it may stand in a subject or a topic."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerPlant(_Closed):
    """A plant that listens itself (OPC UA, Modbus TCP)."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 0


class MqttPlant(_Closed):
    """A plant that connects to a broker."""

    enabled: bool = True
    mqtt_host: str = "127.0.0.1"
    mqtt_port: Annotated[int, Field(ge=1, le=65535)] = 1883
    username: str = ""
    password_file: Path | None = None
    device: Token = "line1"


class SimulatedDevice(_Closed):
    """A device that a brain tells over MQTT (beacon, wearable, robot, AR terminal)."""

    device: Token
    kind: Literal["beacon", "wearable", "robot", "ar-terminal", "generic"]
    site: str = ""
    mqtt_host: str = "127.0.0.1"
    mqtt_port: Annotated[int, Field(ge=1, le=65535)]
    password_file: Path


class Plants(_Closed):
    """The three plants; one that is left out does not run."""

    furnace: ServerPlant | None = None
    compressor: ServerPlant | None = None
    bottling: MqttPlant | None = None


class SimulatorSettings(_Closed):
    """The whole file."""

    control_host: str = "127.0.0.1"
    control_port: Port = 0
    plants: Plants = Plants()
    devices: list[SimulatedDevice] = []
    """Devices that a brain tells over MQTT."""
    webhook_secret_file: Path | None = None
    """Secret of the linked system that receives webhooks."""
    seed: int = 1
    speed: Annotated[float, Field(gt=0, le=MAX_SPEED)] = 1.0
