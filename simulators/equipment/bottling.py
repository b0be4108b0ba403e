"""A bottling line: speed, filler, jam sensor, rejects and the drive's heat.

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

REST_BPM = 400.0
MAX_BPM = 600.0
LEVEL_ML = 500.0
AMBIENT_C = 30.0
ACCELERATION = 40.0
CRATE = 24


@dataclass(frozen=True, slots=True)
class BottlingState:
    """What the line is at one moment (plant time `t`)."""

    t: float = 0.0
    speed: float = REST_BPM
    level: float = LEVEL_ML
    reject: float = 0.8
    motor_temp: float = AMBIENT_C + 25.0
    backlog: float = 0.0
    """Bottles piled up before the jam sensor; it sees a jam from 10 on."""
    wander: float = 0.0
    bottled: float = 0.0
    """Bottles filled since the start; a crate takes `CRATE` of them."""


@dataclass(frozen=True, slots=True)
class BottlingInputs:
    """What the line has been told to do."""

    speed_sp: float = REST_BPM
    stopped: bool = False
    beacon: bool = False


def step(
    state: BottlingState, inputs: BottlingInputs, dt: float, faults: Faults, rng: random.Random
) -> BottlingState:
    """The line `dt` seconds later."""
    wanted = 0.0 if inputs.stopped else inputs.speed_sp
    jammed = "jam" in faults
    # A jam drags the belt to a crawl while the drive goes on pushing.
    reachable = min(wanted, 0.15 * REST_BPM) if jammed and state.backlog > 10.0 else wanted
    speed = approach(state.speed, reachable, ACCELERATION, dt)
    arriving = speed / 60.0 * dt
    backlog = min(60.0, state.backlog + arriving) if jammed else max(0.0, state.backlog - 15.0 * dt)
    slow = wander(state.wander, 0.8, 20.0, dt, rng)
    short = faults["underfill"]["ml"] if "underfill" in faults else 0.0
    level = lag(state.level, LEVEL_ML - 0.04 * (speed - REST_BPM) - short + slow, 3.0, dt)
    reject_target = 0.8 + 1.2 * max(0.0, 490.0 - level) + (4.0 if backlog > 10.0 else 0.0)
    heating = 25.0 * (speed / REST_BPM) ** 2
    if "motor_overheat" in faults:
        heating += faults["motor_overheat"]["kelvin"] * (speed / REST_BPM) ** 2
    if jammed and backlog > 10.0 and wanted > speed:
        heating += 70.0
    return BottlingState(
        t=state.t + dt,
        speed=speed,
        level=level,
        reject=lag(state.reject, clamp(reject_target, 0.0, 100.0), 5.0, dt),
        motor_temp=lag(state.motor_temp, AMBIENT_C + heating, 30.0, dt),
        backlog=backlog,
        wander=slow,
        bottled=state.bottled + arriving,
    )


def observe(
    state: BottlingState, inputs: BottlingInputs, faults: Faults, rng: random.Random
) -> Readings:
    """What the line's sensors show."""
    level = state.level + rng.gauss(0.0, 0.4)
    if "spike" in faults:
        level += faults["spike"]["delta"]
    return {
        "speed": max(0.0, state.speed + (rng.gauss(0.0, 0.8) if state.speed > 1.0 else 0.0)),
        "fill_level": level,
        "jam": state.backlog >= 10.0,
        "reject_rate": clamp(state.reject + rng.gauss(0.0, 0.05), 0.0, 100.0),
        "motor_temp": state.motor_temp + rng.gauss(0.0, 0.1),
        "speed_sp": inputs.speed_sp,
        "stopped": inputs.stopped,
        "beacon": inputs.beacon,
        "crate": float(int(state.bottled) // CRATE + 1),
    }


def command(inputs: BottlingInputs, signal: str, value: Value) -> BottlingInputs:
    """Apply an actuator write."""
    if signal == "speed_sp":
        return replace(inputs, speed_sp=clamp(number(value), 0.0, MAX_BPM))
    if signal == "stopped":
        return replace(inputs, stopped=bool(number(value)))
    if signal == "beacon":
        return replace(inputs, beacon=bool(number(value)))
    raise KeyError(signal)


def switched(inputs: BottlingInputs, fault: str) -> BottlingInputs:
    """Nothing the line remembers depends on a fault going on or off."""
    del fault
    return inputs


BOTTLING = Equipment(
    name="bottling",
    asset="LIN-01",
    signals=(
        Signal("speed", "bpm", 1.0),
        Signal("fill_level", "ml", 0.1),
        Signal("jam"),
        Signal("reject_rate", "%", 0.05),
        Signal("motor_temp", "degC", 0.1),
        Signal("crate"),
        Signal("speed_sp", "bpm", writable=True, high=MAX_BPM),
        Signal("stopped", writable=True, high=1.0),
        Signal("beacon", writable=True, high=1.0),
    ),
    faults={
        "jam": FaultSpec("卡瓶：瓶子堆积，电机硬推", "bottles jam while the drive keeps pushing"),
        "underfill": FaultSpec("灌装不足", "the filler gives too little", {"ml": 25.0}),
        "motor_overheat": FaultSpec(
            "电机过热：降速可降温", "the drive overheats; a lower speed cools it", {"kelvin": 70.0}
        ),
        "spike": FaultSpec(
            "液位尖峰", "a short spike on the fill level", {"delta": 80.0, "for_s": 2.0}, "for_s"
        ),
        **COMMON_FAULTS,
    },
    state=BottlingState(),
    inputs=BottlingInputs(),
    step=step,
    observe=observe,
    command=command,
    switched=switched,
)
