"""A gas-fired reheating furnace: burner, two zones, gas supply, fan, door and a hard safety trip.

Stepped by `simulators.plant`; never reads a clock, opens a socket or keeps anything between calls.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from simulators.equipment.model import (
    COMMON_FAULTS,
    Equipment,
    Faults,
    FaultSpec,
    Readings,
    Signal,
    Value,
    approach,
    clamp,
    lag,
    number,
    wander,
)

AMBIENT_C = 25.0
TARGET_C = 1180.0
REST_OUTPUT = 62.0
"""Burner output that holds `TARGET_C` with the door shut and the fan off."""
GAIN = (TARGET_C - AMBIENT_C) / REST_OUTPUT
TAU_S = 150.0
BURNER_RATE = 8.0
"""Per cent a second: how fast the burner follows its set point."""
HEAT_TAU_S = 4.0
GAS_KPA = 18.0
ESD_TRIP_C = 1350.0
"""The hard-wired trip cuts the gas here, whatever any software says; it latches until reset."""
FAN_LOSS = 0.30
DOOR_LOSS = 0.80
PROPORTIONAL = 0.5
INTEGRAL_S = 60.0


@dataclass(frozen=True, slots=True)
class FurnaceState:
    """What the furnace is at one moment (plant time `t`)."""

    t: float = 0.0
    zone1: float = TARGET_C
    zone2: float = TARGET_C - 30.0
    heat: float = REST_OUTPUT
    output: float = REST_OUTPUT
    demand: float = REST_OUTPUT
    integral: float = REST_OUTPUT
    gas_kpa: float = GAS_KPA
    fan: float = 0.0
    drift: float = 0.0
    wander: float = 0.0
    esd: bool = False


@dataclass(frozen=True, slots=True)
class FurnaceInputs:
    """What has been written; `out_sp` None leaves the burner to the furnace's own controller."""

    out_sp: float | None = None
    fan_start: bool = False
    beacon: bool = False


def _outer_loop(
    state: FurnaceState, inputs: FurnaceInputs, dt: float, faults: Faults
) -> tuple[float, float]:
    """Demand and integral of the zone controller, tracking the output while in MANUAL."""
    if inputs.out_sp is not None:
        return inputs.out_sp, inputs.out_sp
    if "burner_runaway" in faults:
        return faults["burner_runaway"]["demand"], state.integral
    if "thermocouple_open" in faults:
        return state.demand, state.integral
    error = TARGET_C - (state.zone1 + state.drift)
    integral = clamp(state.integral + PROPORTIONAL * error * dt / INTEGRAL_S, 0.0, 100.0)
    return clamp(integral + PROPORTIONAL * error, 0.0, 100.0), integral


def _burner(state: FurnaceState, demand: float, esd: bool, dt: float, faults: Faults) -> float:
    """Actual output: follows the demand at a limited rate unless stuck; the trip beats both."""
    if esd:
        return approach(state.output, 0.0, 5 * BURNER_RATE, dt)
    target = faults["burner_stuck"]["output"] if "burner_stuck" in faults else demand
    return approach(state.output, target, BURNER_RATE, dt)


def step(
    state: FurnaceState, inputs: FurnaceInputs, dt: float, faults: Faults, rng: random.Random
) -> FurnaceState:
    """The furnace `dt` seconds later."""
    demand, integral = _outer_loop(state, inputs, dt, faults)
    esd = state.esd or state.zone1 > ESD_TRIP_C
    output = _burner(state, demand, esd, dt, faults)
    low_gas = faults.get("gas_pressure_low")
    gas_kpa = lag(state.gas_kpa, low_gas["kpa"] if low_gas else GAS_KPA, 3.0, dt)
    firing = output * clamp(gas_kpa / GAS_KPA, 0.0, 1.1) ** 0.5
    heat = lag(state.heat, firing, HEAT_TAU_S, dt)
    fan = approach(state.fan, float(inputs.fan_start), 0.25, dt)
    loss = 1.0 + FAN_LOSS * fan + (DOOR_LOSS if "door_open" in faults else 0.0)
    slow = wander(state.wander, 0.25, 30.0, dt, rng)
    zone1 = lag(state.zone1, AMBIENT_C + GAIN * (heat + slow) / loss, TAU_S / loss, dt)
    # Zone 2 has its own share of the gas and is pulled along by its neighbour.
    own = AMBIENT_C + (GAIN * heat - 30.0) / (1.0 + FAN_LOSS * fan)
    zone2 = lag(state.zone2, 0.7 * own + 0.3 * (zone1 - 30.0), 1.4 * TAU_S, dt)
    drifting = faults.get("thermocouple_drift")
    drift = state.drift + drifting["rate"] * dt if drifting else lag(state.drift, 0.0, 2.0, dt)
    return FurnaceState(
        t=state.t + dt, zone1=zone1, zone2=zone2, heat=heat, output=output, demand=demand,
        integral=integral, gas_kpa=gas_kpa, fan=fan, drift=drift, wander=slow, esd=esd,
    )  # fmt: skip


