"""What early warning computes, in a thread: numpy itself is loaded there, with the first use.

Called by the sending, the commissioning, the judging and the taking of models. Loading numpy takes
long enough to hold up alarms; on the event loop it is never imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from factory_brain.application.warning.ports import Minutes, Norm

if TYPE_CHECKING:
    from factory_brain.application.warning.vectors import Said


async def vectors(norm: Norm, minutes: Minutes, wanted: Iterable[int]) -> dict[int, bytes]:
    """Window end -> float32 bytes, of the wanted windows that have a past and samples enough."""

    def made() -> dict[int, bytes]:
        from factory_brain.application.warning import vectors

        return vectors.vectors(norm, minutes, wanted)

    return await asyncio.to_thread(made)


async def spreads(
    minutes: list[Minutes], quiet: list[list[int]]
) -> tuple[list[float], list[float]] | None:  # fmt: skip
    """Mean and sigma of each tag over the quiet windows; None where a day has too few samples."""

    def made() -> tuple[list[float], list[float]] | None:
        from factory_brain.application.warning import vectors

        return vectors.spreads(minutes, quiet)

    return await asyncio.to_thread(made)


async def usable(model: dict[str, Any]) -> bool:
    """Whether a model's coefficients fit what this tier computes."""

    def made() -> bool:
        from factory_brain.application.warning import vectors

        return vectors.usable(model)

    return await asyncio.to_thread(made)


async def judge(model: dict[str, Any], vector: bytes) -> Said:
    """What a model that was found usable says of a window."""

    def made() -> Said:
        from factory_brain.application.warning import vectors

        return vectors.judge(model, vector)

    return await asyncio.to_thread(made)
