"""Questions about units: exact page by page, and only a few at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_brain.application.units.excursions import HOUR_MS, MINUTE_MS, MOST_SPANS, Excursions
from factory_brain.application.units.ports import Wanted
from factory_brain.application.units.turns import (
    QuestionsBusyError,
    QuestionTooLongError,
    Turns,
)
from factory_brain.domain.units.spans import Limits, Span, merged, spans_of
from shared.errors import Rejected

ABOVE = Limits(None, 0.5)
Samples = list[tuple[int, float | None]]


class Kept:
    """A tag's samples in memory, rolled up to a minute, the raw ones kept from a time on."""

    def __init__(self, samples: Samples, rolled: int = 0, kept_from: int = 0) -> None:
        self.samples_, self.rolled = samples, rolled
        self.raw = [each for each in samples if each[0] >= kept_from]
        self.longest = 0

    async def minutes_out(
        self, tag: str, limits: Limits, since: int, until: int, most: int
    ) -> tuple[list[tuple[int, int]], int | None]:
        minutes = {at // MINUTE_MS * MINUTE_MS for at, _ in self.samples_ if at < self.rolled}
        out = sorted(
            {
                at // MINUTE_MS * MINUTE_MS for at, value in self.samples_
                if at < self.rolled and value is not None and limits.out(value)
            }
        )  # fmt: skip
        found: list[tuple[int, int]] = []
        for at in (at for at in out if since - HOUR_MS <= at < until):
            if found and found[-1][1] == at:
                found[-1] = found[-1][0], at + MINUTE_MS
            else:
                found.append((at, at + MINUTE_MS))
        first = min((at for at, _ in self.raw), default=None)
        return found[:most], max(minutes, default=first)

    async def samples(
        self, tag: str, since: int, until: int, limit: int
    ) -> tuple[Samples, bool]:  # fmt: skip
        inside = [each for each in self.raw if since <= each[0] < until]
        behind = [each for each in self.raw if each[0] >= until][:1]
        self.longest = max(self.longest, len(inside[:limit]))
        return (inside[:limit], True) if len(inside) > limit else ([*inside, *behind], False)

    async def last_before(self, tag: str, at: int) -> Any:
        found = [each for each in self.raw if each[0] <= at]
        return {"at": found[-1][0], "value": found[-1][1]} if found else None


async def _of(kept: Kept, wanted: Wanted, page: int) -> list[Span]:
    found = await Excursions(kept, kept, page).of("T", ABOVE, wanted)  # type: ignore[arg-type]
    assert not isinstance(found, Rejected)
    return found


SAMPLES = st.dictionaries(
    st.integers(0, 4 * 360).map(lambda n: n * 10_000), st.sampled_from([0.0, 1.0, None]),
    min_size=1, max_size=40,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    SAMPLES, st.integers(0, 4 * 360), st.integers(1, 4 * 360), st.integers(0, 240),
    st.integers(2, 7),
)  # fmt: skip
def test_spans_are_those_of_all_samples_whatever_a_page_holds(
    samples: dict[int, float | None], start: int, length: int, rolled: int, page: int
) -> None:
    known = sorted(samples.items())
    since, until = start * 10_000, (start + length) * 10_000
    kept = Kept(known, rolled * MINUTE_MS)
    found = asyncio.run(_of(kept, Wanted(since, until), page))
    assert found == merged(spans_of(known, ABOVE, since, until))
    assert kept.longest <= page


async def test_out_once_for_long_is_one_span_however_many_samples_say_so() -> None:
    known: Samples = [(n * 100, 1.0) for n in range(50_000)]  # more than two pages of them
    kept = Kept(known, rolled=4_000_000)
    found = await Excursions(kept, kept).of("T", ABOVE, Wanted(0, 5_000_000))  # type: ignore[arg-type]
    assert found == [Span(0, 5_000_000)]


async def test_minutes_count_only_where_their_samples_are_no_longer_kept() -> None:
    known: Samples = [(at, float(at // 1000 % 20 < 10)) for at in range(0, 600_000, 1000)]
    kept = Kept(known, rolled=600_000, kept_from=300_000)
    found = await _of(kept, Wanted(0, 600_000), 50)
    assert found[0] == Span(0, 310_000, unsure=MINUTE_MS)  # five minutes, and what touches them
    assert found[1:] == [Span(at, at + 10_000) for at in range(320_000, 600_000, 20_000)]
    gone = await _of(Kept(known, rolled=600_000, kept_from=700_000), Wanted(0, 600_000), 50)
    assert gone == [Span(0, 600_000, unsure=MINUTE_MS)]


async def test_samples_that_say_it_was_in_time_are_not_overruled_by_their_minute() -> None:
    known: Samples = [(0, 1.0), (20_000, 0.0), (50_000, 0.0)]
    assert await _of(Kept(known, rolled=60_000), Wanted(30_000, 120_000), 50) == []


async def test_more_times_than_an_answer_is_of_are_refused_not_cut() -> None:
    known: Samples = [(n * 10, float(n % 2)) for n in range(2 * MOST_SPANS + 10)]
    kept = Kept(known, rolled=MINUTE_MS)
    found = await Excursions(kept, kept, 500).of("T", ABOVE, Wanted(0, 100_000))  # type: ignore[arg-type]
    assert found == Rejected("too_many_spans", {"most": MOST_SPANS})


async def test_few_ask_at_a_time_some_wait_and_the_rest_are_refused_at_once() -> None:
    turns, go = Turns(most=2, waiting=1, wait_s=30), asyncio.Event()
    asking = 0

    async def ask() -> None:
        nonlocal asking
        async with turns.one():
            asking += 1
            assert asking <= 2
            await go.wait()
            asking -= 1

    tasks = [asyncio.create_task(ask()) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(QuestionsBusyError):
        await ask()
    assert turns.refused == 1
    go.set()
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
        await ask()  # the turns are free again
    assert asking == 0


async def test_a_question_waits_and_runs_no_longer_than_it_may() -> None:
    turns = Turns((ZeroDivisionError,), most=1, wait_s=0.02, run_s=0.05)

    async def second() -> None:
        async with turns.one():
            raise AssertionError("two at a time")

    async def first() -> None:
        async with turns.one():
            with pytest.raises(QuestionsBusyError):
                await second()
            await asyncio.Event().wait()

    with pytest.raises(QuestionTooLongError):
        await first()
    with pytest.raises(QuestionTooLongError):
        async with turns.one():
            raise ZeroDivisionError
    with pytest.raises(LookupError):  # what is nobody's time is told as it is
        async with turns.one():
            raise LookupError
    async with turns.one():
        pass
