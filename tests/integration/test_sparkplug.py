"""The Sparkplug host against real edge nodes at Debian's mosquitto: births, gaps, deaths, STATE."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from edge_node.adapters.sources import sparkplug_client
from edge_node.adapters.sources.sparkplug_client import SparkplugDriver
from tests.support.driver_here import Here, here
from tests.support.edge_plants import tag
from tests.support.mosquitto import Broker, Device
from tests.support.sparkplug_node import GROUP, EdgeNode, Payload

pytestmark = pytest.mark.timeout(60)
TAGS = [
    tag("TEMP", "n1/press:Temp"),
    tag("MODE", "n1/press:Mode", "string"),
    tag("RUN", "n1/press:Run", "boolean"),
    tag("UPTIME", "n1:Uptime"),
]


def source(port: int, **options: Any) -> dict[str, Any]:
    given = {"group": GROUP, "host_id": "h1", "timeout": "2s", "rebirth_interval": "1s",
             "reorder_timeout": "300ms", **options}  # fmt: skip
    return {"driver": "sparkplug", "url": f"mqtt://127.0.0.1:{port}", "options": given}


def wire(broker: Broker) -> list[str]:
    """What the broker received of the host, from its own log."""
    told = ("New client", "Will message", "\tspBv1.0", "Received")
    lines = [line for line in broker.log() if line.startswith(told)]
    first = next(n for n, line in enumerate(lines) if "as andon-s-" in line)
    mine = [line for line in lines[first:] if "andon-s-" in line or line[0] in "W\t"]
    return [line.split(" (", 1)[-1] if "PUBLISH" in line else line for line in mine]


async def soon(heard: Here, what: Any, seconds: float = 10.0) -> None:
    await heard.until(what, seconds)


async def test_a_host_that_comes_late_gets_births_gaps_are_mended_and_deaths_are_bad(
    tmp_path: Path,
) -> None:
    async with Broker(tmp_path) as broker:
        node = await asyncio.to_thread(EdgeNode(broker.port).start)
        other = await asyncio.to_thread(EdgeNode(broker.port, "foreign").start)
        async with here(source(broker.port), TAGS) as heard:
            # It asks for the births that it has missed.
            await soon(heard, lambda: heard.last(0) == (41.0, 0) and heard.last(3) == (7.0, 0))
            assert node.commands == [("rebirth", True)]
            assert heard.last(2) == (1.0, 0)
            assert heard.texts[-1][2:] == ("auto", 0)
            node.data(Temp=42.5, Mode="手动")
            await soon(heard, lambda: heard.last(0) == (42.5, 0))
            assert heard.texts[-1][2:] == ("手动", 0)

            # A message is lost: what is known is uncertain until the rebirth.
            node.seq += 1
            node.data(Temp=43.0)
            await soon(heard, lambda: heard.last(0) == (42.5, 1))
            await soon(heard, lambda: heard.last(0) == (43.0, 0))
            assert node.commands.count(("rebirth", True)) == 2

            # Unchanged values are confirmed while the node is alive.
            known = len(heard.of(3))
            await soon(heard, lambda: len(heard.of(3)) > known)
            assert heard.last(3) == (7.0, 0)

            # A device's death, its birth, the node's death: tags are bad at once.
            node.device_death()
            await soon(heard, lambda: heard.last(0)[1] == 2)  # type: ignore[index]
            assert heard.last(3) == (7.0, 0)
            refused = await heard.write("n1/press:SP", 2.5)
            assert refused.outcome == "failed"
            assert "not there" in refused.detail
            node.birth()
            await soon(heard, lambda: heard.last(0) == (43.0, 0))
            await asyncio.to_thread(node.stop)
            await soon(heard, lambda: heard.last(0)[1] == heard.last(3)[1] == 2)  # type: ignore[index]
            await soon(heard, lambda: "no birth yet of n1" in heard.detail)
            bad = len(heard.of(0))
            await asyncio.sleep(0.6)
            assert len(heard.of(0)) == bad
            await asyncio.to_thread(node.start)
            await soon(heard, lambda: heard.last(0) == (43.0, 0))
            assert not other.commands, "a node without tags is none of this host's business"
        await asyncio.to_thread(node.stop)
        await asyncio.to_thread(other.stop)


async def test_the_hosts_own_state_is_told_as_the_specification_wants(tmp_path: Path) -> None:
    topic = "spBv1.0/STATE/h1"
    async with Broker(tmp_path) as broker:
        watcher = Device(broker.port).start("spBv1.0/STATE/#")

        def states() -> list[dict[str, Any]]:
            return [json.loads(body) for t, body, _ in watcher.heard if t == topic]

        async with here(source(broker.port), TAGS[:1]) as heard:
            await soon(heard, lambda: len(states()) == 1)
            # Will, clean start, subscriptions, and only then the birth, before anything else.
            assert isinstance(heard.driver, SparkplugDriver)
            await soon(heard, lambda: any("NCMD" in line for line in wire(broker)))
            seen = wire(broker)
            assert "(p5, c1," in seen[0]
            session: Any = heard.driver._link._session()
            assert session.SessionExpiryInterval == 0
            assert seen[1].endswith("(r1, q1).")
            assert seen[2] == f"\t{topic}"
            assert seen[3].startswith("Received SUBSCRIBE")
            assert {seen[4], seen[5]} == {"\tspBv1.0/plant/# (QoS 1)", f"\t{topic} (QoS 1)"}
            assert seen[6].startswith("d0, q1, r1,")
            assert topic in seen[6]
            assert any(line.startswith("d0, q0, r0,") and "/NCMD/n1'" in line for line in seen[7:])
            born = states()[0]
            assert set(born) == {"online", "timestamp"}
            assert born["online"] is True
            late = Device(broker.port).start("spBv1.0/STATE/#")
            await soon(heard, lambda: late.heard)
            assert late.heard[0][2], "STATE is retained"
            # Somebody says that we are gone: we say at once that we are here.
            lie = json.dumps({"online": False, "timestamp": born["timestamp"]})
            watcher.publish(topic, lie, retain=True)
            await soon(heard, lambda: len(states()) == 3)
            assert states()[2] == born
            # The last will has the timestamp of the birth.
            client: Any = heard.driver._link._client
            client.socket().shutdown(2)
            for _ in range(500):
                if len(states()) == 4:
                    break
                await asyncio.sleep(0.01)
            assert states()[3] == {"online": False, "timestamp": born["timestamp"]}
            late.stop()
        watcher.stop()


async def test_a_host_that_leaves_says_so_before(tmp_path: Path) -> None:
    async with Broker(tmp_path) as broker:
        watcher = Device(broker.port).start("spBv1.0/STATE/h1")
        async with here(source(broker.port, version="3.1.1"), TAGS[:1]) as heard:
            await soon(heard, lambda: watcher.heard)
        for _ in range(500):
            if len(watcher.heard) == 2 and wire(broker)[-1].startswith("Received DISCONNECT"):
                break
            await asyncio.sleep(0.01)
        assert [json.loads(body)["online"] for _, body, _ in watcher.heard] == [True, False]
        seen = [line for line in wire(broker) if "PUBACK" not in line]
        assert "(p2, c1," in seen[0]
        assert seen[-2].startswith("d0, q1, r1,")
        assert "spBv1.0/STATE/h1" in seen[-2]
        assert seen[-1].startswith("Received DISCONNECT")
        watcher.stop()


async def test_commands_are_done_when_reported_and_checked_against_the_birth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparkplug_client, "BROWSE_S", 0.5)
    async with Broker(tmp_path) as broker:
        node = await asyncio.to_thread(EdgeNode(broker.port).start)
        ear = Device(broker.port).start(f"spBv1.0/{GROUP}/DCMD/#")
        async with here(source(broker.port), TAGS) as heard:
            await soon(heard, lambda: heard.last(0) == (41.0, 0))
            done = await heard.write("n1/press:SP", 2.5)
            assert (done.outcome, done.readback) == ("done", 2.5), done
            run = await heard.write("n1/press:Run", False)
            assert (run.outcome, run.readback) == ("done", False), run
            for address, value, word in (
                ("n1/press:SP", "x", "takes a number"), ("n1/press:Mode", 3, "takes a text"),
                ("n1/press:Run", 2, "true or false"), ("n1/press:None", 1, "names no metric"),
                ("n1/oven:SP", 1, "not there"), ("n2:SP", 1, "not there"), ("n1", 1, "address"),
            ):  # fmt: skip
                refused = await heard.write(address, value)
                assert refused.outcome == "failed"
                assert word in refused.detail
            node.obeys = False
            silent = await heard.write("n1/press:SP", 9.5, 300)
            assert silent.outcome == "unknown"
            assert node.commands[1:] == [("SP", 2.5), ("Run", False), ("SP", 9.5)]
            assert [t for t, _, _ in ear.heard] == [f"spBv1.0/{GROUP}/DCMD/n1/press"] * 3
            sent = [line for line in wire(broker) if "/DCMD/" in line]
            assert len(sent) == 3
            assert all(line.startswith("d0, q0, r0,") for line in sent)
            metric = Payload.FromString(ear.heard[0][1]).metrics[0]
            assert (metric.alias, metric.HasField("name")) == (13, False)
            found = await heard.driver.browse("n1/press")  # type: ignore[attr-defined]
            assert next((n.address, n.type) for n in found) == ("n1/press:Temp", "Double")
        ear.stop()
        await asyncio.to_thread(node.stop)
