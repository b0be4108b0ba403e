"""What sinks write, in each target's own words, and what a forwarder does when it is refused."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select

from factory_brain.adapters.sinks import influx, kafka, sql
from factory_brain.adapters.sinks.influx import KIND as INFLUX
from factory_brain.adapters.sinks.kafka import KIND as KAFKA
from factory_brain.adapters.sinks.kafka import options
from factory_brain.adapters.sinks.kafka_messages import event_message, sample_message
from factory_brain.adapters.sinks.line_protocol import event_line, line, sample_line
from factory_brain.adapters.sinks.sql import (
    EVENTS,
    METADATA,
    SAMPLES,
    event_values,
    put,
    put_missing,
)
from factory_brain.adapters.sinks.sql import KIND as SQL
from factory_brain.application.sinks.forwarder import Forwarder
from factory_brain.application.sinks.port import (
    EventRow,
    SampleRow,
    SinkBatch,
    SinkRefusal,
    SinkUnreachable,
)
from shared.clock import ManualClock
from shared.paths import demo_sites
from shared.site.links import EVENT
from shared.site.loader import load_site
from shared.site.sinks import SinkSpec

NS = 1_000_000
VIEW = dict.fromkeys(EVENT) | {
    "type": "alarm.raised", "kind": "raised", "alarm": "A.1", "asset": "FUR-01", "edge": "e1",
    "priority": 2, "value": 12.5, "active": True, "late": False,
    "text_zh": "炉温高", "text_en": "hot",
}  # fmt: skip


def event(seq: int = 7, at: int = 1_700_000_000_123, **view: Any) -> EventRow:
    return EventRow("f1.e1", "ep", "live", seq, f"ev-{seq}", at, at + 5, VIEW | view, b'{"a":1}')


def spec(kind: str, url: str, **more: Any) -> SinkSpec:
    return SinkSpec.model_validate({"id": "s", "kind": kind, "url": url, "events": "true"} | more)


def parsed(text: str) -> tuple[str, dict[str, str], dict[str, Any], int]:
    """Read a line as InfluxDB documents it: unescaped commas, equals signs and spaces part it."""

    def until(stops: str, at: int) -> tuple[str, int]:
        out = ""
        while text[at] not in stops:
            if text[at] == "\\" and text[at + 1] in ",= ":
                at += 1
            out += text[at]
            at += 1
        return re.sub("%([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), out), at

    name, at = until(", ", 0)
    tags: dict[str, str] = {}
    while text[at] == ",":
        key, at = until("=", at + 1)
        tags[key], at = until(", ", at + 1)
    fields: dict[str, Any] = {}
    at += 1
    while True:
        key, at = until("=", at)
        at += 1
        if text[at] == '"':
            end = at + 1
            while text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            fields[key] = re.sub(r'\\([\\"])', r"\1", text[at + 1 : end])
            at = end + 1
        else:
            raw, at = until(", ", at)
            fields[key] = (
                raw == "true" if raw in ("true", "false")
                else int(raw[:-1]) if raw.endswith("i") else float(raw)
            )  # fmt: skip
        if text[at] == " ":
            return name, tags, fields, int(text[at + 1 :])
        at += 1


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
VALUES = st.one_of(
    WORDS, st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip


@given(
    WORDS, st.dictionaries(WORDS, WORDS, max_size=3),
    st.dictionaries(WORDS, VALUES, min_size=1, max_size=4), st.integers(-(1 << 62), 1 << 62),
)  # fmt: skip
def test_line_protocol_comes_back_as_it_was(
    name: str, tags: dict[str, str], fields: dict[str, Any], at: int
) -> None:
    text = line(name, tags, fields, at)
    head = text.split('"')[0]
    assert "\n" not in head
    assert parsed(text) == (name, tags, fields, at)


def test_events_of_one_millisecond_are_different_points() -> None:
    lines = {parsed(event_line(event(seq)))[3] for seq in (1, 2, 3)}
    assert lines == {1_700_000_000_123 * NS + seq for seq in (1, 2, 3)}
    assert event_line(event()) == event_line(event())  # a repetition is the same point
    _, tags, fields, _ = parsed(event_line(event()))
    assert tags["source"] == "f1.e1"
    assert (fields["id"], fields["priority"], fields["text_zh"]) == ("ev-7", 2, "炉温高")
    assert "limit" not in fields


def test_a_sample_without_value_still_tells_its_quality() -> None:
    *_, fields, at = parsed(sample_line(SampleRow("TT-101", "FUR-01", 5, None, 2)))
    assert (fields, at) == ({"quality": 2}, 5 * NS)


def test_kafka_messages_are_cloud_events_keyed_by_the_alarm() -> None:
    told = event_message(event(), "f1", "andon")
    headers = dict(told.headers)
    assert (told.topic, told.key) == ("andon.events", b"A.1")
    assert headers == {
        "ce_specversion": b"1.0", "ce_id": b"ev-7", "ce_source": b"/andon/f1/e1",
        "ce_type": b"andon.alarm.raised", "ce_time": b"2023-11-14T22:13:20.123Z",
        "ce_subject": b"A.1", "content-type": b"application/json",
    }  # fmt: skip
    body = json.loads(told.value)
    assert (body["value"], body["text_zh"], body["seq"]) == (12.5, "炉温高", 7)
    assert event_message(event(alarm=None), "f1", "andon").key == b"FUR-01"
    sample = sample_message(SampleRow("TT-101", "FUR-01", 5, 1.5, 0), "f1", "andon")
    assert (sample.topic, sample.key, dict(sample.headers)["ce_id"]) == (
        "andon.samples", b"TT-101", b"TT-101/5"
    )  # fmt: skip


def test_kafka_waits_for_all_replicas_and_never_sends_a_password_in_the_clear() -> None:
    plain = options(spec("kafka", "kafka://a:9092,b:9092/t"), "")
    assert plain["bootstrap_servers"] == ["a:9092", "b:9092"]
    assert (plain["acks"], plain["enable_idempotence"]) == ("all", True)
    hub = spec("kafka", "kafkas://$ConnectionString@h:9093/t", secret="hub")
    found = options(hub, "Endpoint=sb://…")
    assert (found["security_protocol"], found["sasl_plain_username"]) == (
        "SASL_SSL", "$ConnectionString"
    )  # fmt: skip
    assert KAFKA.fault(hub) is None
    for url in ("kafka://u@h:9092/t", "http://h/t", "kafka://h:9092", "kafkas://u@h:9093/t"):
        assert KAFKA.fault(spec("kafka", url)) is not None


@pytest.mark.parametrize("way", [put, put_missing])
def test_sql_rows_are_inserted_once(way: Any) -> None:
    engine = create_engine("sqlite://")
    rows = [event_values(event(n)) for n in range(500)]
    with engine.begin() as connection:
        METADATA.create_all(connection)
        way(connection, EVENTS, rows[:300])
        way(connection, EVENTS, rows[200:])
        way(connection, EVENTS, rows)
        found = connection.execute(select(EVENTS.c.id)).scalars().all()
    engine.dispose()
    assert sorted(found) == sorted(row["id"] for row in rows)
    assert SAMPLES.primary_key.columns.keys() == ["tag", "time"]


def test_urls_that_lead_nowhere_are_told_with_a_mend() -> None:
    for kind, wrong, right in (
        (SQL, "nosuchdb://h/d", "sqlite:///x.db"),
        (SQL, "oracle+oracledb://h/d", "mysql+pymysql://u@h/d"),
        (INFLUX, "http://h:8086", "http://h:8086/write?db=x"),
        (INFLUX, "http://h:8086/api/v2/write?org=o", "http://h/api/v2/write?org=o&bucket=b"),
    ):
        fault = kind.fault(spec("x", wrong))
        assert fault is not None
        assert all(fault)
        assert kind.fault(spec("x", right)) is None


async def test_influx_version_2_is_spoken_with_a_token_and_gzip() -> None:
    seen: list[tuple[str, dict[str, str], bytes]] = []
    answers = [204, 422, 503, 401]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append((self.path, dict(self.headers), gzip.decompress(body)))
            self.send_response(answers[len(seen) - 1])
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/api/v2/write?org=o&bucket=b"
    sink = INFLUX.open(spec("influx", url, secret="t"), "tok", "f1")
    batch = SinkBatch(events=[event()])
    try:
        await sink.write(batch)
        with pytest.raises(SinkRefusal):
            await sink.write(batch)
        for _ in range(2):  # a server's or a settings' fault loses nothing: it is tried again
            with pytest.raises(SinkUnreachable):
                await sink.write(batch)
    finally:
        await sink.close()
        server.shutdown()
        server.server_close()
    path, headers, body = seen[0]
    assert path == "/api/v2/write?org=o&bucket=b&precision=ns"
    assert {k.lower(): v for k, v in headers.items()}["authorization"] == "Token tok"
    assert body.decode() == event_line(event())


@pytest.mark.parametrize("kind", [INFLUX, SQL, KAFKA])
async def test_a_large_batch_is_encoded_beside_the_event_loop(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[int] = set()

    def noted(module: Any, name: str) -> None:
        whole = getattr(module, name)

        def encode(*parts: Any) -> Any:
            seen.add(threading.get_ident())
            return whole(*parts)

        monkeypatch.setattr(module, name, encode)

    for module, name in (
        (influx, "event_line"), (sql, "event_values"), (kafka, "event_message"),
    ):  # fmt: skip
        noted(module, name)
    url = {INFLUX: "http://127.0.0.1:9/write?db=x", SQL: "sqlite://", KAFKA: "kafka://h:9/t"}[kind]
    monkeypatch.setattr(kafka, "AIOKafkaProducer", HungProducer)
    monkeypatch.setattr(kafka, "STOP_S", 0.05, raising=False)
    sink = kind.open(spec("x", url), "", "f1")
    with contextlib.suppress(SinkUnreachable, TimeoutError):
        async with asyncio.timeout(3):
            await sink.write(SinkBatch(events=[event(n) for n in range(5)]))
    await sink.close()
    assert seen
    assert threading.get_ident() not in seen


class HungProducer:
    """Takes messages, confirms none, and ends only when it is cut off."""

    made: ClassVar[list[HungProducer]] = []

    def __init__(self, **_: Any) -> None:
        self.cut = asyncio.Event()
        self.sender_task = asyncio.create_task(self.cut.wait())
        self._sender = self.client = self
        self.made.append(self)

    async def start(self) -> None:
        pass

    async def send(self, *_: Any, **__: Any) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        await self.cut.wait()

    async def close(self) -> None:
        self.cut.set()


async def test_a_cluster_that_never_answers_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka, "AIOKafkaProducer", HungProducer)
    monkeypatch.setattr(kafka, "STOP_S", 0.05, raising=False)
    sink = KAFKA.open(spec("kafka", "kafka://h:9/t"), "", "f1")
    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await sink.write(SinkBatch(events=[event()]))
        await sink.close()
    assert HungProducer.made[-1].cut.is_set()
    assert HungProducer.made[-1].sender_task.done()


async def test_a_fault_is_over_when_nothing_waits_any_more() -> None:
    """What it could not write was lost for its age, or another brain wrote it."""
    forwarder = Forwarder(
        spec("sql", "sqlite://", events="", samples={"tags": ["*"]}), cast(Any, None),
        cast(Any, None), cast(Any, NothingWaits()), load_site(demo_sites() / "f1"), ManualClock(),
        "me",
    )  # fmt: skip
    state = forwarder.state
    state.failing_since, state.error, state.attempts = 5, "no answer in 20 s", 3
    assert await forwarder.round() is False
    assert (state.failing_since, state.error, state.attempts) == (None, "", 0)


class NothingWaits:
    async def own(self, *_: Any) -> bool:
        return True

    async def samples(self, *_: Any) -> None:
        return None
