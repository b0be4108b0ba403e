"""The memory of floods by its rules: what compares, what is remembered, when it looks."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest

from group_cloud.application.floods.asking import FloodAsking
from group_cloud.application.floods.ports import (
    Answer,
    Flood,
    Memory,
    Near,
    Resembled,
    Tellable,
)
from group_cloud.application.floods.telling import answer_of
from group_cloud.domain.floods import (
    BEGIN,
    EPISODES,
    FEWEST,
    HORIZONS_MIN,
    LATE_MS,
    MINUTE_MS,
    PATIENCE_MS,
    Judged,
    figures,
    is_episode,
    next_horizon,
    point_of,
    reached,
    superfluous,
    too_few,
)
from shared.clock import ManualClock


def test_points_of_factories_compare_by_what_they_watch_not_by_name() -> None:
    one = point_of("p2", "FUR-01.TT-101.HI", "furnace", "temperature", "limit", "HI")
    other = point_of("p3", "OFEN.T7.HOCH", "furnace", "temperature", "limit", "HI")
    assert one == other == "furnace/temperature/limit/HI"
    apart = {
        one,
        point_of("p2", "A", "furnace", "temperature", "limit", "HIHI"),
        point_of("p2", "A", "furnace", "temperature", "stale", ""),
        point_of("p2", "A", "furnace", "pressure", "limit", "HI"),
        point_of("p2", "A", "pump", "temperature", "limit", "HI"),
        # What nobody has put into classes compares with itself alone.
        point_of("p2", "A", "", "temperature", "limit", "HI"),
        point_of("p3", "A", "", "temperature", "limit", "HI"),
    }
    assert len(apart) == 7


@pytest.mark.parametrize(
    ("status", "flood", "cause", "outcome", "drill", "kept"),
    [
        ("closed", True, "valve", "true", False, True),
        ("closed", True, "valve", "nuisance", False, True),
        ("closed", True, "valve", "drill", False, False),
        ("closed", True, "valve", "true", True, False),
        ("closed", True, "", "true", False, False),
        ("closed", True, "unknown", "true", False, False),
        ("closed", False, "valve", "true", False, False),
        ("contained", True, "valve", "true", False, False),
        ("merged", True, "valve", "true", False, False),
    ],
)
def test_only_what_is_over_and_explained_is_remembered(
    status: str, flood: bool, cause: str, outcome: str, drill: bool, kept: bool
) -> None:
    assert is_episode(status, flood, cause, outcome, drill) is kept


def test_it_looks_at_fixed_times_as_the_factory_tells_them() -> None:
    asked, seen = -1, list[int]()
    while (horizon := next_horizon(asked)) is not None:
        seen.append(asked := horizon)
    assert seen == [BEGIN, *HORIZONS_MIN]
    end = 1_000 + 10 * MINUTE_MS
    assert reached(1_000, 10, end + LATE_MS, now=0) is True
    assert reached(1_000, 10, end + LATE_MS - 1, now=end) is None
    assert reached(1_000, 10, None, now=end + PATIENCE_MS - 1) is None
    assert reached(1_000, 10, 0, now=end + PATIENCE_MS) is False


def test_a_full_memory_gives_up_the_oldest_of_the_commonest() -> None:
    held = [(f"v{n}", n, "valve") for n in range(EPISODES)] + [("p", 0, "pump"), ("f", 0, "feed")]
    assert superfluous(held) == ["v0", "v1"]
    assert superfluous(held[:EPISODES]) == []
    assert superfluous(list(reversed(held))) == ["v0", "v1"]
    assert too_few(list("abcd") * (FEWEST // 4 - 1))
    assert too_few(list("abc") * FEWEST)
    assert too_few([*"abc" * FEWEST, "d"])  # heard of once is nothing to rehearse
    assert not too_few(list("abcd") * (FEWEST // 4))


def test_figures_of_what_was_said_and_what_was_so() -> None:
    def said(known: bool, cause: str, nearest: str, novel: bool, horizon: int = 60) -> Judged:
        return Judged(horizon, True, known, cause, nearest, novel)

    found = [
        said(True, "a", "a", False, 20), said(True, "a", "b", False), said(True, "x", "a", True),
        said(False, "x", "a", True, 180), said(False, "a", "a", False, 120),
    ]  # fmt: skip
    assert figures(found) == {
        "judged": 5, "known": 3, "novel": 2, "top1": 0.667, "right_of_known": 0.333,
        "unknown_precision": 0.5, "unknown_recall": 0.5, "minutes_to_known": 60.0,
        "minutes_to_unknown": 150.0,
    }  # fmt: skip
    assert figures([])["top1"] is None


LIKE = {
    "site": "p2", "site_names": {"zh": "二厂", "en": "Two"}, "incident": "i", "at": 5,
    "cause": "valve", "cause_names": {}, "done": [{"playbook": "mend", "ok": None}], "words": "",
    "took_min": 30.0, "similarity": 0.7,
}  # fmt: skip
SAID = Answer(
    "f1", "i1", 20, 9, "default", known=True, settled=True, why="", trust=0.8, remembered=30,
    complete=True, nearest=LIKE,
)  # fmt: skip


def test_what_became_anothers_is_not_named_to_the_factory() -> None:
    told = Tellable("f1", "i1", 1, 4, "", SAID, ours=True)
    mine = answer_of(told)
    assert mine.nearest is not None
    assert (mine.state, mine.nearest.cause, mine.nearest.done[0].ok) == ("known", "valve", None)
    theirs = answer_of(replace(told, ours=False))
    assert (theirs.state, theirs.nearest) == ("unknown", None)
    # What no factory would take keeps no other from its bag.
    endless = answer_of(replace(told, answer=replace(SAID, nearest=LIKE | {"at": -1})))
    assert (endless.state, endless.nearest) == ("unknown", None)
    # A cause that is not trusted is for nobody's eyes at the factory.
    doubtful = answer_of(replace(told, answer=replace(SAID, known=False, settled=False)))
    assert (doubtful.state, doubtful.nearest) == ("comparing", None)


class Rows:
    """One flood, and what is kept of it."""

    def __init__(self) -> None:
        self.kept: list[Answer] = []
        self.gone = False

    async def open(self) -> list[Flood]:
        asked = max((each.horizon for each in self.kept), default=BEGIN)
        over = any(each.settled for each in self.kept)
        return [] if over else [Flood("f1", "i1", "default", 0, asked)]

    async def memory(self, tenant: str) -> Memory:
        return Memory(tenant, "v1", ("valve", "pump", "feed", "drain") * 5)

    async def happened(self, site: str, incident: str, at: int, minutes: float) -> list[Any]:
        return [("p", 0.0, None)]

    async def episodes(self, tenant: str) -> list[Any]:
        return ["episodes"]

    async def shown(self, tenant: str, near: list[Near]) -> list[dict[str, Any]]:
        return [] if self.gone else [LIKE]

    async def answer(self, tx: Any, answer: Answer) -> bool:
        self.kept.append(answer)
        return True

    def transaction(self) -> Any:
        from contextlib import nullcontext

        return nullcontext()


class Recall:
    """A learner that is sure after an hour; it forgets all when its process ends."""

    def __init__(self) -> None:
        self.held, self.fed, self.rested = False, 0, 0

    async def ask(
        self, memory: Memory, episodes: Any, alarms: Any, minutes: float
    ) -> Resembled | None:
        if episodes is not None:
            self.held, self.fed = True, self.fed + 1
        if not self.held:
            return None
        sure = minutes >= 60
        return Resembled(sure, sure, 0.9 if sure else 0.3, Near("p2/i", 0.7))

    async def rest(self) -> None:
        self.held, self.rested = False, self.rested + 1


async def test_answers_follow_the_factorys_own_time() -> None:
    rows, recall, clock, until = Rows(), Recall(), ManualClock(0), [0]
    asking = FloodAsking(rows, rows, recall, clock, lambda _: until[0])  # type: ignore[arg-type]
    assert await asking.look() == 0
    assert recall.fed == 1  # fitted before it is needed
    until[0] = 25 * MINUTE_MS
    assert await asking.look() == 2
    await recall.rest()  # its process died
    until[0] = 60 * MINUTE_MS
    assert await asking.look() == 1  # forty; sixty's last alarms may still be on their way
    assert recall.fed == 2
    until[0] += LATE_MS
    assert await asking.look() == 1
    assert [(each.horizon, each.known) for each in rows.kept] == [
        (10, False), (20, False), (40, False), (60, True),
    ]  # fmt: skip
    assert await asking.look() == 0
    clock.advance(3_600_000)
    await asking.look()
    assert recall.rested == 2


async def test_nothing_is_known_of_what_the_tenant_no_longer_has() -> None:
    rows, clock = Rows(), ManualClock(0)
    rows.gone = True
    asking = FloodAsking(rows, rows, Recall(), clock, lambda _: 61 * MINUTE_MS)  # type: ignore[arg-type]
    assert await asking.look() == 4
    last = rows.kept[-1]
    assert (last.known, last.settled, last.why, last.nearest) == (False, True, "unlike", None)


async def test_a_silent_factory_is_waited_for_but_not_for_ever() -> None:
    rows, clock = Rows(), ManualClock(10 * MINUTE_MS + PATIENCE_MS)
    asking = FloodAsking(rows, rows, Recall(), clock, lambda _: None)  # type: ignore[arg-type]
    assert await asking.look() == 1
    assert rows.kept[0].complete is False


def test_a_cloud_starts_without_the_learner() -> None:
    import subprocess

    code = "import group_cloud.flooding, sys; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
