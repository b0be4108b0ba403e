"""Draws the fences that order commands to devices: one commit for all that are asked for together.

Called by `run_store.py`. A fence is drawn once and never given twice, whoever asks.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncpg

_DRAW = (
    "INSERT INTO device_fence (device, epoch, fence) SELECT device, epoch, least + number FROM "
    "unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS w(device, epoch, least, number) "
    "ORDER BY device ON CONFLICT (device) DO UPDATE SET epoch = excluded.epoch, "
    "fence = greatest(device_fence.fence, excluded.fence - $5) + $5 RETURNING device, fence"
)


@dataclass(slots=True)
class _Wish:
    device: str
    epoch: str
    least: int
    given: asyncio.Future[int]


class RunFences:
    """The fences of one process."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._wishes: list[_Wish] = []
        self._task: asyncio.Task[None] | None = None

    async def next(self, device: str, epoch: str, least: int) -> int:
        """The next fence of a device, above `least`."""
        wish = _Wish(device, epoch, least, asyncio.get_running_loop().create_future())
        self._wishes.append(wish)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain(), name="run-fences")
        return await wish.given

    async def _drain(self) -> None:
        while self._wishes:
            wishes, self._wishes = self._wishes, []
            try:
                await self._draw(wishes)
            except Exception as error:
                for wish in wishes:
                    if not wish.given.done():
                        wish.given.set_exception(error)

    async def _draw(self, wishes: list[_Wish]) -> None:
        by_device: dict[str, list[_Wish]] = {}
        for wish in wishes:
            by_device.setdefault(wish.device, []).append(wish)
        names, step = sorted(by_device), len(wishes)
        rows = await self._pool.fetch(
            _DRAW, names, [by_device[name][-1].epoch for name in names],
            [max(wish.least for wish in by_device[name]) for name in names],
            [step] * len(names), step,
        )  # fmt: skip
        for row in rows:  # the newest `step` numbers are this call's alone
            for place, wish in enumerate(by_device[row["device"]], start=1):
                if not wish.given.done():
                    wish.given.set_result(row["fence"] - step + place)
