"""The vocabulary of a simulated plant: signals, faults and the pure functions that move it.

Used by the equipment modules and by `simulators.plant`; never keeps state or time itself.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Value: TypeAlias = float | int | bool | str
Readings: TypeAlias = dict[str, Value | None]
"""What the sensors show now; `None` is a sensor that knows it is broken (bad quality)."""
Faults: TypeAlias = Mapping[str, Mapping[str, float]]
"""The faults that are on, each with its arguments filled in."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One value a plant shows, and whether it may be written."""

    name: str
    unit: str = ""
    resolution: float = 0.0
    """A change of at most this much is not published again (it keeps an idle plant quiet)."""
    writable: bool = False
    low: float = 0.0
    high: float = 100.0


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """A fault that can be switched on: what it does and its arguments with defaults."""

    zh: str
    en: str
    args: Mapping[str, float] = field(default_factory=dict)
    lasts_arg: str = ""
    """Name of the argument (seconds) after which the fault switches itself off, if any."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """One kind of plant: its signals, faults and pure functions.

    `step(state, inputs, dt, faults, rng) -> state` moves it, `observe(state, inputs, faults, rng)`
    reads its sensors, `command(inputs, signal, value) -> inputs` applies an actuator write and
    `switched(inputs, fault) -> inputs` is told when a fault goes on or off.
    """

    name: str
    asset: str
    signals: tuple[Signal, ...]
    faults: Mapping[str, FaultSpec]
    state: Any
    inputs: Any
    step: Callable[[Any, Any, float, Faults, random.Random], Any]
    observe: Callable[[Any, Any, Faults, random.Random], Readings]
    command: Callable[[Any, str, Value], Any]
    switched: Callable[[Any, str], Any]

    def signal(self, name: str) -> Signal:
        """The signal called `name`; KeyError when there is none."""
        for signal in self.signals:
            if signal.name == name:
                return signal
        raise KeyError(name)


COMMON_FAULTS: Mapping[str, FaultSpec] = {
    "freeze": FaultSpec(
        "数值冻结：设备在线但不再更新", "values stop while the device stays online"
    ),
    "offline": FaultSpec(
        "设备离线：停止应答（silent=1 为无遗言的静默断线）",
        "the device stops answering (silent=1: an MQTT loss without a last will)",
        {"silent": 0.0},
    ),
    "refuse_writes": FaultSpec(
        "设备拒绝写入（只读、被闭锁）", "the device refuses every write (read-only, locked out)"
    ),
    "ignore_writes": FaultSpec(
        "设备不接受写入，也迟迟不应答",
        "writes are not taken, and answered too late",
        {"seconds": 4.0},
    ),
    "lose_answers": FaultSpec(
        "写入已生效，但应答丢失（过迟）",
        "writes take effect, and their answers come too late",
        {"seconds": 4.0},
    ),
}
"""Faults every plant has; they act on its wires, not on its physics."""


def approach(now: float, target: float, rate: float, dt: float) -> float:
    """Move `now` towards `target` by at most `rate` per second."""
    return now + max(-rate * dt, min(rate * dt, target - now))


def lag(now: float, target: float, tau: float, dt: float) -> float:
    """First-order lag with time constant `tau`, exact for any `dt`."""
    return target + (now - target) * math.exp(-dt / tau)


def wander(now: float, sigma: float, tau: float, dt: float, rng: random.Random) -> float:
    """A slow random walk that returns to zero, with standard deviation `sigma`."""
    keep = math.exp(-dt / tau)
    return now * keep + rng.gauss(0.0, sigma) * math.sqrt(1.0 - keep * keep)


def clamp(value: float, low: float, high: float) -> float:
    """`value` limited to [low, high]."""
    return max(low, min(high, value))


def number(value: Value) -> float:
    """A command's value as a number; raises ValueError for text or a non-finite number."""
    if isinstance(value, str):
        raise ValueError(f"{value!r} is not a number")
    result = float(value)
    if not math.isfinite(result):
        raise ValueError(f"{value!r} is not finite")
    return result
