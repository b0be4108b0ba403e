"""A running plant: faults with arguments and ends, write records, freezing, reset."""

from __future__ import annotations

import pytest

from shared.clock import ManualClock
from shared.errors import Rejected
from simulators.plant import EQUIPMENT, Plant
from simulators.servers.mqtt import decode_command
from simulators.writes import WriteLog


def make(name: str = "furnace", seed: int = 1) -> tuple[Plant, WriteLog]:
    log = WriteLog(ManualClock(1000))
    return Plant(EQUIPMENT[name], seed, log), log


def test_an_unknown_fault_is_refused_with_the_nearest_name() -> None:
    plant, _ = make()
    refused = plant.set_fault("burner_stick", True, {})
    assert isinstance(refused, Rejected)
    assert refused.code == "sim_fault_unknown"
    assert "burner_stuck" in refused.params["hint_en"].split("?")[0]
    refused = plant.set_fault("gas_pressure_low", True, {"kPa": 3.0})
    assert refused is not None
    assert refused.code == "sim_fault_arg_unknown"


def test_a_spike_ends_by_itself() -> None:
    plant, _ = make()
    plant.set_fault("spike", True, {"for_s": 1.0})
    plant.advance(0.5)
    assert float(plant.readings["Zone1.Temp"] or 0) > 1300
    plant.advance(1.0)
    assert float(plant.readings["Zone1.Temp"] or 0) < 1200
    assert plant.snapshot()["faults"] == {}


def test_frozen_values_stop_but_writes_still_arrive() -> None:
    plant, log = make()
    plant.set_fault("freeze", True, {})
    before = dict(plant.readings)
    plant.advance(30)
    assert plant.readings == before
    assert plant.write("Burner.OutSP", 30.0, "x")
    assert plant.readings["Burner.OutSP"] == 30.0
    assert log.last_seq == 1
    plant.set_fault("freeze", False, {})
    plant.advance(10)
    assert float(plant.readings["Burner.Output"] or 0) < 40


def test_every_write_is_recorded_and_marked() -> None:
    plant, log = make()
    assert plant.write("Burner.OutSP", 250.0, "a")
    assert plant.readings["Burner.OutSP"] == 100.0
    assert not plant.write("Burner.OutSP", "hot", "a")
    assert not plant.write("Zone1.Temp", 5.0, "b")
    assert [(w["seq"], w["accepted"], w["at"]) for w in log.since()] == [
        (1, True, 1000), (2, False, 1000), (3, False, 1000),
    ]  # fmt: skip
    assert [w["seq"] for w in log.since(2)] == [3]


def test_the_ring_is_bounded_and_counts_what_falls_out() -> None:
    log = WriteLog(ManualClock(), capacity=3)
    for n in range(5):
        log.record("furnace", "a", "s", n, accepted=True)
    assert [w["seq"] for w in log.since()] == [3, 4, 5]
    assert (log.overflowed, log.last_seq) == (2, 5)


def test_reset_heals_and_keeps_the_record() -> None:
    plant, log = make()
    healthy = plant.snapshot()
    plant.set_fault("burner_runaway", True, {})
    plant.advance(60)
    plant.write("Fan.Start", True, "x")
    plant.reset()
    assert plant.snapshot() == healthy
    assert log.last_seq == 1


def test_the_way_time_is_cut_does_not_matter() -> None:
    whole, _ = make()
    parts, _ = make()
    whole.set_fault("burner_runaway", True, {})
    parts.set_fault("burner_runaway", True, {})
    whole.advance(10)
    for _ in range(20):
        parts.advance(0.5)
    first, second = whole.snapshot()["state"], parts.snapshot()["state"]
    assert first["zone1"] == pytest.approx(second["zone1"], abs=1.0)


@pytest.mark.parametrize(
    ("body", "signal", "value"),
    [
        (b'{"id":"7","op":"set_speed","args":{"speed":300}}', "speed_sp", 300),
        (b'{"id":"7","op":"set_speed","args":{"value":300}}', "speed_sp", 300),
        (b'{"id":"7","op":"stop"}', "stopped", True),
        (b'{"id":"7","op":"start","args":{}}', "stopped", False),
        (b'{"id":"7","op":"beacon","args":{"on":false}}', "beacon", False),
        (b'{"id":"7","op":"set_speed","args":{"speed":"fast"}}', "speed_sp", None),
        (b'{"id":"7","op":"explode"}', "", None),
        (b"[1]", "", None),
        (b"\xff{", "", None),
    ],
)
def test_commands_are_decoded_and_rubbish_is_no_error(
    body: bytes, signal: str, value: object
) -> None:
    order = decode_command(body)
    assert (order.signal, order.value) == (signal, value)
