"""The brain's figures: live, of a period and of the exported journal are the same, late or not."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from typer.testing import CliRunner

from factory_brain.adapters.postgres import kpi_journal
from factory_brain.application import kpis
from factory_brain.bootstrap import Brain
from shared.alarm.kpi import report
from shared.alarm.states import AlarmState
from shared.cli.alarms import app
from shared.messages.bodies import AlarmTransition
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from tests.support.brain_world import EDGE, FakeEdge, log_in, until

pytest_plugins = ("tests.support.brain_fixtures",)
NAMES = ("FUR-01.TT-101.HIHI", "FUR-01.TT-101.HI", "FUR-01.PT-101.LO")
WIDTH = 600_000


class Story:
    """A journal of one edge: raises, returns, answers, a shelf; then told in any order."""

    def __init__(self, seed: int, begin: int, end: int) -> None:
        self.random = random.Random(seed)
        self.events: list[tuple[int, AlarmTransition]] = []
        for alarm in NAMES:
            at, number = begin + self.random.randrange(60_000), 0
            while at < end:
                number += 1
                at = self._episode(alarm, number, at, end)

    def _episode(self, alarm: str, number: int, at: int, end: int) -> int:
        name, begin = f"{alarm}#{number}", at
        steps = [("raised", True, AlarmState(raw=True, active=True, acked=False))]
        draw = self.random.random()
        if draw < 0.4:
            steps.append(("acknowledged", False, AlarmState(raw=True, active=True)))
        elif draw < 0.5:
            steps.append(("re_alarmed", True, AlarmState(raw=True, active=True, acked=False)))
        elif draw < 0.6:
            shelved = AlarmState(raw=True, active=True, acked=False, shelf="T")
            steps.append(("shelved", False, shelved))
        if draw < 0.97:
            steps.append(("returned", False, AlarmState(acked=draw < 0.4)))
        for version, (kind, annunciate, state) in enumerate(steps, 1):
            body = AlarmTransition(
                alarm=alarm, occurrence=name, version=version, annunciated_version=1, kind=kind,
                annunciate=annunciate, settings_version=1, priority=1 + len(alarm) % 3,
                asset="FUR-01", tag=alarm.split(".")[1], side=alarm.split(".")[2],
                state=state.to_dict(), source_time=at, receive_time=at, raised_at=begin,
            )  # fmt: skip
            if at < end:
                self.events.append((at, body))
            at += self.random.choice([400, 5_000, 20_000, 59_600, 90_000, 400_000])
        return at + self.random.choice([900, 3_000, 20_000, 700_000])


async def tell(edge: FakeEdge, events: list[tuple[int, AlarmTransition]]) -> None:
    """Send them in frames, in the order given."""
    for start in range(0, len(events), 100):
        raws: list[msgspec.Raw] = []
        first = edge.seq + 1
        for at, body in events[start : start + 100]:
            edge.seq += 1
            event = Event(id=f"kpi-{edge.seq}", type=f"alarm.{body.kind}", time=at, body=body)
            raws.append(msgspec.Raw(encode(event)))
        frame = Frame(source=EDGE.source, epoch="ep", lane="live", first=first, events=raws)
        await edge.bus.publish_durable(EDGE.lane("live"), encode(frame), frame.message_id)


async def stored(brain: Brain, count: int) -> None:
    async def all_there() -> bool:
        return await brain.pool.fetchval("SELECT count(*) FROM event") >= count

    await until(all_there, 30)
    await brain.kpi_parts.figures.catch_up()


def flat(told: dict[str, Any]) -> dict[str, Any]:
    """The figures that the command line gives too."""
    both = {**told["performance"], **told["diagnostic"]}
    both["top3"] = [[each["alarm"], each["count"]] for each in both["top"][:3]]
    return both


async def offline(
    web: httpx.AsyncClient, tmp_path: Path, since: int, until_ms: int
) -> dict[str, Any]:
    """What the command line says of the exported journal."""
    got = await web.get("/api/journal.csv", params={"since": since, "until": until_ms})
    assert got.status_code == 200, got.text
    path = tmp_path / "exported.csv"
    path.write_bytes(got.content)
    start = datetime.fromtimestamp(since // 1000, UTC).replace(tzinfo=None).isoformat()
    asked = ["--start", start, "--horizon", str((until_ms // 1000) - since // 1000)]
    answer = CliRunner().invoke(app, ["kpi", str(path), "--full", "--json", *asked])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def plain(told: dict[str, Any]) -> dict[str, Any]:
    """Without the names that only the brain knows."""
    for each in told["diagnostic"]["top"]:
        each.pop("name", None)
    told.pop("series")  # for the plot: a period has it, a live figure has not
    return told


async def test_live_period_and_exported_figures_are_the_same_also_with_late_data(
    brain: Brain, edge: FakeEdge, web: httpx.AsyncClient, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # Small pages, and a storm from ten records on: both ways of reading are gone through.
    monkeypatch.setattr(kpi_journal, "PAGE", 40)
    monkeypatch.setattr(kpis, "RAW_MOST", 10)
    await log_in(web)
    now = brain.clock.now_ms() // 1000 * 1000
    story = Story(7, now - 40 * 3_600_000, now - 1000)
    late = [story.random.random() < 0.2 for _ in story.events]
    in_time = [e for e, is_late in zip(story.events, late, strict=True) if not is_late]
    came_late = [e for e, is_late in zip(story.events, late, strict=True) if is_late]
    story.random.shuffle(came_late)
    figures = brain.kpi_parts.figures
    await until(_loaded(brain), 20)
    sent = 0
    for part in (in_time, came_late):
        await tell(edge, part)
        sent += len(part)
        await stored(brain, sent)
        for window in ("10min", "1h", "shift", "24h", "30d"):
            live = await figures.figures(window, now)
            period = {"since": live.period.start, "until": live.period.end}
            asked = (await web.get("/api/kpi", params=period)).json()
            held = json.loads(json.dumps(report(live)))
            assert plain(asked) == held, window
            assert await offline(web, tmp_path, **_named(period)) == held, window
    assert held["performance"]["annunciations"] > 300
    assert held["performance"]["answers"]
    assert held["diagnostic"]["chattering"] > 0


def _named(period: dict[str, int]) -> dict[str, int]:
    return {"since": period["since"], "until_ms": period["until"]}


def _loaded(brain: Brain) -> Any:
    async def loaded() -> bool:
        return brain.kpi_parts.figures.loaded

    return loaded


async def test_figures_can_be_opened_narrowed_and_refused(
    brain: Brain, edge: FakeEdge, web: httpx.AsyncClient
) -> None:
    assert (await web.get("/api/kpi")).status_code == 401
    await log_in(web)
    now = brain.clock.now_ms()
    story = Story(3, now - 2 * 3_600_000, now - 5000)
    await tell(edge, story.events)
    await stored(brain, len(story.events))
    whole = (await web.get("/api/kpi")).json()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kpi_journal, "PAGE", 2)  # pages that end within a millisecond
        period = {"since": whole["since"], "until": whole["until"]}
        assert (await web.get("/api/kpi", params=period)).json() == whole
    some = (await web.get("/api/kpi", params={"area": "FUR-01", "edge": "e1"})).json()
    count = whole["performance"]["annunciations"]
    assert count > 20
    assert some["performance"]["annunciations"] <= count
    none = (await web.get("/api/kpi", params={"edge": "e2"})).json()
    assert none["performance"]["annunciations"] == 0
    first = (
        await web.get("/api/kpi/alarms", params={"metric": "annunciations", "limit": 2})
    ).json()
    rest = (
        await web.get(
            "/api/kpi/alarms",
            params={"metric": "annunciations", "limit": 2, "cursor": first["next"]},
        )
    ).json()
    assert rest["next"] is None
    values = [each["value"] for each in first["items"] + rest["items"]]
    assert sum(values) == count
    assert values == sorted(values, reverse=True)
    live = (await web.get("/api/kpi/live")).json()
    assert set(live["windows"]) == {"10min", "1h", "shift", "24h", "30d"}
    assert live["limits"]["flood_over"] == 10
    for params, status, code in (
        ({"since": 5, "until": 5}, 400, "bad_period"),
        ({"since": 0, "until": now}, 400, "bad_period"),
        ({"edge": "e9"}, 404, "unknown_edge"),
    ):
        answer = await web.get("/api/kpi", params=params)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_the_banner_says_flood_from_the_eleventh_alarm_on(
    brain: Brain, edge: FakeEdge, web: httpx.AsyncClient
) -> None:
    await log_in(web)
    now = brain.clock.now_ms()

    def raise_(number: int) -> tuple[int, AlarmTransition]:
        at = now - 20_000 + number
        state = AlarmState(raw=True, active=True, acked=False).to_dict()
        return at, AlarmTransition(
            alarm=f"FUR-01.T{number}.HI", occurrence=f"o{number}", version=1,
            annunciated_version=1, kind="raised", annunciate=True, settings_version=1, priority=2,
            asset="FUR-01", tag=f"T{number}", side="HI", state=state, source_time=at,
            receive_time=at, raised_at=at,
        )  # fmt: skip

    async def banner(rate: int) -> dict[str, Any] | None:
        told = (await web.get("/api/alarms")).json()["banner"]
        return told if told["alarms_10min"] == rate else None

    await tell(edge, [raise_(n) for n in range(10)])
    assert (await until(lambda: banner(10)))["flood"] is False
    await tell(edge, [raise_(10)])
    assert (await until(lambda: banner(11)))["flood"] is True
