"""Computed tags in a running edge: they raise alarms, and a broken function costs only its own."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.messages.bodies import AlarmTransition, LocalAction, SystemEvent
from tests.support.computed import compiled
from tests.support.edge_world import HIHI, Brain, Engine, World, raised, until

pytest_plugins = ("tests.support.edge_fixtures",)
pytestmark = pytest.mark.timeout(240)
FUNCTIONS = """
def total(now):
    return now["TT-1"].value + now["TT-2"].value

def double(now):
    return {"twice": now["SUM-1"].value * 2}

def hang(now):
    while now["TT-2"].value > 90:
        pass
    return now["TT-2"].value
"""
CRASH = """
double f(const double *in, const double *times, int n) {
    return in[0] > 90 ? *(volatile double *)8 : in[0]; }
"""


def source(name: str, driver: str, inputs: list[str], **options: Any) -> dict[str, Any]:
    return {"id": name, "edge": "e9", "driver": driver, "inputs": inputs, "options": options}


def tag(name: str, of: str, address: str = "0") -> dict[str, Any]:
    return {"id": name, "source": of, "address": address, "asset": "X-1", "stale_after": "2s",
            "name": {"zh": name, "en": name}}  # fmt: skip


def alarm(name: str, of: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "edge": "e9", "asset": "X-1", "tag": of, "priority": 3,
            "name": {"zh": name, "en": name}, **more}  # fmt: skip


def add_computed(site: Path) -> None:
    (site / "functions").mkdir()
    (site / "functions" / "calc.py").write_text(FUNCTIONS)
    compiled(site / "functions", "crash", CRASH)
    python = {"file": "functions/calc.py", "budget": "200ms", "hang_after": "500ms"}
    tags = {
        "sources": [
            source("f-sum", "python", ["TT-1", "TT-2"], function="total", **python),
            source("f-twice", "python", ["SUM-1"], function="double", **python),
            source("f-hang", "python", ["TT-2"], function="hang", **python),
            source("f-crash", "clib", ["TT-2"], library="functions/crash.so", function="f"),
        ],
        "tags": [
            tag("SUM-1", "f-sum"), tag("TWICE-1", "f-twice", "twice"), tag("HANG-1", "f-hang"),
            tag("CRASH-1", "f-crash"),
        ],
    }  # fmt: skip
    alarms = {
        "alarms": [
            alarm("X-1.SUM-1.HI", "SUM-1", side="HI", limit=190),
            alarm("X-1.TWICE-1.HI", "TWICE-1", side="HI", limit=380),
            alarm("X-1.HANG-1.BAD", "HANG-1", kind="expression", when='!tag("HANG-1").good'),
            alarm("X-1.CRASH-1.STALE", "CRASH-1", kind="stale", stale_after="2s"),
        ]
    }
    (site / "tags" / "computed.yaml").write_text(yaml.safe_dump(tags))
    (site / "alarms" / "computed.yaml").write_text(yaml.safe_dump(alarms))


@pytest.fixture
async def edge(servers: World, tmp_path: Path) -> AsyncIterator[Engine]:
    mixed = Path(__file__).parents[1] / "support" / "mixed_driver.py"
    made = Engine(tmp_path, servers.url("f9-e9"), driver_command=[sys.executable, str(mixed)])
    add_computed(made.site)
    made.start()
    try:
        await made.ready()
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.kill()


def failed(above: Brain) -> dict[str, str]:
    return {
        e.params["subject"]: e.params["detail"] for e in above.bodies(SystemEvent)
        if e.code == "driver_failed" and e.active
    }  # fmt: skip


def ended(above: Brain) -> set[str]:
    last = {
        e.params["subject"]: e.active for e in above.bodies(SystemEvent)
        if e.code == "driver_failed"
    }  # fmt: skip
    return {subject for subject, active in last.items() if not active}


def is_normal(above: Brain, alarm: str) -> bool:
    bodies = [b for b in above.bodies(AlarmTransition) if b.alarm == alarm]
    return bool(bodies) and not bodies[-1].state["active"]


async def test_computed_tags_raise_alarms_and_a_broken_one_costs_only_itself(
    above: Brain, edge: Engine
) -> None:
    await until(lambda: above.health, 10)
    names = ("f-sum", "f-twice", "f-hang", "f-crash")

    def up() -> bool:
        return all(above.health[-1].drivers.get(name) == "connected" for name in names)

    await until(up, 20, "the computed sources are not connected")
    await edge.tell("s1", samples=[["TT-1", 115]])
    total = await raised(above, "X-1.SUM-1.HI")
    assert total.value == 195.0
    twice = await raised(above, "X-1.TWICE-1.HI")  # computed from what is computed
    assert twice.value == 390.0

    await edge.tell("s2", samples=[["TT-2", 95]])
    await raised(above, "X-1.HANG-1.BAD")
    await raised(above, "X-1.CRASH-1.STALE")
    await until(lambda: {"f-hang", "f-crash"} <= set(failed(above)), 10, "no system event")
    assert "functions/calc.py:hang has not come back for 0.5 s" in failed(above)["f-hang"]
    assert "driver process: exit code -11" in failed(above)["f-crash"]
    assert {"f-sum", "f-twice"}.isdisjoint(failed(above))

    # While both end and start again and again, all else works as before.
    await edge.tell("s1", samples=[["TT-1", 130]])
    action: LocalAction = (await until(lambda: above.bodies(LocalAction)))[0]
    assert (action.alarm, action.outcome, action.readback) == (HIHI, "done", 40.0)
    assert action.latency_ms is not None
    assert action.latency_ms < 1000
    await edge.tell("s2", samples=[["TT-2", 50]])
    for name in ("X-1.HANG-1.BAD", "X-1.CRASH-1.STALE", "X-1.SUM-1.HI"):
        await until(lambda name=name: is_normal(above, name), 30, f"{name} does not return")
    await until(lambda: ended(above) >= {"f-hang", "f-crash"}, 15, "they are not said to be well")
    assert above.gapless()