def observe(
    state: FurnaceState, inputs: FurnaceInputs, faults: Faults, rng: random.Random
) -> Readings:
    """What the instruments show, with their noise and faults."""
    sigma = 0.3 + (faults["noise"]["sigma"] if "noise" in faults else 0.0)
    zone1 = state.zone1 + state.drift + rng.gauss(0.0, sigma)
    if "spike" in faults:
        zone1 += faults["spike"]["delta"]
    return {
        "Zone1.Temp": None if "thermocouple_open" in faults else zone1,
        "Zone2.Temp": state.zone2 + rng.gauss(0.0, sigma),
        "Burner.Output": state.output,
        "Burner.OutSP": state.demand if inputs.out_sp is None else inputs.out_sp,
        "Burner.Mode": "AUTO" if inputs.out_sp is None else "MANUAL",
        "Gas.Flow": 4.2 * state.output * clamp(state.gas_kpa / GAS_KPA, 0.0, 1.1) ** 0.5,
        "Gas.Pressure": state.gas_kpa + rng.gauss(0.0, 0.03),
        "Fan.Running": state.fan > 0.5,
        "Fan.Start": inputs.fan_start,
        "Door.Open": "door_open" in faults,
        "ESD.Active": state.esd,
        "Beacon.On": inputs.beacon,
        "Heartbeat": int(state.t),
    }


def command(inputs: FurnaceInputs, signal: str, value: Value) -> FurnaceInputs:
    """Apply an actuator write; a write of the set point takes the burner to MANUAL."""
    if signal == "Burner.OutSP":
        return replace(inputs, out_sp=clamp(number(value), 0.0, 100.0))
    if signal == "Fan.Start":
        return replace(inputs, fan_start=bool(number(value)))
    if signal == "Beacon.On":
        return replace(inputs, beacon=bool(number(value)))
    raise KeyError(signal)


def switched(inputs: FurnaceInputs, fault: str) -> FurnaceInputs:
    """A runaway that begins or is mended puts the burner back to AUTO, so demos can be repeated."""
    return replace(inputs, out_sp=None) if fault == "burner_runaway" else inputs


FURNACE = Equipment(
    name="furnace",
    asset="FUR-01",
    signals=(
        Signal("Zone1.Temp", "degC", 0.1),
        Signal("Zone2.Temp", "degC", 0.1),
        Signal("Burner.Output", "%", 0.2),
        Signal("Burner.OutSP", "%", 0.2, writable=True),
        Signal("Burner.Mode"),
        Signal("Gas.Flow", "m3/h", 1.0),
        Signal("Gas.Pressure", "kPa", 0.1),
        Signal("Fan.Running"),
        Signal("Fan.Start", writable=True, high=1.0),
        Signal("Door.Open"),
        Signal("ESD.Active"),
        Signal("Beacon.On", writable=True, high=1.0),
        Signal("Heartbeat"),
    ),
    faults={
        "burner_runaway": FaultSpec(
            "燃烧控制外环失控：需求冲到 100 %，写入设定值即可压回",
            "the zone controller demands full fire; a written set point wins over it",
            {"demand": 100.0},
        ),
        "burner_stuck": FaultSpec(
            "燃烧器卡在高位：实际输出不跟随设定值",
            "the actual output sticks and does not follow the set point",
            {"output": 100.0},
        ),
        "thermocouple_drift": FaultSpec(
            "热电偶漂移", "the zone 1 thermocouple drifts", {"rate": 0.5}
        ),
        "thermocouple_open": FaultSpec(
            "热电偶断线：1 区温度质量为坏", "the zone 1 thermocouple is broken: bad quality"
        ),
        "gas_pressure_low": FaultSpec("燃气压力低", "the gas pressure is low", {"kpa": 4.0}),
        "door_open": FaultSpec("炉门开启", "the door stands open"),
        "noise": FaultSpec("测量噪声增大", "noisy measurements", {"sigma": 8.0}),
        "spike": FaultSpec(
            "1 区温度尖峰", "a short spike on zone 1", {"delta": 150.0, "for_s": 2.0}, "for_s"
        ),
        **COMMON_FAULTS,
    },
    state=FurnaceState(),
    inputs=FurnaceInputs(),
    step=step,
    observe=observe,
    command=command,
    switched=switched,
)
