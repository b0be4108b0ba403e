"""A history that was asked for too early, or long ago, is asked for again while people may look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from group_cloud.application import histories
from group_cloud.application.histories import EMPTY_MS, FRESH_MS, Histories, Known, Question
from group_cloud.domain.evidence import Point
from shared.alarm.point import Setting
from shared.clock import ManualClock
from shared.messages.codec import decode
from shared.messages.trials import SignedTrials, read

NOW = 1_700_000_000_000
OPEN = [
    Question(f"p-{n}", Point("f1", "e1", f"A.T{n}.HI"), Setting(10.0), Setting(11.0 + n))
    for n in range(3)
]


class Rows:
    """Open proposals and what was answered."""

    def __init__(self, questions: Sequence[Question] = OPEN) -> None:
        self.questions, self.answers = questions, dict[str, Known]()

    async def open(self) -> Sequence[Question]:
        return self.questions

    async def known(self) -> Mapping[str, Known]:
        return self.answers

    def answered(self, question: Question, at: int, *, empty: bool) -> None:
        self.answers[question.proposal] = Known(question.digest, at, empty)


class Bag:
    """The factory's bucket."""

    def __init__(self) -> None:
        self.puts: list[list[str]] = []

    async def ensure_bucket(self, bucket: str) -> None:
        return

    async def publish(self, subject: str, data: bytes) -> None:
        return

    async def bucket_put(self, bucket: str, key: str, value: bytes) -> None:
        asked = read(decode(value, SignedTrials).payload)
        self.puts.append([item.proposal for item in asked.items])


async def everybody(_: Any) -> None:
    return None


def asking(rows: Rows) -> tuple[Histories, Bag, ManualClock]:
    bag, clock = Bag(), ManualClock(NOW)
    made = Histories(rows, bag, clock, lambda payload: b"", everybody)  # type: ignore[arg-type]
    return made, bag, clock


async def test_an_answer_without_samples_is_asked_for_again_soon() -> None:
    rows = Rows()
    made, bag, clock = asking(rows)
    await made.ask()
    for each, empty in zip(OPEN, (True, False, True), strict=True):
        rows.answered(each, clock.now_ms(), empty=empty)
    await made.ask()
    assert bag.puts == [["p-0", "p-1", "p-2"], []]
    clock.advance(EMPTY_MS - 1)
    await made.ask()
    assert len(bag.puts) == 2
    clock.advance(1)
    await made.ask()
    await made.ask()  # it stands there until it is answered
    assert bag.puts[2:] == [["p-0", "p-2"]]
    rows.answered(OPEN[0], clock.now_ms(), empty=False)
    rows.answered(OPEN[2], clock.now_ms(), empty=False)
    await made.ask()
    assert bag.puts[3:] == [[]]


async def test_no_answer_is_good_for_ever() -> None:
    rows = Rows(OPEN[:1])
    made, bag, clock = asking(rows)
    rows.answered(OPEN[0], clock.now_ms(), empty=False)
    clock.advance(FRESH_MS - 1)
    await made.ask()
    assert bag.puts == []
    clock.advance(1)
    await made.ask()
    assert bag.puts == [["p-0"]]


async def test_what_was_never_answered_goes_first(monkeypatch: Any) -> None:
    monkeypatch.setattr(histories, "MOST", 2)
    rows = Rows()
    made, bag, clock = asking(rows)
    rows.answered(OPEN[0], clock.now_ms(), empty=True)
    clock.advance(EMPTY_MS)
    await made.ask()
    assert bag.puts == [["p-1", "p-2"]]
    rows.answered(OPEN[2], clock.now_ms(), empty=False)
    await made.ask()
    assert bag.puts[1:] == [["p-0", "p-1"]] or bag.puts[1:] == [["p-1", "p-0"]]
