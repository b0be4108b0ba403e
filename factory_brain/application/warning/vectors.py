"""Windows of a plant from its minutes: the same vectors as the back-test makes, and a judgement.

Called by `off_loop.py` in a thread, which is where numpy is loaded; plain data goes in and comes
out. It reads no store and raises no alarm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from factory_brain.application.warning.ports import Minutes, Norm
from factory_brain.domain.warning import COMMISSIONING_WINDOWS
from shared.alarm.warning_model import CLIP, WarningModel
from shared.alarm.warning_schema import WINDOW_MIN, WINDOW_MS
from shared.alarm.warning_windows import Windows

BAD_SHARE = 0.2
"""Of a window's minutes and tags without a good value: more, and nothing is said of it."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says of a window."""

    confidence: float
    threshold: float
    hit: bool
    tags: tuple[str, ...]
    outside: int


def _matrix(minutes: Minutes) -> npt.NDArray[np.float64]:
    return np.array([np.frombuffer(each, float) for each in minutes.columns]).T


def vectors(norm: Norm, minutes: Minutes, wanted: Iterable[int]) -> dict[int, bytes]:
    """Window end -> float32 bytes, of the wanted windows that have a past and samples enough."""
    ends = set(wanted)
    signal = (_matrix(minutes) - np.array(norm.mean)) / np.array(norm.sigma)
    windows, found = Windows(norm.tags), dict[int, bytes]()
    for first in range(0, minutes.count - WINDOW_MIN + 1, WINDOW_MIN):
        part = signal[first : first + WINDOW_MIN]
        end = minutes.since + first * 60_000 + WINDOW_MS
        bad = float(np.isnan(part).mean())
        vector = windows.push(part)
        if end in ends and vector is not None and bad <= BAD_SHARE:
            found[end] = vector.astype("<f4").tobytes()
    return found


def spreads(
    minutes: list[Minutes], quiet: list[list[int]]
) -> tuple[list[float], list[float]] | None:  # fmt: skip
    """Mean and sigma of each tag over the quiet windows; None where a day has too few samples."""
    parts: list[npt.NDArray[np.float64]] = []
    for each, ends in zip(minutes, quiet, strict=True):
        signal = _matrix(each)
        for end in ends:
            last = (end - each.since) // 60_000
            part = signal[last - WINDOW_MIN : last]
            if np.isnan(part).mean() <= BAD_SHARE:
                parts.append(part)
    if len(parts) < COMMISSIONING_WINDOWS * len(minutes):
        return None
    seen = np.concatenate(parts)
    if np.isnan(seen).all(axis=0).any():
        return None
    mean, sigma = np.nanmean(seen, axis=0), np.nanstd(seen, axis=0)
    # A tag that never moved: a thousandth of its value is already news.
    sigma = np.where(sigma > 0, sigma, np.maximum(np.abs(mean) * 1e-3, 1e-9))
    return mean.tolist(), sigma.tolist()


def usable(data: dict[str, Any]) -> bool:
    """Whether a model's coefficients fit what this tier computes: it is tried once."""
    try:
        model = WarningModel.from_dict(data)
        said = model.judge(np.zeros(4 * len(model.tags)))
    except (ValueError, TypeError, KeyError):
        return False
    return bool(np.isfinite(said.confidence) and np.isfinite(said.logit))


def judge(data: dict[str, Any], vector: bytes) -> Said:
    """What a model that was found usable says of a window."""
    model = WarningModel.from_dict(data)
    numbers = np.frombuffer(vector, "<f4").astype(float)
    said = model.judge(numbers)
    relation, deviation = model.relations[0], numbers[: len(model.tags)]
    beyond = np.abs(deviation - relation.mean) / relation.sigma > CLIP
    return Said(
        said.confidence, model.confidence(model.threshold), said.warns, said.tags,
        int(beyond.sum()),
    )  # fmt: skip
