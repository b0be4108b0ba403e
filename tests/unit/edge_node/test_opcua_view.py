"""The edge's alarms as its OPC UA server sees them: from statuses, answers and a password."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_node.adapters.opcua_view import EdgeAlarms, EdgeDoor
from edge_node.application.ipc import OperatorAction, OperatorResult, PageAnswer, PageQuery
from edge_node.application.served import Served, ServedAlarm, ServedAsset
from edge_node.application.status import (
    AlarmStatus,
    EdgeStatus,
    Names,
    VersionStatus,
    encode_status,
)
from edge_node.opcua_child import read_password
from shared.clock import ManualClock
from shared.errors import ConfigError
from shared.identity.throttle import MAX_FAILURES
from shared.opcua.alarms import AlarmBook, Pass, Said
from shared.opcua.listening import where

ALARM = "X-1.TT-1.HI"
ROW = AlarmStatus(
    alarm=ALARM, occurrence="o1", version=1, annunciated_version=1, name=Names("高", "HI"),
    priority=2, state="unacknowledged", isa="B", active=True, acked=False, value=105.0, limit=100.0,
    unit="°C", raised_at=1_000, tag="TT-1", asset="X-1", source_time_offset=20,
)  # fmt: skip
SERVED = Served(
    site="v1", root="f9", alarms=[ServedAlarm(ALARM, "X-1", "高", "HI", 2, 60_000)],
    assets={"X-1": ServedAsset(["f9", "X-1"], Names("一号", "one"))},
)  # fmt: skip


def status(*rows: AlarmStatus, at: int = 5_000, site: str = "v1") -> bytes:
    told = EdgeStatus(
        site="f9", edge="e9", name=Names(), at=at, brain_reachable=False, annunciating=True,
        horn=False, alarms=list(rows), versions=VersionStatus(site=site),
    )  # fmt: skip
    return encode_status(told)


class Rig:
    """The view with the engine's end of its pipe in the test's hands."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.changed: list[str] = []
        self.looks = 0
        self.alarms = EdgeAlarms(self.sent.append, ManualClock())
        self.alarms.listener.changed = lambda alarm, report: self.changed.append(alarm)
        self.alarms.listener.look = self._look

    def _look(self) -> None:
        self.looks += 1

    async def asked(self, kind: type, count: int = 1) -> Any:
        async with asyncio.timeout(5):
            while len(found := [m for m in self.sent if isinstance(m, kind)]) < count:
                await asyncio.sleep(0)
        return found[count - 1]

    async def act(self, action: str, result: OperatorResult | None, **args: Any) -> str:
        said = Said(ALARM, "o1", 1, action, args)
        before = len([m for m in self.sent if isinstance(m, OperatorAction)])
        acting = asyncio.create_task(self.alarms.act("li", said))
        sent = await self.asked(OperatorAction, before + 1)
        assert (sent.action, sent.alarm, sent.actor, sent.version) == (action, ALARM, "li", 1)
        if result is not None:
            self.alarms.on_result(msgspec.structs.replace(result, id=sent.id))
        return await acting


def test_only_what_differs_is_told_and_in_order() -> None:
    rig = Rig()
    rig.alarms.on_status(status(ROW))
    first = rig.alarms.shown()[ALARM]
    assert (first.at, rig.changed, rig.looks) == (1_020, [ALARM], 0)
    rig.alarms.on_status(status(ROW, at=6_000))
    assert rig.alarms.shown()[ALARM] is first
    assert rig.changed == [ALARM]
    rig.alarms.on_status(status(msgspec.structs.replace(ROW, acked=True), at=7_000))
    second = rig.alarms.shown()[ALARM]
    assert rig.alarms.older(first, second)
    assert not rig.alarms.older(second, first)
    rig.alarms.on_status(status(at=8_000))  # it has come to rest: the server is to look
    assert (rig.alarms.shown(), rig.looks, len(rig.changed)) == ({}, 1, 2)


