"""Units on a real brain: reported, told by tags in any order, asked for, traced, exported."""

from __future__ import annotations

import asyncio
import json
import os
import random
import struct
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from typer.testing import CliRunner

from factory_brain.adapters.postgres.unit_reads import UnitReadsPg
from factory_brain.adapters.postgres.unit_store import UnitStore
from factory_brain.application.units.ports import Passage, Wanted
from factory_brain.bootstrap import Brain
from factory_brain.domain.samples import Columns
from factory_brain.domain.units.spans import Span
from factory_brain.domain.units.stays import Reading, stays
from shared.cli.identity import app as identity
from shared.cli.main import app as andon
from shared.clock import SystemClock
from shared.messages.bodies import LinkedEvent, SampleBatch
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from shared.site.fields import Names
from shared.site.process import StationSpec, UnitTags
from tests.support.brain_world import ALARM, EDGE, FakeEdge, log_in, transition, until

pytest_plugins = ("tests.support.brain_fixtures",)
RAISED = 1_700_000_000_001
DAY = 86_400_000
NAME = Names(zh="压机", en="Press")


async def _report(web: httpx.AsyncClient, key: str, **body: Any) -> dict[str, Any]:
    answer = await web.post("/api/units/passages", json=body, headers={"Idempotency-Key": key})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _get(web: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await web.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _stay(unit: str, entered: int, left: int | None, **more: Any) -> dict[str, Any]:
    return {"unit": unit, "station": "HEATING", "entered_at": RAISED + entered,
            "left_at": None if left is None else RAISED + left, "batch": "B-1", **more}  # fmt: skip


async def test_what_was_reported_is_kept_once_and_answers_what_happened(
    brain: Brain, edge: FakeEdge, web: httpx.AsyncClient, tmp_path: Path
) -> None:
    await log_in(web)
    raised = msgspec.structs.replace(
        transition(1, active=True, acked=False, kind="raised"),
        clock_uncertainty_ms=20.0, clock_offset_ms=0.0,
    )  # fmt: skip
    await edge.send(raised)
    returned = msgspec.structs.replace(
        transition(60_000, active=False, acked=False, kind="returned"),
        returned_at=1_700_000_060_000, clock_uncertainty_ms=20.0, clock_offset_ms=0.0,
    )  # fmt: skip
    await edge.send(returned)
    samples = [("TT-101", RAISED + n * 1000, 1200.0 + n, 0) for n in range(0, 100, 5)]
    async with brain.alarms.transaction() as tx:
        await brain.samples.insert(tx, [Columns.of(samples)])
    passages = [
        _stay("S-before", -90_000, -5_000), _stay("S-in", 10_000, 50_000, attributes={"d": 240.5}),
        _stay("S-edge", 59_990, None), _stay("S-after", 90_000, 95_000),
        {**_stay("S-x", 0, 1), "station": "NOWHERE"}, _stay("S-x", 5, 1),
    ]  # fmt: skip
    kin = [{"parent": "S-in", "child": "C-1", "kind": "split_from", "at": RAISED + 70_000}]
    first = await _report(web, "key-00001", passages=passages, relations=kin)
    codes = [each["code"] for each in first["passages"]]
    assert codes == ["ok", "ok", "ok", "ok", "unknown_station", "passage_backward"]
    assert first["changed"] == 5
    assert await _report(web, "key-00001", passages=passages, relations=kin) == first
    again = await _report(web, "key-00002", passages=passages[:4], relations=kin)
    assert again["changed"] == 0
    left = {**passages[2], "left_at": RAISED + 80_000}
    assert (await _report(web, "key-00003", passages=[left]))["changed"] == 1

    async def both() -> bool:
        return (await web.get("/api/trace/alarm/occ-1")).text.count('"returned"') > 0

    await until(both)
    await _out_of_limits(web)
    await _what_happened(web)
    await _exports(brain, web)
    await _command_line(brain, tmp_path)
    await _by_area(brain, web)
    await _in_turn(brain, web)
    await _rolled_up(brain, web)


async def _out_of_limits(web: httpx.AsyncClient) -> None:
    span = {"since": RAISED - 100_000, "until": RAISED + 200_000}
    by_alarm = await _get(web, "/api/units", out_of_limits=ALARM, **span)
    assert [(p["unit"], p["uncertain"]) for p in by_alarm["items"]] == [
        ("S-in", False), ("S-edge", True),
    ]  # fmt: skip
    assert by_alarm["items"][0]["occurrences"] == ["occ-1"]
    page = await _get(web, "/api/units", out_of_limits=ALARM, limit=1, **span)
    rest = await _get(web, "/api/units", out_of_limits=ALARM, limit=1, cursor=page["next"], **span)
    assert [p["unit"] for p in page["items"] + rest["items"]] == ["S-in", "S-edge"]
    by_value = await _get(web, "/api/units", out_of_limits="TT-101", above=1285, **span)
    assert [p["unit"] for p in by_value["items"]] == ["S-after"]
    listed = await _get(web, "/api/units", batch="B-1", **span)
    assert [p["unit"] for p in listed["items"]] == ["S-before", "S-in", "S-edge", "S-after"]
    for params, code in (
        ({"out_of_limits": "NO-SUCH"}, "unknown_limit_of"),
        ({"out_of_limits": ALARM, "above": 1}, "limit_of_alarm"),
        ({"out_of_limits": "CMP-01.RUN", "above": 1}, "no_station_there"),
        ({"out_of_limits": "FT-101"}, "tag_without_limit"),
        ({"cursor": "nonsense"}, "bad_cursor"),
        ({"out_of_limits": "TT-101", "above": 1, "since": RAISED - 101 * DAY, "until": RAISED},
         "bad_period"),
    ):  # fmt: skip
        assert (await web.get("/api/units", params=params)).json()["code"] == code


async def _rolled_up(brain: Brain, web: httpx.AsyncClient) -> None:
    asked = {"out_of_limits": "TT-101", "above": 1285, "since": RAISED - 100_000,
             "until": RAISED + 200_000}  # fmt: skip
    await brain.rollups.samples()
    exact = (await _get(web, "/api/units", **asked))["items"]
    assert [(p["unit"], p["uncertain"]) for p in exact] == [("S-after", False)]
    await brain.pool.execute("DELETE FROM sample_raw")  # what is left is the minute
    known = (await _get(web, "/api/units", **asked))["items"]
    assert "S-after" in [p["unit"] for p in known]
    assert all(p["uncertain"] for p in known)


async def _what_happened(web: httpx.AsyncClient) -> None:
    unit = await _get(web, "/api/units/S-in")
    (stay,) = unit["stays"]
    assert [a["alarm"] for a in stay["alarms"]] == [ALARM]
    value = next(v for v in stay["values"] if v["tag"] == "TT-101")
    assert (value["low"], value["high"], value["out"]) == (1210.0, 1250.0, True)
    assert value["average"] == pytest.approx(1230, abs=4)
    assert value["limits"]["HIHI"] == 1280.0
    assert unit["relations"][0]["child"] == "C-1"
    kinds = [entry["kind"] for entry in unit["timeline"]]
    assert kinds.index("raised") < kinds.index("entered") < kinds.index("left")
    assert kinds.index("left") < kinds.index("returned") < kinds.index("split_from")
    batch = await _get(web, "/api/batches/B-1")
    assert [(s["station"], s["units"]) for s in batch["stations"]] == [("HEATING", 4)]
    assert (await web.get("/api/units/none")).json()["code"] == "unknown_unit"
    trace = await _get(web, "/api/trace/alarm/occ-1")
    assert {"S-in", "S-edge"} <= {entry["unit"] for entry in trace["entries"]}
    left = next(e for e in trace["entries"] if e["unit"] == "S-edge")
    assert left["uncertain"]
    assert left["clock"] == "rest:admin"
    assert [s["tag"] for s in trace["signals"]] == ["TT-101"]
    incident = await until(lambda: _incident(web))
    told = await _get(web, f"/api/trace/incident/{incident}")
    assert "occ-1" in {entry["occurrence"] for entry in told["entries"]}
    assert (await web.get("/api/trace/batch/none")).status_code == 404


async def _incident(web: httpx.AsyncClient) -> str | None:
    found = (await _get(web, "/api/incidents", state="all"))["items"]
    return found[0]["id"] if found else None


async def _exports(brain: Brain, web: httpx.AsyncClient) -> None:
    for kind, name in (("alarm", "occ-1"), ("unit", "S-in"), ("batch", "B-1")):
        pdf = await web.get(f"/api/trace/{kind}/{name}", params={"format": "pdf"})
        assert pdf.status_code == 200
        assert pdf.content.startswith(b"%PDF-")
    table = await web.get("/api/trace/unit/S-in", params={"format": "csv"})
    assert table.content.startswith(b"\xef\xbb\xbftime_utc,")
    assert "S-in" in table.text
    assert table.headers["content-disposition"].startswith("attachment")
    rows = await brain.pool.fetch("SELECT target FROM audit WHERE action = 'trace.exported'")
    assert [row["target"] for row in rows] == ["alarm occ-1", "unit S-in", "batch B-1", "unit S-in"]


async def _andon(*words: str) -> tuple[int, str]:
    """The verb in a thread: it waits for the brain, which runs in this one."""
    done = await asyncio.to_thread(CliRunner().invoke, andon, ["trace", *words])
    return done.exit_code, done.output + str(done.exception or "")


async def _command_line(brain: Brain, folder: Path) -> None:
    console = f"http://127.0.0.1:{brain.settings.http_port}"
    for name, text in (
        ("run/up.json", json.dumps({"pid": os.getpid(), "console": {"f1": console}})),
        ("secrets/admin-password", "correct horse\n"), ("wrong", "wrong\n"),
    ):  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    state = "--state", str(folder)
    code, told = await _andon("unit", "S-in", *state)
    assert code == 0, told
    assert "HEATING S-in" in told
    code, told = await _andon("alarm", "occ-1", *state, "--factory", "f1", "--json")
    assert code == 0, told
    assert {"S-in", "S-edge"} <= {entry["unit"] for entry in json.loads(told)["entries"]}
    files = folder / "b.csv", folder / "b.pdf"
    given = "--csv", str(files[0]), "--pdf", str(files[1])
    code, told = await _andon("batch", "B-1", *given, *state)
    assert code == 0, told
    assert b"S-in" in files[0].read_bytes()
    assert files[1].read_bytes().startswith(b"%PDF-")
    for words, said in (
        (("unit", "none", *state), "unknown_subject_of_trace"),
        (("unit", "S-in", *state, "--factory", "f9"), "f9"),
        (("unit", "S-in", "--factory", console, "--password-file", str(folder / "wrong")),
         "wrong_login"),
        (("unit", "S-in", "--factory", console), "no password"),
        (("unit", "S-in", "--state", str(folder / "none")), "which factory"),
    ):  # fmt: skip
        code, told = await _andon(*words)
        assert code != 0
        assert said in told


async def _by_area(brain: Brain, web: httpx.AsyncClient) -> None:
    """What is at no known place is handed out by those alone who may export everywhere."""
    kin = [{"parent": "LOOSE", "child": "PART", "kind": "assembled_into", "at": RAISED}]
    assert (await _report(web, "key-00009", relations=kin))["changed"] == 1
    assert (await web.get("/api/trace/unit/LOOSE", params={"format": "csv"})).status_code == 200
    grants = ["--grant", "engineer:FUR-01", "--database-url", brain.settings.database_url]
    done = await asyncio.to_thread(
        CliRunner().invoke, identity, ["user", "add", "ming", *grants], input="a good sentence\n"
    )
    assert done.exit_code == 0, done.output
    url = f"http://127.0.0.1:{brain.settings.http_port}"
    async with httpx.AsyncClient(base_url=url, timeout=10) as own:
        login = {"username": "ming", "password": "a good sentence"}
        assert (await own.post("/api/session", json=login)).status_code == 204
        assert (await own.get("/api/trace/unit/S-in", params={"format": "csv"})).status_code == 200
        refused = await own.get("/api/trace/unit/LOOSE", params={"format": "csv"})
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed_here")


async def _in_turn(brain: Brain, web: httpx.AsyncClient) -> None:
    """Who asks too much is told so; an operator's page never waits for it."""
    turns, done = brain.unit_parts.turns, asyncio.Event()

    async def ask() -> None:
        async with turns.one():
            await done.wait()

    asking = [asyncio.create_task(ask()) for _ in range(6)]  # two that run, four that wait
    await asyncio.sleep(0)
    for path in ("/api/units", "/api/units/S-in", "/api/batches/B-1", "/api/trace/alarm/occ-1"):
        refused = await web.get(path)
        assert (refused.status_code, refused.json()["code"]) == (503, "questions_busy")
    assert (await web.get("/api/alarms")).status_code == 200
    done.set()
    await asyncio.wait_for(asyncio.gather(*asking), 10)
    assert (await web.get("/api/units/S-in")).status_code == 200


UNIT_TAGS = UnitTags(tag="FT-101", prefix="P-", batch="PT-101", inside="FAN-01.RUN")


async def test_numbers_that_come_late_twice_and_mixed_make_the_same_stays(brain: Brain) -> None:
    brain.site.stations["PRESS"] = StationSpec(
        id="PRESS", asset="FUR-01", name=NAME, unit=UNIT_TAGS
    )
    # Of two days ago: within what a factory keeps of raw samples, which are swept while this runs.
    first = (SystemClock().now_ms() // DAY - 2) * DAY + DAY // 2
    for seed in range(6):
        chance = random.Random(seed)
        start = first + seed * 10_000_000
        readings: list[Reading] = sorted(
            {
                (at, role): (at, role, float(chance.randint(0, 1 if role == "inside" else 3)))
                for role in ("unit", "batch", "inside")
                for at in (start + chance.randint(0, 300) for _ in range(30))
            }.values(),
            key=lambda each: (each[0], each[1]),
        )  # type: ignore[arg-type]
        tags = UNIT_TAGS.roles()
        rows = [(tags[role], at, value, 0) for at, role, value in readings]
        chance.shuffle(rows)
        rows += rows[:10]
        while rows:
            batch, rows = rows[:7], rows[7:]
            async with brain.alarms.transaction() as tx:
                columns = [Columns.of(batch)]
                await brain.samples.insert(tx, columns)
                for told in brain.ingest.on_samples:
                    await told(tx, columns)
        before = await _last_values(brain, start)
        wanted = [
            (s.unit, s.entered_at, s.left_at, s.batch) for s in stays(readings, UNIT_TAGS, before)
        ]
        found = await brain.pool.fetch(
            "SELECT unit, entered_at, left_at, batch FROM unit_passage WHERE station = 'PRESS' "
            "AND entered_at >= $1 ORDER BY entered_at", start,
        )  # fmt: skip
        assert [tuple(row) for row in found] == wanted, seed


async def _last_values(brain: Brain, at: int) -> dict[Any, float]:
    found = {}
    for role, tag in UNIT_TAGS.roles().items():
        row = await brain.samples.last_before(tag, at - 1)
        if row is not None:
            found[role] = row["value"]
    return found


async def test_units_at_a_time_are_those_that_plain_counting_finds(brain: Brain) -> None:
    reads, chance = UnitReadsPg(brain.pool), random.Random(7)
    units = [
        Passage(f"U{n}", chance.choice("AB"), "FUR-01", at, chance.choice([None, at, at + long]),
                chance.choice(["", "B1"]))
        for n in range(400)
        for at, long in [(chance.randint(0, 2000), chance.randint(0, 300))]
    ]  # fmt: skip
    async with brain.alarms.transaction() as tx:
        store = UnitStore(brain.alarms, brain.site, brain.clock)
        assert await store.put(tx, units, 1) == 400
    for _ in range(60):
        spans = [
            Span(at, at + chance.randint(1, 80), unsure=chance.choice([0, 7]))
            for at in (chance.randint(0, 2300) for _ in range(chance.randint(1, 4)))
        ]
        stations, batch = chance.choice([None, ["A"]]), chance.choice([None, "B1"])
        found = await reads.during(spans, Wanted(0, 1 << 50, stations, batch), None, 1000)
        plain = sorted(
            p.key for p in units
            if any(s.overlaps(p.entered_at, p.left_at, s.unsure) for s in spans)
            and (stations is None or p.station in stations) and batch in (None, p.batch)
        )  # fmt: skip
        assert [p.key for p in found] == plain


async def test_tags_and_webhooks_tell_of_units_each_once(brain: Brain, edge: FakeEdge) -> None:
    stations = brain.site.stations
    stations["PRESS"] = StationSpec(
        id="PRESS", asset="FUR-01", name=NAME, unit=UnitTags(tag="FT-101")
    )
    stations["SCAN"] = StationSpec(
        id="SCAN",
        asset="FUR-01",
        name=NAME,
        event="slab.seen",
        stay="5s",  # type: ignore[arg-type]
    )
    rows = [(RAISED + n * 1000, float(n // 2)) for n in range(8)]
    columns = Columns.of([("FT-101", at, value, 0) for at, value in rows])
    body = _batch(columns)
    await _send(edge, "history", 1, Event(id="h-1", type="samples", time=RAISED, body=body))
    seen = LinkedEvent(link="mes", kind="slab.seen", asset="FUR-01", names={"en": "S-9"})
    await asyncio.sleep(0.3)  # the reader of events begins once a station asks for them
    await brain.pool.execute("INSERT INTO feed_consumer VALUES ('units') ON CONFLICT DO NOTHING")
    await _send(edge, "live", 1, Event(id="l-1", type="linked", time=RAISED, body=seen))

    async def passages() -> list[tuple[Any, ...]]:
        found = await brain.pool.fetch(
            "SELECT station, unit, entered_at - $1, left_at - $1, source FROM unit_passage "
            "ORDER BY station, entered_at", RAISED,
        )  # fmt: skip
        return [tuple(row) for row in found] if len(found) == 4 else []

    assert await until(passages, 15) == [
        ("PRESS", "1", 2000, 4000, "tag"), ("PRESS", "2", 4000, 6000, "tag"),
        ("PRESS", "3", 6000, None, "tag"), ("SCAN", "S-9", 0, 5000, "link:mes"),
    ]  # fmt: skip


def _batch(columns: Columns) -> Any:
    count = len(columns.times)
    return SampleBatch(
        names=columns.names, tags=struct.pack(f"<{count}i", *columns.tags),
        times=struct.pack(f"<{count}q", *columns.times),
        values=struct.pack(f"<{count}d", *columns.values), qualities=columns.qualities,
    )  # fmt: skip


async def _send(edge: FakeEdge, lane: str, seq: int, event: Event) -> None:
    frame = Frame(
        source=EDGE.source, epoch="ep", lane=lane, first=seq, events=[msgspec.Raw(encode(event))],
    )  # fmt: skip
    await edge.bus.publish_durable(EDGE.lane(lane), encode(frame), frame.message_id)
