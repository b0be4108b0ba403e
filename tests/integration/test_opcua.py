"""OPC UA against real servers: groups, codes, arrays, methods, conditions, security, browsing."""

from __future__ import annotations

import hashlib
import math
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from tests.integration.test_driver_cuts import Proxy
from tests.support.edge_children import Child, driver, write
from tests.support.edge_plants import opcua_source, tag
from tests.support.opcua_servers import OneUser, Plant, opcua_plant, server_certificate

pytestmark = pytest.mark.timeout(120)
UNCERTAIN, BAD = 0x40_90_00_00, 0x80_8C_00_00


async def up(running: Child) -> None:
    await running.until(lambda: running.state == "connected", 20)


async def test_each_tag_has_its_interval_type_range_and_code() -> None:
    async with opcua_plant() as plant:
        source = {
            **opcua_source(plant.url), "interval": 1000,
            "groups": [{"id": "fast", "interval": 100}],
        }  # fmt: skip
        tags = [
            tag("FAST", "ns=1;s=Count", group="fast"),
            tag("SLOW", "ns=1;s=Slow", scale=10, bias=1, precision=1, min=0, max=100),
            tag("CLAMPED", "ns=1;s=Slow", scale=10, bias=1, max=20, outside="clamp"),
            tag("WORD", "ns=1;s=Word", "string"),
            tag("ELEMENT", "ns=1;s=List[1]"),
            tag("BEYOND", "ns=1;s=List[9]"),
            tag("NONE", "ns=1;s=Nothing[1]"),
            tag("REAL", "nsu=urn:freeopcua:python:server;s=Real", group="fast"),
            tag("AWAY", "nsu=urn:elsewhere;s=Real"),
        ]
        async with driver(source, tags) as running:
            await up(running)
            await running.until(lambda: running.last(0) and running.last(4))
            for step in range(1, 13):
                await plant.set("Count", step)
                await plant.set("Slow", step / 3)
                await running.until(lambda s=step: running.last(0) == (float(s), 0), 5)
            seen = [v for _, v, _ in running.of(0)]
            assert [v for v in seen if v > 0][:12] == sorted(seen)[-12:]
            await plant.set("Slow", 1.2345)
            await running.until(lambda: running.last(1) == (13.3, 0), 5)
            await plant.set("Slow", 50.0)
            await running.until(lambda: running.last(2) == (20.0, 1), 5)
            assert math.isnan(running.last(1)[0])  # type: ignore[index]
            assert running.last(1)[1] == 2  # type: ignore[index]
            assert running.last(4) == (2.5, 0)
            assert running.last(5)[1] == 2  # type: ignore[index]
            assert running.last(6)[1] == 2  # type: ignore[index]
            assert "NONE (ns=1;s=Nothing[1])" in running.states[-1].detail
            assert "AWAY (nsu=urn:elsewhere;s=Real)" in running.states[-1].detail
            await codes(plant, running)


async def codes(plant: Plant, running: Child) -> None:
    """Codes are folded by severity, and named in the state for as long."""
    await plant.set("Real", 2.0, UNCERTAIN)
    await running.until(lambda: running.last(7) == (2.0, 1), 5)
    await running.until(lambda: "REAL Uncertain" in running.states[-1].detail, 5)
    await plant.set("Real", 3.0, BAD)
    await running.until(lambda: running.last(7)[1] == 2, 5)  # type: ignore[index]
    await running.until(lambda: "REAL BadSensorFailure" in running.states[-1].detail, 5)
    await plant.set("Real", 4.0)
    await running.until(lambda: running.last(7) == (4.0, 0), 5)
    await running.until(lambda: "not good" not in running.states[-1].detail, 5)


async def test_writes_take_the_nodes_type_and_methods_answer() -> None:
    async with (
        opcua_plant() as plant,
        driver(opcua_source(plant.url), [tag("A", "ns=1;s=Small")]) as running,
    ):
        await up(running)

        numbers = count()

        async def order(address: str, value: Any) -> tuple[str, Any, str]:
            done = await running.write(write(f"w{next(numbers)}", address, value))
            return done.outcome, done.readback, done.detail

        assert (await order("ns=1;s=Small", 32767.0))[:2] == ("done", 32767)
        assert "does not fit into Int16" in (await order("ns=1;s=Small", 32768))[2]
        assert "Int16" in (await order("ns=1;s=Small", 1.5))[2]
        assert (await order("ns=1;s=List", [9, 8.5]))[:2] == ("done", None)
        assert await plant.nodes["List"].read_value() == [9.0, 8.5]
        assert "give a list" in (await order("ns=1;s=List", 9))[2]
        add = "method:i=85|nsu=urn:freeopcua:python:server;s=Add"
        assert (await order(add, [1.5, 2]))[:2] == ("done", 3.5)
        assert plant.calls == [(1.5, 2)]
        outcome, _, detail = await order(add, [1.5, -2])
        assert (outcome, "BadOutOfRange" in detail) == ("failed", True), detail
        outcome, _, detail = await order(add, [1.5])
        assert (outcome, "takes 2 arguments" in detail) == ("failed", True)
        assert (await order("method:i=85|ns=1;s=Reset", True))[0] == "done"
        assert (await order("method:i=85|ns=1;s=Nothing", [1]))[0] == "failed"
        assert plant.calls == [(1.5, 2), (1.5, -2), ()]


