"""Long questions in turn: a few run, a few wait for a moment, further ones are refused at once.

Taken by the routes that read much; whoever asks holds up no alarm, only others who ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class QuestionsBusyError(Exception):
    """Others are asking: try again later."""


class QuestionTooLongError(Exception):
    """It took more time than a question has."""


class Turns:
    """Who may ask now."""

    def __init__(
        self, cut: tuple[type[Exception], ...] = (), *, most: int = 2, waiting: int = 4,
        wait_s: float = 5.0, run_s: float = 20.0,
    ) -> None:  # fmt: skip
        """`cut`: what the store raises when it ends a statement that ran too long."""
        self._cut, self._may_wait = (TimeoutError, *cut), waiting
        self._wait_s, self._run_s = wait_s, run_s
        self._turn = asyncio.Semaphore(most)
        self._waiting = 0
        self.refused = 0
        """Questions that found no turn."""

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A turn; raises QuestionsBusyError, QuestionTooLongError."""
        await self._begin()
        try:
            async with asyncio.timeout(self._run_s):
                yield
        except self._cut as error:
            raise QuestionTooLongError from error
        finally:
            self._turn.release()

    async def _begin(self) -> None:
        if self._turn.locked() and self._waiting >= self._may_wait:
            self.refused += 1
            raise QuestionsBusyError
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._turn.acquire()
        except TimeoutError as error:
            self.refused += 1
            raise QuestionsBusyError from error
        finally:
            self._waiting -= 1
