"""What one flood, record or tenant is to blame for stops no other; no figure is no answer."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from group_cloud.application.floods.aside import Aside
from group_cloud.application.floods.asking import FloodAsking
from group_cloud.application.floods.learning import FloodLearning
from group_cloud.application.floods.ports import (
    Answer,
    Flood,
    Memory,
    Near,
    Resembled,
    Tellable,
    Told,
)
from group_cloud.application.floods.telling import FloodTelling, answer_of
from group_cloud.domain.floods import BEGIN, MINUTE_MS
from shared.clock import ManualClock
from shared.errors import RetryableTransportError, StoreError, UnstorableError
from shared.messages.codec import decode
from shared.messages.floods import (
    FloodAnswer,
    FloodBag,
    SignedFloods,
    fitting,
    packed,
    unpacked,
)

CAUSES = ("valve", "pump", "feed", "drain") * 5
NOW = 10_000_000_000


class Rows:
    """Floods of three tenants, the newest first; `ill` fails in one way each."""

    def __init__(self) -> None:
        self.kept: list[Answer] = []
        self.noted: list[Told] = []
        self.tidied: list[str] = []
        self.asked = BEGIN
        self.waiting: list[Told] = []
        self.bags: list[Tellable] = []

    async def open(self) -> list[Flood]:
        names = [("ill", f"i{n}") for n in range(3)] + [("odd", "i"), ("well", "i")]
        return [Flood(t, i, t, NOW, self.asked) for t, i in names]

    async def memory(self, tenant: str) -> Memory:
        if self.asked < BEGIN and tenant == "ill":
            raise UnstorableError("no memory")
        return Memory(tenant, "v1", CAUSES)

    async def happened(self, site: str, incident: str, at: int, minutes: float) -> list[Any]:
        return [("p", 0.0, None)]

    async def episodes(self, tenant: str) -> list[Any]:
        return []

    async def shown(self, tenant: str, near: list[Near]) -> list[dict[str, Any]]:
        return [{"site": "p2", "incident": "i"}]

    async def answer(self, tx: Any, answer: Answer) -> bool:
        self.kept.append(answer)
        return True

    async def news(self, limit: int) -> list[Told]:
        known = {(t.site, t.incident) for t in self.noted}
        return [t for t in self.waiting if (t.site, t.incident) not in known]

    async def runs(self, site: str, names: list[str]) -> list[Any]:
        return []

    async def follow(self, tx: Any, told: Told, at: int) -> bool:
        if told.site == "never" or (told.site == "ill" and told.flood):
            raise UnstorableError("integer out of range")
        if told.ended_at is not None and told.ended_at >= 1 << 63:
            raise UnstorableError("integer out of range")
        self.noted.append(told)
        return True

    async def forget(self, tx: Any, site: str, incident: str) -> None: ...

    async def judge(self, tx: Any, site: str, incident: str, cause: str) -> None: ...

    async def tenant_of(self, site: str) -> str:
        return site

    async def tidy(self, tenant: str) -> int:
        if tenant == "ill":
            raise StoreError("too long")
        self.tidied.append(tenant)
        return 0

    async def tellable(self, since: int) -> list[Tellable]:
        return self.bags

    async def told(self, tx: Any, each: Tellable, digest: str) -> int:
        if each.incident == "bad":
            raise UnstorableError("bad")
        return each.number + 1

    def transaction(self) -> Any:
        return nullcontext()


class Recall:
    """A learner that cannot fit one tenant, and has no figure for another."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def ask(self, memory: Memory, episodes: Any, alarms: Any, minutes: float) -> Resembled:
        self.asked.append(memory.tenant)
        if memory.tenant == "ill":
            raise StoreError("the memory of floods has ended")
        if memory.tenant == "odd":
            return Resembled(True, True, float("nan"), Near("p2/i", 0.7))
        return Resembled(True, True, 0.9, Near("p2/i", 0.7))

    async def rest(self) -> None: ...


def asking(rows: Rows, recall: Recall, clock: ManualClock) -> FloodAsking:
    return FloodAsking(rows, rows, recall, clock, lambda _: NOW + 11 * MINUTE_MS)  # type: ignore[arg-type]


async def test_a_tenant_whose_memory_fails_delays_no_other() -> None:
    rows, recall, clock = Rows(), Recall(), ManualClock(0)
    made = asking(rows, recall, clock)
    assert await made.look() == 2
    assert [each.site for each in rows.kept] == ["odd", "well"]
    assert recall.asked.count("ill") == 1  # once a round: to fail may take minutes
    await made.look()
    assert recall.asked.count("ill") == 1
    clock.advance(31_000)
    before = len(recall.asked)
    await made.look()
    assert recall.asked[before:][-1] == "ill"  # it is tried again, after all others


