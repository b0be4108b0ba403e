"""One alarm's journey through the running system, and the same with the plug pulled.

The tests run in this order on one system, as a shift would live it; each leaves it calm.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from typer.testing import CliRunner

from simulators.drill_cli import LOOP
from simulators.drill_cli import app as drills
from tests.support.running import RunningSystem, until

HIHI = "FUR-01.TT-101.HIHI"
BURNER = "ns=2;s=FUR01.Burner.OutSP"


@pytest.fixture(autouse=True)
def _calm(running_system: RunningSystem) -> Any:
    running_system.reset_plants()
    yield
    running_system.reset_plants()


def burner_writes(system: RunningSystem) -> list[dict[str, Any]]:
    return [w for w in system.writes("furnace") if w["address"] == BURNER]


def acknowledged(system: RunningSystem, site: str, alarm: str) -> None:
    """Acknowledge whatever is shown of an alarm and wait until it has left the list."""
    row = system.alarm(site, alarm)
    if row and not row["acked"]:
        system.acknowledge(site, alarm)
    system.wait_alarm(site, alarm, None, 90)


def run_of(system: RunningSystem, occurrence: str) -> dict[str, Any]:
    """The playbook run that answers one occurrence."""

    def found() -> dict[str, Any] | None:
        runs = system.get("f1", "/api/runs?limit=50")["runs"]
        return next((r for r in runs if r["occurrence"] == occurrence), None)

    return until(found, 30, f"a run for {occurrence}")


def run_detail(system: RunningSystem, run: str) -> dict[str, Any]:
    return system.get("f1", f"/api/runs/{run}")


def answer(system: RunningSystem, run: str, option: str) -> None:
    """Answer the run's human task once it asks."""
    asking = until(lambda: run_detail(system, run)["ask"], 60, "the run asks")
    body = {"path": asking["path"], "option": option, "comment": "acceptance"}
    result = system.post("f1", f"/api/runs/{run}/answers", body)
    assert result.json()["accepted"], result.text


def ended(system: RunningSystem, run: str, seconds: float = 120) -> dict[str, Any]:
    def done() -> dict[str, Any] | None:
        found = run_detail(system, run)
        return found if found["status"] not in ("running", "waiting") else None

    return until(done, seconds, f"run {run} ends")


def positions(system: RunningSystem, source: str) -> list[dict[str, Any]]:
    rows = system.get("f1", "/api/watermarks")["watermarks"]
    return [row for row in rows if row["source"] == source and row["lane"] != "history"]


def assert_exactly_once(system: RunningSystem, source: str) -> int:
    """Every position up to each watermark is stored exactly once; returns how many events."""
    rows = positions(system, source)
    assert rows
    for row in rows:
        assert row["events"] == row["seq"], row
        assert row["quarantined"] == 0, row
    found = system.get("f1", "/api/watermarks")
    assert not [g for g in found["gaps"] if g["source"] == source]
    return sum(row["seq"] for row in rows)


def conserved(system: RunningSystem, edge: str) -> bool:
    """produced = delivered + buffered + dropped + quarantined in every lane; nothing buffered."""
    edges = system.get("f1", "/api/fleet")["edges"]
    found = next(e for e in edges if e["edge"] == edge)
    for lane, c in found["lanes"].items():
        total = c["delivered"] + c["buffered"] + c["dropped"] + c["quarantined"]
        assert c["produced"] == total, (lane, c)
    return bool(found["lanes"]) and all(
        c["buffered"] == 0 for lane, c in found["lanes"].items() if lane != "history"
    )


def test_all_edges_are_online_and_quiet(running_system: RunningSystem) -> None:
    for site, edges in (("f1", {"e1", "e2"}), ("f2", {"e3"})):

        def ready(site: str = site, edges: set[str] = edges) -> bool:
            found = running_system.get(site, "/api/fleet")["edges"]
            drivers = [state for e in found for state in e["drivers"].values()]
            return (
                {e["edge"] for e in found if e["online"]} == edges
                and drivers != []
                and all(state.startswith("connected") for state in drivers)
            )

        until(ready, 60, f"edges of {site} online with connected drivers")
    until(
        lambda: running_system.get("f1", "/api/alarms")["banner"]["cloud_online"], 30, "group link"
    )


def test_overheat_from_sample_to_closed_run(
    running_system: RunningSystem,
) -> None:
    system = running_system
    before = len(burner_writes(system))
    with system.client("f1").stream("GET", "/api/stream", timeout=120) as stream:
        lines = stream.iter_lines()  # kept: an abandoned iterator closes the stream
        assert next(lines) == "event: resync"
        system.fault("furnace", "burner_runaway")
        row = system.wait_alarm("f1", HIHI, "unacknowledged", 90)
        system.fault("furnace", "burner_runaway", on=False)
    assert row["priority"] == 1
    assert row["value"] > 1280

    # The edge acted by itself: exactly one write of the reflex reached the device.
    until(lambda: system.alarm("f1", HIHI)["local_action"], 10, "the reflex is reported")
    reflex = burner_writes(system)[before:][0]
    assert reflex["value"] == 40

    # Acknowledged as a fact, recorded by the edge too.
    assert system.acknowledge("f1", HIHI)["accepted"]
    until(
        lambda: (r := system.alarm("f1", HIHI)) is None or (r["acked"] and not r["ack_pending"]),
        15, "the edge has the acknowledgement",
    )  # fmt: skip

    # The playbook: notification, signed webhook, command with read-back, a person's approval.
    run = run_of(system, row["occurrence"])["id"]
    answer(system, run, "vent")
    done = ended(system, run)
    assert done["status"] == "success", done
    verbs = {step["verb"]: step["status"] for step in done["steps"]}
    assert verbs["notify"] == verbs["command"] == "done", done["steps"]
    until(lambda: run in [w["body"]["data"].get("run") for w in system.webhooks()], 20, "a webhook")
    fan = [w for w in system.writes("furnace") if "Fan.Start" in w["address"]]
    assert [w["value"] for w in fan][-1:] == [True]

    # Twice commanded by nobody: the reflex once, the playbook's own hold once.
    assert len(burner_writes(system)) - before == 2

    system.wait_alarm("f1", HIHI, None, 90)
    until(lambda: conserved(system, "e1"), 20, "everything delivered")
    assert_exactly_once(system, "f1.e1")

    def group_knows() -> bool:
        factories = system.get("cloud", "/api/factories")["factories"]
        f1 = next(f for f in factories if f["site"] == "f1")
        return f1["online"] and f1["events"] >= 2

    until(group_knows, 20, "the group has the factory's events")


