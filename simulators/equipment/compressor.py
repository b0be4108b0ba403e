"""A screw compressor station: speed, unload valve, receiver pressure, heat, oil and surge.

Stepped by `simulators.plant`; never reads a clock, opens a socket or keeps anything between calls.
"""

from __future__ import annotations

import math
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

REST_SPEED = 75.0
REST_KPA = 750.0
REST_FLOW = 30.0
AMBIENT_C = 25.0
COOLED_RISE_K = 60.0
OIL_KPA = 320.0
RECEIVER = 0.4
"""kPa a second for each m3/min that enters the receiver and does not leave it."""
SURGE_BASE_KPA = 660.0
SURGE_SLOPE = 0.181
"""Surge begins when flow < (pressure - base) * slope; it ends 5 % beyond that line."""
SAFETY_VALVE_KPA = 1000.0
JAM_RATE = 3.0
"""Amperes a second: how fast a seizing motor draws more."""


@dataclass(frozen=True, slots=True)
class CompressorState:
    """What the compressor is at one moment (plant time `t`)."""

    t: float = 0.0
    speed: float = REST_SPEED
    unload: float = 0.0
    pressure: float = REST_KPA
    flow: float = REST_FLOW
    temp: float = AMBIENT_C + COOLED_RISE_K
    vibration: float = 2.2
    oil: float = OIL_KPA
    current: float = 180.0
    jam: float = 0.0
    """What a seizing motor draws on top of its load."""
    surging: bool = False
    wander: float = 0.0


@dataclass(frozen=True, slots=True)
class CompressorInputs:
    """What has been written to the station's registers and coils."""

    speed_sp: float = REST_SPEED
    unload_sp: float = 0.0
    run: bool = True
    beacon: bool = False


def _in_surge(state: CompressorState, capacity: float, unload: float) -> bool:
    """Whether flow through the machine is too low for the pressure, with hysteresis."""
    # Blow-off opens a way for the flow, so less pressure stands against the machine.
    needed = (state.pressure - SURGE_BASE_KPA) * SURGE_SLOPE * (1.0 - 0.6 * unload / 100.0)
    return state.speed > 5.0 and capacity < needed * (1.05 if state.surging else 1.0)


def _pressure(
    state: CompressorState, flow: float, unload: float, dt: float, faults: Faults, slow: float
) -> float:
    """Receiver pressure: what comes in, less demand, blow-off and the safety valve."""
    share = faults["surge"]["demand"] if "surge" in faults else 1.0
    demand = REST_FLOW * share * (state.pressure / REST_KPA) * (1.0 + slow)
    opened = unload / 100.0
    blow_off = 15.0 * opened * state.pressure / REST_KPA
    safety = max(0.0, state.pressure - SAFETY_VALVE_KPA) * 0.4
    net = flow * (1.0 - 0.8 * opened) - demand - blow_off - safety
    return max(0.0, state.pressure + RECEIVER * net * dt)


def _vibration(state: CompressorState, oil: float, surging: bool, dt: float) -> float:
    """Vibration follows speed, surge and missing oil with a short inertia."""
    target = 2.2 * state.speed / REST_SPEED
    if surging:
        target += 11.0
    if oil < 180.0:
        target += (180.0 - oil) * 0.08 * state.speed / REST_SPEED
    return lag(state.vibration, target, 1.5, dt)


def step(
    state: CompressorState, inputs: CompressorInputs, dt: float, faults: Faults, rng: random.Random
) -> CompressorState:
    """The station `dt` seconds later."""
    speed = approach(state.speed, inputs.speed_sp if inputs.run else 0.0, 10.0, dt)
    unload = approach(state.unload, inputs.unload_sp, 25.0, dt)
    slow = wander(state.wander, 0.01, 40.0, dt, rng)
    capacity = 40.0 * speed / 100.0 * max(0.0, 1.0 - (state.pressure - REST_KPA) / 2000.0)
    surging = _in_surge(state, capacity, unload)
    # In surge the flow collapses and reverses in pulses of about half a hertz.
    pulse = 0.45 + 0.3 * math.sin(2 * math.pi * 0.45 * state.t) if surging else 1.0
    flow = capacity * pulse
    leak = faults.get("oil_leak")
    oil_target = (leak["kpa"] if leak else OIL_KPA) * min(1.0, speed / 30.0)
    oil = lag(state.oil, oil_target, 25.0 if leak else 5.0, dt)
    load = (speed / REST_SPEED) ** 2 * (1.0 - 0.5 * unload / 100.0)
    cooling = faults["cooling_loss"]["cooling"] if "cooling_loss" in faults else 1.0
    hot = AMBIENT_C + COOLED_RISE_K * load / max(0.05, cooling)
    seizing = faults["motor_overload"]["rise"] if "motor_overload" in faults else 0.0
    return CompressorState(
        t=state.t + dt,
        speed=speed,
        unload=unload,
        pressure=_pressure(state, flow, unload, dt, faults, slow),
        flow=flow,
        temp=lag(state.temp, hot, 60.0, dt),
        vibration=_vibration(state, oil, surging, dt),
        oil=oil,
        current=lag(state.current, 180.0 * load * (0.85 if surging else 1.0), 2.0, dt),
        jam=approach(state.jam, seizing, JAM_RATE, dt),
        surging=surging,
        wander=slow,
    )