async def test_an_answer_without_a_figure_is_unknown() -> None:
    rows = Rows()
    await asking(rows, Recall(), ManualClock(0)).look()
    odd, well = rows.kept
    assert (odd.known, odd.settled, odd.trust, odd.why) == (False, True, 0.0, "unlike")
    assert (well.known, well.trust) == (True, 0.9)


def news(site: str, **more: Any) -> Told:
    usual: dict[str, Any] = {
        "revision": 1, "status": "closed", "flood": True, "cause": "valve", "outcome": "true",
        "first_at": NOW, "ended_at": NOW + 1, "body": {},
    }  # fmt: skip
    return Told(site, "i", **{**usual, **more})


async def test_a_record_that_cannot_be_kept_is_passed_over() -> None:
    rows, clock = Rows(), ManualClock(NOW)
    rows.happened = _nothing  # type: ignore[method-assign]
    rows.waiting = [news("never"), news("ill"), news("late", ended_at=1 << 63), news("well")]
    learning = FloodLearning(rows, rows, clock)  # type: ignore[arg-type]
    assert await learning.take_up() == 3
    told = {each.site: each for each in rows.noted}
    assert (told["ill"].flood, told["ill"].first_at) == (False, 0)
    assert (told["late"].flood, told["late"].ended_at) == (True, None)
    assert told["well"].ended_at == NOW + 1
    assert rows.tidied == ["late", "well"]
    # Each new flood is begun, but for those whose memory cannot be read.
    rows.asked = BEGIN - 1
    assert await learning.begin() == 2
    assert [each.site for each in rows.kept] == ["odd", "well"]


async def _nothing(*_: Any) -> list[Any]:
    return []


SAID = Answer(
    "f1", "i", 20, 9, "default", known=False, settled=True, why="unlike", trust=0.1,
    remembered=30, complete=True,
)  # fmt: skip


class Bus:
    """One factory's bucket does not answer."""

    def __init__(self) -> None:
        self.bags: dict[str, FloodBag] = {}

    async def ensure_bucket(self, bucket: str) -> None:
        if "a-ill" in bucket:
            raise RetryableTransportError("no answer")

    async def bucket_put(self, bucket: str, key: str, data: bytes) -> None:
        bag = msgspec.msgpack.decode(decode(data, SignedFloods).payload, type=FloodBag)
        self.bags[bag.site] = unpacked(packed(bag), bag.site)

    async def publish(self, subject: str, data: bytes) -> None: ...


async def test_a_factory_that_cannot_be_told_keeps_no_other_from_its_bag() -> None:
    rows, bus, clock = Rows(), Bus(), ManualClock(NOW)
    rows.bags = [
        Tellable(site, incident, NOW, 4, "", replace(SAID, trust=trust), ours=True)
        for site, incident, trust in (
            ("a-ill", "i", 0.1), ("b", "bad", 0.1), ("b", "far", 1.5),
            ("b", "nan", float("nan")), ("b", "well", 0.1), ("c", "well", 0.1),
        )
    ]  # fmt: skip
    learning = FloodLearning(rows, rows, clock)  # type: ignore[arg-type]
    telling = FloodTelling(rows, rows, learning, bus, clock, lambda data: b"s")  # type: ignore[arg-type]
    await telling.tell()
    told = {site: [each.incident for each in bag.answers] for site, bag in bus.bags.items()}
    assert told == {"b": ["nan", "well"], "c": ["well"]}
    assert bus.bags["b"].answers[0].trust == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"trust": float("nan")}, {"trust": 1.1}, {"expires_at": 1 << 60}, {"at": -1},
        {"incident": "x" * 201}, {"state": "known"}, {"at": 1 << 70},
    ],
)  # fmt: skip
def test_what_a_factory_would_refuse_is_in_no_bag(wrong: dict[str, Any]) -> None:
    plain = answer_of(Tellable("f1", "i", NOW, 4, "", SAID, ours=True))
    bad: FloodAnswer = msgspec.structs.replace(plain, **({"incident": "bad"} | wrong))
    bag = fitting("f1", [bad, plain, plain])
    assert bag.answers == [plain]
    assert unpacked(packed(bag), "f1") == bag


def test_what_fails_is_left_alone_for_longer_each_time() -> None:
    clock = ManualClock(0)
    aside, waited = Aside(clock), list[int]()
    for _ in range(8):
        aside.put("x")
        began = clock.mono_ms()
        while aside.holds("x"):
            clock.advance(30_000)
        waited.append((clock.mono_ms() - began) // 30_000)
    assert waited == [1, 2, 4, 8, 16, 32, 60, 60]
    aside.well("x")
    assert (aside.failed("x"), aside.holds("x")) == (0, False)
