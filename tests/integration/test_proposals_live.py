"""From shadow counts to a decision of two people, on real servers: nothing unjudged moves a limit,
history comes from the factory, and nobody is two people."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_brain.application.shadow.trial_work import tried
from factory_brain.application.shadow.trials import Here, TrialDesk
from factory_brain.domain.shadow import Signal
from group_cloud.adapters.postgres.limit_store import LimitStore
from group_cloud.adapters.postgres.rollout_store import ModelStore, ProposalStore, RolloutStore
from group_cloud.application.limit_trainer import LimitTrainer, Wanted
from group_cloud.application.proposal_keeping import KeptIn, ProposalKeeper
from group_cloud.domain.limit_evidence import DAY_MS, SiteEvidence
from group_cloud.domain.limit_proposals import LimitFound
from group_cloud.learning.live.search import search
from shared.clock import SystemClock
from shared.identity.policy import Grant, User
from shared.messages.bodies import TrialAnswer
from shared.postgres.accounts import PgAccounts
from shared.postgres.audit import audit
from shared.web.auth import COOKIE
from tests.support.cloud_world import HI, SITE, Factory, Group, until
from tests.support.limit_world import (
    factory as counted,
)
from tests.support.limit_world import (
    signal,
    spans,
    told_counts,
    told_faults,
    told_labels,
    told_points,
    told_verdicts,
)
from tests.support.summary import say

pytest_plugins = ("tests.support.cloud_fixtures",)
CLOCK = SystemClock()
PEOPLE = {
    "anna": [("engineer", "default")], "anna-admin": [("engineer", "default")],
    "Anna@works": [("administrator", "default")], "carol": [("dispatcher", "default")],
    "of-b": [("engineer", "b")], "looks": [("viewer", "default")],
    "lead": [("shift-lead", "default")],
}  # fmt: skip


class People:
    """Everybody's clients; some have two sessions."""

    def __init__(self, group: Group) -> None:
        self._group, self._keys = group, 0
        self.tokens: dict[str, str] = {}

    async def come(self) -> None:
        accounts = PgAccounts(self._group.db, CLOCK)
        for name, held in PEOPLE.items():
            given = [Grant(role, area) for role, area in held]
            await accounts.create(name, "correct horse battery", given)
            self.tokens[name] = await accounts.open_session(User.of(name, given), "local")
        user = User.of("anna", [Grant("engineer", "default")])
        self.tokens["anna again"] = await accounts.open_session(user, "local")

    async def post(self, who: str, path: str, **body: Any) -> httpx.Response:
        self._keys += 1
        headers = {
            "Cookie": f"{COOKIE}={self.tokens[who]}", "Idempotency-Key": f"live-{self._keys:04}",
        }  # fmt: skip
        async with httpx.AsyncClient(base_url=self._group.url, timeout=20) as client:
            return await client.post(path, json=body, headers=headers)

    async def get(self, who: str, path: str) -> httpx.Response:
        headers = {"Cookie": f"{COOKIE}={self.tokens[who]}"}
        async with httpx.AsyncClient(base_url=self._group.url, timeout=20) as client:
            return await client.get(path, headers=headers)


class Samples:
    """A brain's stored samples and its record of faults, as its adapters give them."""

    def __init__(self, site: SiteEvidence, first: int) -> None:
        self._faults, self._first = site.faults, first

    async def signal(self, tag: str, since: int, until: int, lead_ms: int = 0) -> Signal:
        times, values = signal(1, self._faults, self._first)
        kept = (times >= since) & (times < until)
        found = array("q", times[kept].tolist()), array("d", values[kept].tolist())
        return Signal(since, until, *found, rows=int(kept.sum()), coverage=0.9)

    async def recent(self, since: int, limit: int) -> list[Any]:
        return []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield


class Upward:
    """The way up, and the work without a process."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory

    async def fence(self, tx: Any) -> None:
        return

    async def say(self, tx: Any, kind: str, body: TrialAnswer) -> None:
        await self._factory.say(body)

    async def tried(self, signal: Signal, work: Any) -> Any:
        return tried(signal, work)

    async def close(self) -> None:
        return


class InThread:
    """The search without a process of its own."""

    async def search(
        self, own: SiteEvidence, others: Sequence[SiteEvidence], wanted: Wanted
    ) -> list[LimitFound]:
        return await asyncio.to_thread(search, own, others, wanted)

    async def rest(self) -> None:
        return


def replica(group: Group) -> LimitTrainer:
    """Another replica of the cloud on the same tables."""
    assert group.cloud is not None
    pool = group.db
    kept = KeptIn(ProposalStore(pool), RolloutStore(pool), ModelStore(), audit)
    keeper, store = ProposalKeeper(kept, CLOCK), LimitStore(pool)
    return LimitTrainer(store, group.cloud.records, keeper, InThread(), CLOCK, Wanted(), 3_600.0)


async def test_from_shadow_counts_to_a_decision_of_two_people(group: Group, factory: Factory):
    assert group.cloud is not None
    limits = replica(group)
    first = CLOCK.now_ms() // DAY_MS - 11
    # The very alarm points of the demo site, so that its brain can answer for them.
    site = counted("f1", 1, spans(first=first), ("TT-1", "TT-2"), first)
    people = People(group)
    await people.come()
    await group.db.execute("INSERT INTO tenant (id, names, created_at) VALUES ('b', '{}', 0)")
    await factory.say(told_points(site, four_eyes=True), *told_counts(site))
    await until(factory.all_committed)

    # Ten days of counts of a flooding point, and nobody has judged any of it.
    assert await limits.train("f1") == 0
    await factory.say(*told_faults(site), *told_verdicts(site), *told_labels(site))
    await until(factory.all_committed)
    asked = await people.post("anna", "/api/proposals/search", site="f1")
    assert (asked.status_code, asked.json()) == (202, {"sites": ["f1"]})
    assert (await people.post("of-b", "/api/proposals/search", site="f1")).status_code == 404
    # Another replica of the cloud searches at the same time.
    await asyncio.gather(limits.train("f1"), limits.train("f1"))
    made = await until(lambda: _open(people), 60)
    shown = (await people.get("looks", f"/api/proposals/{made[0]['id']}")).json()
    _explains_itself(shown)
    assert (await people.get("of-b", f"/api/proposals/{made[0]['id']}")).status_code == 404

    # Again, and again after labels of the same point: the same proposals, made once.
    assert await limits.train("f1") == 0
    count = "SELECT count(*) FROM audit WHERE action = 'proposal_made'"
    assert await group.db.fetchval(count) == len(made)

    await _history(group, factory, people, site, first, made[0])
    await _two_people(group, people, made[0]["id"])
    await _own(group, people, limits, made)
    await factory.say(*told_faults(site, 2, withdrawn=True))
    await until(factory.all_committed)
    await limits.train("f1")
    left = [each for each in await _all(people) if each["source"] == "shadow"]
    assert {each["status"] for each in left} <= {"approved", "superseded", "rejected"}


async def _all(people: People) -> list[dict[str, Any]]:
    return (await people.get("looks", "/api/proposals")).json()["proposals"]


async def _open(people: People) -> list[dict[str, Any]]:
    return [each for each in await _all(people) if each["status"] == "open"]


def _explains_itself(shown: dict[str, Any]) -> None:
    assert shown["source"] == "shadow"
    bars, rests_on = shown["bars"], shown["shadow"]
    assert bars["proposed"]["false_per_day"] < bars["now"]["false_per_day"] / 2
    assert bars["proposed"]["missed"] <= bars["now"]["missed"]
    assert (rests_on["days"], rests_on["faults"], rests_on["lost"]) == (10, 3, [])
    assert len(shown["trend"]) == 10
    assert shown["evidence"]["nuisance"] == 10
    assert "漏报的故障由" in shown["explanation"]["zh"]
    assert "missed faults from" in shown["explanation"]["en"]


async def _history(
    group: Group, factory: Factory, people: People, site: SiteEvidence, first: int,
    proposal: dict[str, Any],
) -> None:  # fmt: skip
    """The factory answers the group's signed question, and nobody else's."""
    path = f"/api/proposals/{proposal['id']}/history"
    assert (await people.get("looks", path)).json()["status"] == "asked"
    assert (await people.get("of-b", path)).status_code == 404
    # The brain knows the alarm by its site file.
    named = {proposal["alarm"]: HI}
    here, samples = Here("f1", named, SITE.assets, 9), Samples(site, first)
    upward: Any = Upward(factory)
    given: Any = samples
    forged = Ed25519PrivateKey.generate().public_key()
    other = TrialDesk(here, factory.bus, CLOCK, forged, given, given, upward, upward)
    brain = TrialDesk(here, factory.bus, CLOCK, group.public, given, given, upward, upward)

    # Nobody answers for another factory, nor for another alarm point than the proposal's.
    for site_name, alarm in (("f2", proposal["alarm"]), ("f1", "FUR.TT-9.HI")):
        lie = TrialAnswer(
            site=site_name, edge="e1", alarm=alarm, proposal=proposal["id"], digest="x", since=0,
            until=1, coverage=1.0, points=[[0.0, 1.0, 2.0]],
        )  # fmt: skip
        await factory.say(lie)
    await until(factory.all_committed)
    assert not await group.db.fetchval("SELECT count(*) FROM proposal_history")

    async def answered() -> bool:
        return await brain.round() > 0

    await until(answered)
    assert await other.round() == 0
    assert other.refused == 1
    assert await brain.round() == 0

    async def known() -> Any:
        told = (await people.get("looks", path)).json()
        return told if told["status"] == "known" else None

    told = await until(known)
    assert told["before"] > told["after"] > 0
    assert len(told["vanish"]) + told["vanish_more"] == told["before"] - told["after"]
    assert all(each["raised_at"] >= told["since"] for each in told["vanish"])
    assert 100 < len(told["points"]) <= 400
    low, high = min(p[1] for p in told["points"]), max(p[2] for p in told["points"])
    assert low < 50 < told["limit_now"] < high


async def _two_people(group: Group, people: People, proposal: str) -> None:
    """The site asks for two people: accounts are none."""
    tries = 0
    path = f"/api/proposals/{proposal}/decision"
    said = {"decision": "approve", "reason": "seen on the furnace"}
    for who, status in (("looks", 403), ("lead", 403), ("of-b", 404)):
        assert (await people.post(who, path, **said)).status_code == status
        tries += 1
    approved = await people.post("anna", path, **said)
    assert approved.status_code == 200
    plan = approved.json()["plan"]
    assert (plan["state"], plan["hold"] or "second_person") == ("waiting", "second_person")
    agree = f"/api/rollouts/{plan['id']}/actions"
    wish = {"action": "agree", "reason": "me too"}
    for who, status, code in (
        ("anna", 409, "same_person"), ("anna again", 409, "same_person"),
        ("anna-admin", 409, "same_person"), ("Anna@works", 409, "same_person"),
        ("of-b", 404, "unknown_rollout"), ("looks", 403, None), ("lead", 403, None),
    ):  # fmt: skip
        answer = await people.post(who, agree, **wish)
        assert answer.status_code == status, f"{who}: {answer.text}"
        assert code is None or answer.json()["code"] == code
        tries += 1
    again = await people.post("anna-admin", path, **said)
    assert again.status_code == 409
    assert await group.db.fetchval("SELECT count(*) FROM rollout") == 0
    assert (await people.post("carol", agree, **wish)).status_code == 200
    signed = await until(lambda: group.db.fetchval("SELECT count(*) FROM rollout"))
    assert signed == 1
    who = "SELECT actor FROM audit WHERE action = ANY($1) ORDER BY id"
    rows = await group.db.fetch(who, ["rollout_begun", "rollout_agree"])
    assert [row["actor"] for row in rows] == ["anna", "carol"]
    say("four-eyes-attacks", f"{tries + 1} tries to decide alone or from outside: none got through")


async def _own(
    group: Group, people: People, limits: LimitTrainer, made: list[dict[str, Any]]
) -> None:
    """Try before you change: a person's own proposal, with the same guardrails."""
    mine = made[1]["alarm"] if len(made) > 1 else "FUR.TT-2.HI"
    wish = {"site": "f1", "alarm": mine, "setting": {"on_delay_s": 2.0}, "reason": "chatter"}
    if len(made) > 1:
        busy = await people.post("lead", "/api/proposals", **wish)
        assert (busy.status_code, busy.json()["code"]) == (409, "proposal_open")
        no = {"decision": "reject", "reason": "we try our own"}
        path = f"/api/proposals/{made[1]['id']}/decision"
        assert (await people.post("anna", path, **no)).status_code == 200
    for who, change, status, code in (
        ("looks", {}, 403, None),
        ("of-b", {}, 404, "unknown_alarm_point"),
        ("lead", {"alarm": "none"}, 404, "unknown_alarm_point"),
        ("lead", {"setting": {}}, 409, "setting_unchanged"),
        ("lead", {"setting": {"limit": 900.0}}, 409, "limit_outside_bounds"),
        ("lead", {"setting": {"limit": 59.0}}, 409, "step_too_large"),
        ("lead", {"setting": {"on_delay_s": -1.0}}, 422, None),
        ("lead", {"reason": ""}, 422, None),
        ("lead", {"alarm": made[0]["alarm"]}, 409, "point_in_rollout"),
    ):  # fmt: skip
        answer = await people.post(who, "/api/proposals", **{**wish, **change})
        assert answer.status_code == status, f"{who} {change}: {answer.text}"
        assert code is None or answer.json()["code"] == code, answer.text
    limit = {**wish, "setting": {"limit": 53.5}}
    opened = await people.post("lead", "/api/proposals", **limit)
    assert opened.status_code == 201, opened.text
    told = opened.json()
    assert (told["source"], told["made_by"], told["made_because"]) == ("person", "lead", "chatter")
    assert told["bars"]["proposed"]["alarms_per_day"] < told["bars"]["now"]["alarms_per_day"]
    assert told["bars"]["proposed"]["missed"] == 0
    # What a person proposed is decided by people: no search takes it back.
    await limits.train("f1")
    status = "SELECT status FROM proposal WHERE id = $1"
    assert await group.db.fetchval(status, told["id"]) == "open"