def observe(
    state: CompressorState, inputs: CompressorInputs, faults: Faults, rng: random.Random
) -> Readings:
    """What the instruments show."""
    vibration = max(0.0, state.vibration + rng.gauss(0.0, 0.05))
    if "spike" in faults:
        vibration += faults["spike"]["delta"]
    drawn = state.current + state.jam
    if (pulses := faults.get("current_pulses")) and state.t % pulses["every_s"] < pulses["for_s"]:
        drawn += pulses["delta"]
    return {
        "Discharge.Pressure": max(0.0, state.pressure + rng.gauss(0.0, 0.6)),
        "Discharge.Temp": state.temp + rng.gauss(0.0, 0.1),
        "Motor.Current": max(0.0, drawn + rng.gauss(0.0, 0.4)),
        "Vibration": vibration,
        "Flow": max(0.0, state.flow + rng.gauss(0.0, 0.1)),
        "Oil.Pressure": max(0.0, state.oil + rng.gauss(0.0, 0.8)),
        "Running": state.speed > 2.0,
        "Surge": state.surging,
        "Speed.SP": inputs.speed_sp,
        "Unload.SP": inputs.unload_sp,
        "Run": inputs.run,
        "Beacon": inputs.beacon,
    }


def command(inputs: CompressorInputs, signal: str, value: Value) -> CompressorInputs:
    """Apply an actuator write."""
    if signal == "Speed.SP":
        return replace(inputs, speed_sp=clamp(number(value), 0.0, 100.0))
    if signal == "Unload.SP":
        return replace(inputs, unload_sp=clamp(number(value), 0.0, 100.0))
    if signal == "Run":
        return replace(inputs, run=bool(number(value)))
    if signal == "Beacon":
        return replace(inputs, beacon=bool(number(value)))
    raise KeyError(signal)


def switched(inputs: CompressorInputs, fault: str) -> CompressorInputs:
    """Nothing the station remembers depends on a fault going on or off."""
    del fault
    return inputs


COMPRESSOR = Equipment(
    name="compressor",
    asset="CMP-01",
    signals=(
        Signal("Discharge.Pressure", "kPa", 0.1),
        Signal("Discharge.Temp", "degC", 0.1),
        Signal("Motor.Current", "A", 0.1),
        Signal("Vibration", "mm/s", 0.01),
        Signal("Flow", "m3/min", 0.1),
        Signal("Oil.Pressure", "kPa", 1.0),
        Signal("Running"),
        Signal("Surge"),
        Signal("Speed.SP", "%", writable=True),
        Signal("Unload.SP", "%", writable=True),
        Signal("Run", writable=True, high=1.0),
        Signal("Beacon", writable=True, high=1.0),
    ),
    faults={
        "surge": FaultSpec(
            "下游关阀引发喘振：打开卸荷阀可解除",
            "demand collapses and the machine surges; opening the unload valve relieves it",
            {"demand": 0.25},
        ),
        "cooling_loss": FaultSpec(
            "冷却丧失：排气温度缓升",
            "cooling is lost and the temperature climbs",
            {"cooling": 0.35},
        ),
        "oil_leak": FaultSpec(
            "润滑油泄漏：油压下降、振动上升",
            "oil leaks: pressure falls, vibration climbs",
            {"kpa": 70.0},
        ),
        "motor_overload": FaultSpec(
            "电机过载：电流爬升并保持",
            "the motor seizes: its current climbs and stays there",
            {"rise": 10.0},
        ),
        "current_pulses": FaultSpec(
            "用气设备脉动：电机电流每隔几秒短时冲高",
            "a pulsing consumer: the motor current jumps for a moment every few seconds",
            {"delta": 12.0, "for_s": 1.0, "every_s": 2.5},
        ),
        "spike": FaultSpec(
            "振动尖峰", "a short spike on the vibration", {"delta": 10.0, "for_s": 2.0}, "for_s"
        ),
        **COMMON_FAULTS,
    },
    state=CompressorState(),
    inputs=CompressorInputs(),
    step=step,
    observe=observe,
    command=command,
    switched=switched,
)
