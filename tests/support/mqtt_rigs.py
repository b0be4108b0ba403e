"""The drivers of a plant's own broker, as the contract tests want them: mosquitto and a device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.driver_rigs import Rig
from tests.support.edge_plants import tag
from tests.support.mosquitto import Broker, Device
from tests.support.sparkplug_node import GROUP, EdgeNode


class MqttBrokerRig(Rig):
    name, write = "mqtt-broker", ("topic:line/cmd -> line/state#speed", 7, 7)
    refused = (("line/cmd", 1), ("topic:line/+", 1), ("topic:line/cmd -> nothing#x", 1))
    grammar = ("li+ne#x", "MQTT address")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.broker = Broker(folder)
        self.port = self.broker.port
        self.options = {"timeout": "1s"}

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def tags(self) -> list[dict[str, Any]]:
        return [tag("N", "line/data#number"), tag("ABSENT", "line/data#absent"),
                tag("SPEED", "line/state#speed")]  # fmt: skip

    async def start(self) -> None:
        await self.broker.start()
        self.device = Device(self.port)
        self.device.client.on_message = self._obey
        self.device.start("line/cmd")
        await self.set(self.number)

    def _obey(self, client: Any, data: Any, message: Any) -> None:
        del data
        client.publish("line/state", json.dumps({"speed": json.loads(message.payload)}), 1)

    async def stop(self) -> None:
        await self.broker.stop()
        self.device.stop()

    async def set(self, number: float) -> None:
        # Retained: the driver may subscribe later; with a time, so that its age is known.
        from shared.clock import SystemClock

        body = {"number": number, "ts": SystemClock().now_ms()}
        self.device.publish("line/data", json.dumps(body), retain=True)


class SparkplugRig(Rig):
    name, write = "sparkplug", ("n1/press:SP", 2.5, 2.5)
    refused = (("n1/press:SP", "x"), ("n1/press:Nothing", 1), ("n9:SP", 1), ("nonsense", 1))
    grammar, named_absent = ("n1/press", "Sparkplug address"), "n1/press:Absent"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.broker = Broker(folder)
        self.port = self.broker.port
        self.options = {"group": GROUP, "timeout": "1s", "rebirth_interval": "1s"}
        self.node = EdgeNode(self.port)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def tags(self) -> list[dict[str, Any]]:
        return [tag("N", "n1/press:Temp"), tag("ABSENT", "n1/press:Absent"),
                tag("SP", "n1/press:SP")]  # fmt: skip

    async def start(self) -> None:
        await self.broker.start()
        self.node.values["Temp"] = self.number
        self.node.start()

    async def stop(self) -> None:
        await self.broker.stop()
        self.node.stop()

    async def set(self, number: float) -> None:
        self.node.data(Temp=number)


MQTT_RIGS: dict[str, type[Rig]] = {rig.name: rig for rig in (MqttBrokerRig, SparkplugRig)}