async def test_the_site_is_learnt_and_learnt_anew() -> None:
    rig = Rig()
    following = asyncio.create_task(rig.alarms.follow())
    for count, version in enumerate(("v1", "v2"), 1):
        rig.alarms.on_status(status(site=version))
        query = await rig.asked(PageQuery, count)
        assert query.what == "served"
        served = msgspec.structs.replace(SERVED, site=version)
        rig.alarms.on_answer(PageAnswer(id=query.id, json=msgspec.json.encode(served)))
        await asyncio.wait_for(rig.alarms.ready.wait(), 5)
        async with asyncio.timeout(5):
            while rig.looks < count:
                await asyncio.sleep(0)
    rig.alarms.on_status(status(site="v2"))
    await asyncio.sleep(0)
    assert len(rig.sent) == 2
    following.cancel()
    place = rig.alarms.places()[ALARM]
    assert (place.severity, place.max_shelve_ms, place.name.zh) == (700, 60_000, "高")
    assert rig.alarms.path("X-1") == ("f9", "X-1")
    assert rig.alarms.path("") == ("f9",)
    assert (rig.alarms.asset_name("X-1"), rig.alarms.asset_name("f9")) == ("一号", "")


async def test_what_is_said_here_is_told_with_who_said_it() -> None:
    rig = Rig()
    book = AlarmBook(rig.alarms)
    rig.alarms.on_status(status(ROW))
    raised = book.take(ALARM, rig.alarms.shown()[ALARM])
    assert raised is not None
    assert (raised.message, raised.by) == ("高 105°C(限值 100°C)", "")
    good = OperatorResult(id="", accepted=True)
    refused = OperatorResult(id="", accepted=False, code="not_seen")
    assert await rig.act("acknowledge", refused) == "not_seen"
    assert await rig.act("comment", good, text="看过了") == ""
    spoken = book.take(ALARM, rig.alarms.shown()[ALARM])
    assert spoken is not None
    assert (spoken.by, spoken.comment) == ("li", "看过了")
    # an acknowledgement is told by the status that follows
    told = len(rig.changed)
    assert await rig.act("acknowledge", good, comment="去现场") == ""
    assert len(rig.changed) == told
    rig.alarms.on_status(status(msgspec.structs.replace(ROW, acked=True)))
    acked = book.take(ALARM, rig.alarms.shown()[ALARM])
    assert acked is not None
    assert (acked.state.acked, acked.by, acked.comment) == (True, "li", "去现场")
    # another occurrence has nothing to do with it
    rig.alarms.on_status(status(msgspec.structs.replace(ROW, occurrence="o2")))
    again = book.take(ALARM, rig.alarms.shown()[ALARM])
    assert again is not None
    assert (again.by, again.comment) == ("", "")


async def test_an_engine_that_is_silent_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_node.adapters.opcua_view.ANSWER_S", 0.01)
    rig = Rig()
    assert await rig.act("acknowledge", None) == "engine_did_not_answer"
    assert await rig.alarms.newest(ALARM) is None


async def test_the_page_s_password_lets_anybody_act_under_a_name() -> None:
    clock = ManualClock()
    door = EdgeDoor("secret", clock, anonymous=True)
    assert await door.admit(" li ", "secret", "here") == Pass(name="li")
    assert await door.admit("", "secret", "here") is None
    assert await door.admit("x" * 65, "secret", "here") is None
    for _ in range(MAX_FAILURES):
        assert await door.admit("li", "wrong", "here") is None
    assert await door.admit("li", "secret", "here") is None  # too many guesses from there
    assert await door.admit("li", "secret", "elsewhere") == Pass(name="li")
    assert await EdgeDoor(None, clock, anonymous=True).admit("li", "", "here") is None


@pytest.mark.parametrize("written", [None, "", "  \n"])
def test_a_password_file_that_cannot_be_used_is_said_so(
    tmp_path: Path, written: str | None
) -> None:
    path = tmp_path / "page"
    if written is not None:
        path.write_text(written)
    with pytest.raises(ConfigError):
        read_password(path, anonymous=True)
    assert read_password(None, anonymous=True) is None
    with pytest.raises(ConfigError, match="nobody could log in"):
        read_password(None, anonymous=False)


@pytest.mark.parametrize(
    ("url", "key", "why"),
    [
        ("http://127.0.0.1:4842", None, "not an address"),
        ("opc.tcp://127.0.0.1", None, "not an address"),
        ("opc.tcp://127.0.0.1:x", None, "not an address"),
        ("opc.tcp://127.0.0.1:4842", "k", "belong together"),
    ],
)
def test_where_it_cannot_listen_is_said(url: str, key: str | None, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        where(url, None, Path(key) if key else None, "f9")