def test_reflex_acts_and_nothing_is_lost_with_the_brain_and_its_broker_down(
    running_system: RunningSystem,
) -> None:
    system = running_system
    acknowledged(system, "f1", HIHI)
    stored = assert_exactly_once(system, "f1.e1")
    before = len(burner_writes(system))
    system.hold("brain-f1")
    system.hold("nats-f1")
    try:
        system.fault("furnace", "burner_runaway")
        until(lambda: len(burner_writes(system)) > before, 90, "the reflex acts alone")
        assert burner_writes(system)[before]["value"] == 40
        # The plug is pulled at the edge too, under load: killed and back with its own journal.
        system.kill("edge-f1-e1")
        time.sleep(5)
    finally:
        system.release("nats-f1")
        system.release("brain-f1")
    system.forget_logins()
    # Still standing (the runaway is on): it sounds now and starts its playbook, however late.
    row = system.wait_alarm("f1", HIHI, "unacknowledged", 120)
    run = run_of(system, row["occurrence"])["id"]
    system.fault("furnace", "burner_runaway", on=False)
    assert system.acknowledge("f1", HIHI)["accepted"]
    answer(system, run, "keep-holding")
    ended(system, run, 180)
    system.wait_alarm("f1", HIHI, None, 120)
    until(lambda: conserved(system, "e1"), 60, "everything delivered")
    assert assert_exactly_once(system, "f1.e1") > stored
    # The killed edge did not repeat its reflex for the same occurrence: one write by the reflex,
    # one by the playbook.
    assert len(burner_writes(system)) - before == 2


def test_the_horn_is_handed_down_and_back(running_system: RunningSystem) -> None:
    system = running_system

    def who() -> str:
        return system.get("f1", "/api/annunciation")["e1"]

    until(lambda: who() == "edge", 20, "nobody watches: the edge annunciates")
    with system.client("f1").stream("GET", "/api/stream", timeout=60) as stream:
        lines = stream.iter_lines()  # kept: an abandoned iterator closes the stream
        assert next(lines) == "event: resync"
        until(lambda: who() == "brain", 20, "an attended console takes the horn")
    until(lambda: who() == "edge", 20, "the horn goes back to the edge")


@pytest.mark.timeout(300)  # a minute and a half on a calm machine
def test_the_group_learns_rolls_out_and_takes_a_bad_change_back(
    running_system: RunningSystem,
) -> None:
    """The very drill that anybody can run: `andon drill learning-loop`."""
    up = running_system.state / "run" / "up.json"
    words = [LOOP, "--json", "--window", "10", "--up-file", str(up)]
    answer = CliRunner().invoke(drills, words)
    told = json.loads(answer.stdout)
    assert answer.exit_code == 0, (told.get("error"), told.get("lines"))
    assert (told["passed"], told["points"], told["simulated"]) == (True, told["of"], True)
    found = told["figures"]
    assert found["before_per_min"] >= 10 > 1 >= found["after_per_min"]
    assert found["labelled"]["nuisance"] >= 3
    assert found["engineer"] != found["proposed"]
    assert list(found["stages_s"])[-1] == "done"
    assert {"dry_run", "shadow", "canary_line"} <= set(found["stages_s"])
    assert found["fault_after_s"] < 15
    assert found["rollback_code"] == "fault_missed"
    assert found["rollback_why"]["zh"]
    # Whatever was tried, the engineer's setting is in force again, at the group and at the edge.
    audited = running_system.get("cloud", "/api/rollouts")["rollouts"]
    assert [each["state"] for each in audited[:3]] == ["done", "rolled_back", "done"]
    detail = running_system.get("f1", f"/api/alarms/{told['alarm']}")
    assert (detail["limit"], detail["on_delay_s"]) == (
        found["engineer"]["limit"], found["engineer"]["on_delay_s"],
    )  # fmt: skip


def test_compressor_and_bottling_line_act_by_themselves(running_system: RunningSystem) -> None:
    system = running_system
    system.fault("compressor", "surge")
    system.wait_alarm("f1", "CMP-01.PT-201.HIHI", "unacknowledged", 90)
    until(lambda: system.writes("compressor"), 15, "the edge opens the unload valve")
    system.fault("compressor", "surge", on=False)
    system.fault("bottling", "jam")
    system.wait_alarm("f2", "LIN-01.JAM", "unacknowledged", 60)
    until(
        lambda: [w for w in system.writes("bottling") if w["address"] == "stop"],
        15, "the edge stops the line",
    )  # fmt: skip
    system.fault("bottling", "jam", on=False)
