"""Notifications on a real brain: to a real mail server and robots; nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from factory_brain.adapters.postgres.link_feed import LinkFeed
from factory_brain.adapters.postgres.notify_reads import NotifyRows
from factory_brain.application.notify.ports import Message
from shared.clock import SystemClock
from shared.messages.bodies import AlarmTransition
from tests.support.brain_world import EDGE, FakeEdge, log_in, transition, until
from tests.support.link_world import SECRET, LinkWorld, broker
from tests.support.notify_world import MailServer, Robots

pytestmark = pytest.mark.timeout(120)
ROBOTS = {
    "dingtalk": "dingtalk", "wecom": "wecom", "feishu": "feishu", "slack": "slack",
    "hook": "other", "second": "wecom", "flood": "feishu",
}  # fmt: skip
BINDINGS = "endpoints:\n" + "".join(
    f"  {name}: {{url: 'http://127.0.0.1:9/', secret: hook, private: true}}\n" for name in ROBOTS
)
SECRETS = {
    "ding-url": "dingtalk://1234567890abcdef/13800000000",
    "wecom-url": "wecombot://abcdef0123456789",
    "feishu-url": "feishu://abcdef-0123456789",
    "slack-url": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alarms",
}
NOTIFY = """
people:
  - {id: li-wei, name: {zh: 李伟, en: Li Wei}, account: admin,
     channels: [{kind: email, url: mail-url, target: li.wei@factory.test}]}
  - {id: anna, name: {zh: 安娜, en: Anna}, language: en, timezone: Europe/Berlin,
     channels: [{kind: slack, url: slack-url, endpoint: slack}]}
  - {id: zhao, name: {zh: 赵敏, en: Zhao Min},
     channels: [{kind: dingtalk, url: ding-url, endpoint: dingtalk}]}
  - {id: sun, name: {zh: 孙强, en: Sun Qiang},
     channels: [{kind: wecom, url: wecom-url, endpoint: wecom},
                {kind: email, url: mail-url, target: sun@factory.test}]}
  - {id: qian, name: {zh: 钱进, en: Qian Jin},
     channels: [{kind: feishu, url: feishu-url, endpoint: feishu}]}
  - {id: machine, name: {zh: 调度系统, en: Dispatch}, channels: [{kind: webhook, endpoint: hook}]}
  - {id: lead, name: {zh: 班长, en: Shift lead},
     channels: [{kind: wecom, url: wecom-url, endpoint: second}]}
  - {id: busy, name: {zh: 值班员, en: Operator},
     channels: [{kind: feishu, url: feishu-url, endpoint: flood}]}
rosters:
  - {id: duty, layers: [{people: [li-wei], start: "2023-01-02"}]}
ladders:
  - id: critical
    steps:
      - {notify: [duty, anna, zhao, qian, machine]}
      - {after: 2s, notify: [sun]}
  - id: broken
    steps: [{notify: [zhao]}, {after: 1h, notify: [lead]}]
  - id: flood
    steps: [{notify: [busy]}]
rules:
  - {id: p1, priorities: [1], ladder: critical}
  - {id: p2, priorities: [2], ladder: broken}
  - {id: p3, when: "event.alarm.startsWith('FLOOD')", ladder: flood}
