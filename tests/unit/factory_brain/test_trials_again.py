"""The factory answers a question that stands again: soon, where it had no sample yet."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_brain.application.shadow.trial_work import tried
from factory_brain.application.shadow.trials import (
    AGAIN_MS,
    EMPTY_AGAIN_MS,
    Here,
    TrialDesk,
    TrialWork,
    Tried,
)
from factory_brain.domain.shadow import Signal
from shared.alarm.point import Setting
from shared.alarm.shadow import setting_data
from shared.clock import ManualClock
from shared.messages.bodies import TrialAnswer
from shared.messages.codec import encode
from shared.messages.trials import SignedTrials, TrialItem, Trials, canonical
from shared.paths import demo_sites
from shared.site.loader import load_site

NOW = 1_700_000_000_000
KEY = Ed25519PrivateKey.generate()
SITE = load_site(demo_sites() / "f1")
HI = next(each for each in SITE.alarms.values() if each.id == "FUR-01.TT-101.HI")


class Factory:
    """Everything around the desk: the bag, the samples, the way up."""

    def __init__(self) -> None:
        self.rows, self.said = 0, list[TrialAnswer]()
        item = TrialItem(
            proposal="p-1", edge=HI.edge, alarm=HI.id, current=setting_data(Setting(10.0)),
            proposed=setting_data(Setting(11.0)), digest="d",
        )  # fmt: skip
        payload = canonical(Trials(site="f1", asked_at=NOW, items=[item]))
        self.bag = encode(SignedTrials(payload=payload, signature=KEY.sign(payload)))

    async def bucket_get(self, bucket: str, key: str, domain: str) -> bytes:
        return self.bag

    async def signal(self, tag: str, since: int, until: int, *_: Any) -> Signal:
        times = array("q", range(until - 60_000 * self.rows, until, 60_000))
        values = array("d", [12.0] * self.rows)
        return Signal(since, until, times, values, self.rows, 0.1)

    async def recent(self, since: int, most: int) -> list[Any]:
        return []

    async def tried(self, signal: Signal, work: TrialWork) -> Tried:
        return tried(signal, work)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def fence(self, tx: Any) -> None:
        return

    async def say(self, tx: Any, kind: str, body: TrialAnswer) -> None:
        self.said.append(body)


async def test_no_samples_are_no_answer_for_long() -> None:
    factory, clock = Factory(), ManualClock(NOW)
    around: Any = factory
    here = Here("f1", {HI.id: HI}, SITE.assets, 7)
    desk = TrialDesk(here, around, clock, KEY.public_key(), around, around, around, around)
    assert (await desk.round(), await desk.round()) == (1, 0)
    assert factory.said[0].points == []
    factory.rows = 30
    clock.advance(EMPTY_AGAIN_MS)
    assert (await desk.round(), await desk.round()) == (1, 0)
    assert factory.said[1].points
    clock.advance(AGAIN_MS - 1)
    assert await desk.round() == 0
    clock.advance(1)
    assert await desk.round() == 1