EVENTS = [
    tag("ACTIVE", "event:i=2253|LevelHigh|Active", "boolean"),
    tag("ACKED", "event:i=2253|LevelHigh|Acked", "boolean"),
    tag("SEVERITY", "event:i=2253|*|Severity"),
    tag("MESSAGE", "event:i=2253|Boiler/*|Message", "string"),
    tag("ANY", "event:ns=1;s=Count|*|Active", "boolean"),
]


async def test_conditions_become_samples_also_those_raised_before_and_during_a_cut() -> None:
    async with opcua_plant() as plant:
        high, low = await plant.alarm("LevelHigh"), await plant.alarm("LevelLow")
        await high.tell(True, False, 700, "level is high")
        proxy = Proxy(plant.port)
        async with proxy.running():
            source = opcua_source(f"opc.tcp://127.0.0.1:{proxy.port}/x")
            async with driver(source, EVENTS) as running:
                # It was active before we came: the refresh tells.
                await running.until(lambda: running.last(0) == (1.0, 0), 20)
                await running.until(lambda: running.last(2) == (700.0, 0), 5)
                assert running.last(1) == (0.0, 0)
                assert running.texts[-1][2] == "level is high"
                await running.until(lambda: running.last(4) == (0.0, 0), 5)
                await low.tell(True, True, 900, "level is low")
                await running.until(lambda: running.last(2) == (900.0, 0), 5)
                await high.tell(True, True, 700, "level is high")
                await running.until(lambda: running.last(1) == (1.0, 0), 5)
                assert running.last(0) == (1.0, 0)
                proxy.cut(True)
                await running.until(lambda: running.state == "failed", 10)
                await high.tell(False, True, 700, "level is normal")
                proxy.cut(False)
                await running.until(lambda: running.state == "connected", 20)
                await running.until(lambda: running.last(0) == (0.0, 0), 10)
                assert running.last(2) == (900.0, 0)


def thumbprint(folder: Path) -> str:
    return hashlib.sha256(server_certificate(folder)[0].read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("security", "policy"),
    [
        ("sign", "Basic256Sha256"),
        ("sign_and_encrypt", "Aes256Sha256RsaPss"),
    ],
)
async def test_a_secured_session_works_and_heals(
    tmp_path: Path, security: str, policy: str
) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    async with opcua_plant(folder=tmp_path, users=OneUser()) as plant:
        proxy = Proxy(plant.port)
        async with proxy.running():
            options = {
                "security": security, "policy": policy, "server_thumbprint": thumbprint(tmp_path)
            }  # fmt: skip
            source = {
                **opcua_source(f"opc.tcp://127.0.0.1:{proxy.port}/x"), "options": options
            }  # fmt: skip
            certificate, key = server_certificate(tmp_path)  # any will do for a user
            user: dict[str, Any] = (
                {"user": "andon", "password_file": str(tmp_path / "password")}
                if security == "sign"
                else {"user_certificate": str(certificate), "user_key": str(key)}
            )
            settings = {"state_dir": str(tmp_path / "edge"), **user}
            async with driver(source, [tag("A", "ns=1;s=Count")], settings) as running:
                await up(running)
                assert ((tmp_path / "edge" / "key.pem").stat().st_mode & 0o777) == 0o600
                await running.until(lambda: running.last(0) == (0.0, 0), 5)
                if security == "sign":
                    proxy.cut(True)
                    await running.until(lambda: running.state == "failed", 10)
                    proxy.cut(False)
                    await running.until(lambda: running.state == "connected", 20)
                await plant.set("Count", 5)
                await running.until(lambda: running.last(0) == (5.0, 0), 10)


async def test_an_unknown_server_and_a_wrong_password_are_said(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong")
    async with opcua_plant(folder=tmp_path, users=OneUser()) as plant:
        mend = f"options: {{server_thumbprint: {thumbprint(tmp_path)}}}"
        for security, words in (("sign_and_encrypt", mend), ("none", "user and password")):
            settings = {
                "state_dir": str(tmp_path / "edge"), "user": "andon",
                "password_file": str(tmp_path / "password"),
            }  # fmt: skip
            source = {**opcua_source(plant.url), "options": {"security": security}}
            async with driver(source, [tag("A", "ns=1;s=Count")], settings) as running:
                await running.until(lambda: running.state == "failed", 20)
                assert words in running.states[-1].detail
                assert "wrong" not in running.states[-1].detail


def test_names_of_codes_are_the_standards() -> None:
    assert ua.StatusCode(ua.UInt32(BAD)).name == "BadSensorFailure"