confirmed_for: 5m
limits: {messages: 3, within: 10m}
summaries: {every: 1s, top: 2}
retry: {schedule: [200ms]}
"""


@dataclass
class World:
    """A brain with people around it."""

    link: LinkWorld
    mail: MailServer
    robots: Robots
    edge: FakeEdge
    client: httpx.AsyncClient

    async def log(self, **wanted: Any) -> list[dict[str, Any]]:
        """The delivery log, oldest first."""
        answer = await self.client.get("/api/notifications", params=wanted | {"limit": 200})
        assert answer.status_code == 200, answer.text
        return answer.json()["items"][::-1]


@pytest.fixture
def services() -> Iterator[tuple[MailServer, Robots]]:
    mail, robots = MailServer(), Robots(**ROBOTS)
    yield mail, robots
    mail.close()
    robots.close()


@pytest.fixture
async def world(
    tmp_path: Path, brain_url: str, services: tuple[MailServer, Robots]
) -> AsyncIterator[World]:
    mail, robots = services
    with broker(tmp_path / "nats", ()) as server:
        urls = {name: robots.url(name) for name in ROBOTS}
        link = LinkWorld(tmp_path, server, brain_url, urls)
        link.prepare("{}", BINDINGS)
        (tmp_path / "site" / "notify.yaml").write_text(NOTIFY)
        mail_url = f"mailto://127.0.0.1:{mail.port}/?from=andon@factory.test&to={{target}}"
        for name, text in {**SECRETS, "mail-url": mail_url, "hook": SECRET}.items():
            (tmp_path / name).write_text(text)
        await link.start()
        edge = FakeEdge(await server.connect(inbox=EDGE.inbox))
        await edge.start()
        beating = asyncio.create_task(edge.beat())
        client = await link.client()
        await log_in(client)
        made = World(link, mail, robots, edge, client)
        yield made
        beating.cancel()
        await made.client.aclose()
        await edge.bus.close()
        await link.stop()


def raised(n: int, priority: int, alarm: str = "", kind: str = "raised") -> AlarmTransition:
    """Occurrence number `n`."""
    body = transition(1 if kind == "raised" else 2, active=kind == "raised", acked=False, kind=kind)
    return AlarmTransition(**{f: getattr(body, f) for f in body.__struct_fields__} | {
        "occurrence": f"occ-{n}", "source_time": body.source_time + n * 10, "priority": priority,
        "raised_at": body.raised_at + n * 10, "alarm": alarm or body.alarm,
    })  # fmt: skip


async def test_everybody_is_told_in_their_language_and_an_answer_stops_the_ladder(
    world: World,
) -> None:
    await world.edge.send(raised(1, 1))
    robots = world.robots

    async def told() -> bool:
        names = ("dingtalk", "feishu", "slack", "hook")
        return bool(world.mail.mails) and all(robots[name].taken for name in names)

    await until(told, 20)
    mail = world.mail.mails[0]
    assert mail["to"] is not None
    assert "li.wei@factory.test" in mail["to"]
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    for part in ("1291.5 °C", "限值 1280 °C", "一号加热炉", "FUR-01", "确认烧嘴", "热工值班 6110"):
        for each in (text, *robots["dingtalk"].texts, *robots["feishu"].texts):
            assert part in each, (part, each)
    for part in ("Zone 1 over-temperature", "limit 1280", "Check that the burner", "Europe/Berlin"):
        assert part in robots["slack"].texts[0], robots["slack"].texts
    assert robots["dingtalk"].paths[0].startswith("/robot/send?access_token=")
    assert robots["feishu"].paths[0].startswith("/open-apis/bot/v2/hook/")
    assert robots["slack"].paths[0].startswith("/services/T1JJ3T3L2/")
    assert robots["hook"].taken[0]["data"]["person"] == "machine"
    assert not await _confirmed(world)  # taken by a service is not answered by a person
    await _answer(world, text)
    answered = SystemClock().now_ms()
    lines = await world.log(occurrence="occ-1")
    sent = [each for each in lines if each["outcome"] == "sent" and each["person"] != "sun"]
    assert sorted(each["person"] for each in sent) == ["anna", "li-wei", "machine", "qian", "zhao"]
    assert all(0 <= each["latency_ms"] < 20_000 for each in sent)
    (mine,) = [each for each in sent if each["person"] == "li-wei"]
    assert str(mail["message-id"]).startswith(f"<{mine['message']}@")  # a second copy is known
    await until(lambda: _confirmed(world), 10)
    # Who cannot be reached any more counts no longer, whatever was answered before.
    world.mail.answer = "550 no such mailbox"
    await _try_out(world, "li-wei")

    async with asyncio.timeout(15):
        while await _confirmed(world):
            await asyncio.sleep(0.05)
    # The second step, due after 2 s, is for nobody any more, unless the answer came later.
    await asyncio.sleep(max(0, answered + 2_500 - SystemClock().now_ms()) / 1000)
    late = [each for each in await world.log(occurrence="occ-1") if each["at"] > answered]
    assert "sun" not in {each["person"] for each in late}


async def _confirmed(world: World) -> bool:
    assert world.link.brain is not None
    return world.link.brain.annunciation.confirmed("e1")


async def _try_out(world: World, person: str) -> None:
    mark = {"Idempotency-Key": f"test-of-{person}"}
    url = "/api/notifications/test"
    answer = await world.client.post(url, json={"person": person}, headers=mark)
    assert answer.status_code == 200, answer.text


async def _answer(world: World, text: str) -> None:
    """By the link of the mail: looking does nothing, it works once, and as its person."""
    found = re.search(r"http://\S+/ack", text)
    assert found is not None
    path = urlsplit(found[0]).path
    async with httpx.AsyncClient(base_url=world.client.base_url, timeout=10) as stranger:
        page = await stranger.get(path, headers={"accept": "text/html"})
        assert "一段炉温高高" in page.text
        assert (await stranger.get(path)).json()["occurrence"] == "occ-1"
        forged = path.replace("/ack", "")[:-2] + "zz/ack"
        assert (await stranger.post(forged)).status_code == 404
        answer = await stranger.post(path)
        assert answer.json()["result"] == "acknowledged", answer.text
        again = await stranger.post(path)
        assert (again.status_code, again.json()["code"]) == (410, "notification_link_used")

    async def ended() -> bool:
        lines = await world.log(occurrence="occ-1", outcome="ended")
        return [each["reason"] for each in lines] == ["acknowledged"]

    await until(ended)
    facts = await until(lambda: _facts(world))
    assert (facts[0].action, facts[0].actor) == ("acknowledge", "admin")


async def _facts(world: World) -> list[Any]:
    return world.edge.facts


async def test_what_fails_is_tried_again_then_otherwise_then_the_next_step_and_never_silent(
    world: World,
) -> None:
    robots = world.robots
    robots["dingtalk"].answer = lambda _: (200, {"errcode": 310000, "errmsg": "no keyword"}, 0.0)
    robots["wecom"].answer = lambda _: (429, {"errcode": 45009}, 0.0)
    robots["feishu"].answer = lambda n: (500, {}, 0.0) if n == 1 else (200, None, 0.0)
    robots["slack"].answer = lambda _: (200, None, 3.0)
    await world.edge.send(raised(1, 2))  # dingtalk says 200 and a fault: the lead, not in an hour
    await until(lambda: _some(world.robots["second"].taken), 20)
    await _hang(world, "anna", 20)
    await until(lambda: _hanging(world), 20)
    await world.edge.send(raised(2, 1))
    await until(lambda: _some(robots["feishu"].taken), 20)
    # Twenty are due there before; it takes its time with two, and nobody else waits for it.
    assert len(robots["slack"].taken) < 10
    assert robots["slack"].most == 2
    await until(lambda: _some([m for m in world.mail.mails if "sun@" in str(m["to"])]), 20)
    outcomes = [
        (each["outcome"], each["channel"])
        for each in await world.log(person="zhao", outcome="failed")
    ]
    assert outcomes[0] == ("failed", "dingtalk")
    first = await world.log(occurrence="occ-1")
    assert [each["outcome"] for each in first if each["person"] == "zhao"] == [
        "queued", "retried", "failed",
    ]  # fmt: skip
    assert "310000" in next(each["reason"] for each in first if each["outcome"] == "failed")
    assert [each["person"] for each in first if each["outcome"] == "escalated"] == ["lead"]
    sun = [each for each in await world.log(person="sun") if each["kind"] == "alarm"]
    assert [each["outcome"] for each in sun] == ["queued", "retried", "failed", "sent"]
    assert "429" in sun[1]["reason"]
    assert world.link.brain is not None
    codes = {(row["source"], row["code"]) for row in await world.link.brain.alarms.system()}
    assert ("f1.person-zhao", "notification_failed") in codes
    assert ("f1.person-sun", "notification_failed") not in codes  # the mail reached him
    # It works again: the condition goes with the next success.
    robots["dingtalk"].answer = None
    await _try_out(world, "zhao")

    async def well() -> bool:
        assert world.link.brain is not None
        rows = await world.link.brain.alarms.system()
        return not any(row["source"] == "f1.person-zhao" for row in rows)

    await until(well)


async def _hang(world: World, person: str, count: int) -> None:
    """So many messages for somebody, due at once."""
    assert world.link.brain is not None
    await world.link.brain.pool.executemany(
        'INSERT INTO notification (id, at, channel, "to", message) VALUES ($1, 1, $2, $3, $4)',
        [(f"hang-{n}", "call", [f"user:{person}"], {"en": "Come"}) for n in range(count)],
    )


async def _hanging(world: World) -> bool:
    return world.robots["slack"].tries >= 2


async def _some(found: list[Any]) -> list[Any]:
    return found


async def test_a_flood_is_told_in_summaries_a_restart_goes_on_and_nothing_is_lost(
    world: World,
) -> None:
    for n in range(12):
        await world.edge.send(raised(n, 3, f"FLOOD-{n}"))

    async def all_logged() -> bool:
        lines = await world.log(person="busy")
        done = {e["occurrence"] for e in lines if e["outcome"] in ("sent", "summarised")}
        return len(done - {""}) == 12

    await until(all_logged, 25)
    await world.edge.send(raised(50, 1))
    await world.edge.send(raised(51, 1, "FLOOD-critical"))  # beyond the limit, and told at once
    # One more goes up the ladder while the brain is away between its steps.
    await until(lambda: _some(world.mail.mails), 20)
    await world.link.stop()
    await world.client.aclose()
    await world.link.start()
    world.client = await world.link.client()
    await log_in(world.client)
    await until(lambda: _some(world.robots["wecom"].taken), 20)

    async def quiet() -> bool:
        lines = await world.log(outcome="sent")
        return {("sun", "occ-50"), ("busy", "occ-51")} <= {
            (each["person"], each["occurrence"]) for each in lines
        }

    await until(quiet, 20)
    lines = await world.log(outcome="sent")
    alarms = Counter((e["person"], e["occurrence"]) for e in lines if e["kind"] == "alarm")
    assert max(alarms.values()) == 1, alarms
    texts = world.robots["flood"].texts
    singles = [each for each in texts if "汇总" not in each]
    summaries = [each for each in texts if "汇总" in each]
    told = sum(int(found[1]) for each in summaries if (found := re.search(r"】(\d+) 条", each)))
    assert len(singles) + told == 13
    assert sum("FLOOD-critical" in each for each in singles) == 1
    assert "P3 FLOOD-" in summaries[0]
    assert "仍存在" in summaries[0]


async def _each_brain_takes_its_own(world: World) -> None:
    """Two stores that claim at once, of one database: every message is somebody's, and once."""
    assert world.link.brain is not None
    pool, later = world.link.brain.pool, 4_000_000_000_000
    stores = [NotifyRows(pool), NotifyRows(pool)]
    wanted = [Message(f"m-{n}", "nobody", "test", 3, {}, 1, later) for n in range(40)]
    async with stores[0].planning() as tx:
        await stores[0].add(tx, wanted, (), 1)
    claims = (stores[n % 2].claim(later, later + 60_000, 7) for n in range(8))
    found = [each.id for part in await asyncio.gather(*claims) for each in part]
    assert sorted(found) == sorted(each.id for each in wanted)
    assert await stores[0].claim(later, later, 7) == []


async def test_duty_and_leave_playbooks_and_several_brains(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def on_duty() -> str | None:
        answer = await world.client.get("/api/oncall")
        assert answer.status_code == 200, answer.text
        return answer.json()["rosters"][0]["person"]

    assert await on_duty() == "li-wei"
    now = (await world.client.get("/api/oncall")).json()["at"]
    leave = {"since": now - 1000, "until": now + 3_600_000, "instead_of": "li-wei", "why": "leave"}
    where, key = "/api/rosters/duty/overrides", {"Idempotency-Key": "leave-of-li-wei"}
    wrong = await world.client.post(where, json=leave | {"by": "nobody"}, headers=key)
    assert (wrong.status_code, wrong.json()["code"]) == (404, "no_such_person")
    made = await world.client.post(where, json=leave | {"by": "anna"}, headers=key)
    assert made.status_code == 200, made.text
    assert await on_duty() == "anna"
    done = await world.client.delete(f"{where}/{made.json()['id']}")
    assert done.status_code == 204
    assert await on_duty() == "li-wei"
    # What a playbook says to a person or a team goes the same way; to a role at the console not.
    assert world.link.brain is not None
    await world.link.brain.pool.execute(
        'INSERT INTO notification (id, at, channel, "to", message) VALUES ($1, $2, $3, $4, $5)',
        "said-1", now, "console", ["team:duty", "role:maintenance"],
        {"zh": "请到炉区", "en": "Come"},
    )  # fmt: skip
    await until(lambda: _some([m for m in world.mail.mails if "li.wei" in str(m["to"])]), 15)
    assert "请到炉区" in world.mail.mails[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    lines = await world.log()
    assert {(each["person"], each["kind"]) for each in lines} == {("li-wei", "playbook")}
    await _each_brain_takes_its_own(world)
    page = await world.client.get("/api/notifications", params={"cursor": "nonsense!"})
    assert page.status_code == 400
    await _told_from_the_start_on(world, monkeypatch)


async def _told_from_the_start_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A brain that never comes to lead has said all the same from where on ladders begin."""

    async def never(_: LinkFeed) -> None:
        await asyncio.Event().wait()

    assert world.link.brain is not None
    consumers = "feed_consumer WHERE consumer = 'notify'"
    await world.link.brain.pool.execute(f"DELETE FROM {consumers}")
    await world.link.stop()
    monkeypatch.setattr(LinkFeed, "run", never)
    brain = await world.link.start()
    assert await brain.pool.fetchval(f"SELECT count(*) FROM {consumers}") == 1
