"""Rate limits, entity tags, what a database could never hold, and faults that nobody expected."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from pydantic import Field

from shared.clock import ManualClock
from shared.rates import RateSettings
from shared.web.app import WebOptions, create_base_app
from shared.web.auth import COOKIE, Place
from shared.web.boundary import LARGEST, StoreFaults
from shared.web.dto import Text
from shared.web.dto_base import Dto
from shared.web.etags import IfMatch, etag_of, if_match
from shared.web.paging import cursor_of, parts_of
from shared.web.problem import MEDIA_TYPE, ProblemError, words
from shared.web.rate_limits import Buckets
from shared.web.storable import fault_of_body, fault_of_query

PLACE = Place("factory", "f1", "一厂", "One")
RATES = RateSettings(per_account=1, account_burst=3, per_address=1, address_burst=8)


class Note(Dto):
    text: str = Field(max_length=5)
    number: int = 0


class Silent(Exception):
    pass


class Unstorable(Exception):
    pass


def make(clock: ManualClock, rates: RateSettings) -> FastAPI:
    options = WebOptions(rates, StoreFaults((Silent,), (Unstorable,)))
    app, held = create_base_app("x", PLACE, clock, None, options), [Text(zh="一", en="one")]

    @app.get("/api/text")
    async def read(response: Response) -> Text:
        response.headers["ETag"] = etag_of(held[0])
        return held[0]

    @app.get("/api/list")
    async def listed() -> list[int]:
        return [1, 2, 3]

    @app.put("/api/text")
    async def write(body: Text, match: IfMatch = None) -> Text:
        if_match(match, etag_of(held[0]))
        held[0] = body
        return body

    @app.post("/api/alarms/ack")
    async def note(body: Note) -> Note:
        return body

    @app.get("/api/plain")
    async def plain() -> PlainTextResponse:
        return PlainTextResponse("x")

    @app.get("/api/broken/{how}")
    async def broken(how: str) -> None:
        raise {"silent": Silent, "unstorable": Unstorable}.get(how, RuntimeError)("secret")

    @app.get("/api/letters/{token}/ack")
    async def letter(token: str) -> None:
        raise Silent

    @app.get("/api/alarms")
    async def alarms() -> list[int]:
        return [1]

    return app


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def client(clock: ManualClock) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=make(clock, RateSettings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as made:
        yield made


def problem(answer: httpx.Response, status: int, code: str) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    body = answer.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/api/problems/{code}")
    assert body["detail"]
    return body


async def test_what_has_not_changed_is_not_sent_again(client: httpx.AsyncClient) -> None:
    for path in ("/api/text", "/api/list"):
        first = await client.get(path)
        tag = first.headers["etag"]
        again = await client.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert (await client.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_a_change_of_another_version_is_refused(client: httpx.AsyncClient) -> None:
    tag = (await client.get("/api/text")).headers["etag"]
    mine, theirs = {"zh": "我", "en": "mine"}, {"zh": "他", "en": "theirs"}
    assert (
        await client.put("/api/text", json=theirs, headers={"If-Match": tag})
    ).status_code == 200
    late = await client.put("/api/text", json=mine, headers={"If-Match": tag})
    problem(late, 412, "precondition_failed")
    assert (await client.get("/api/text")).json() == theirs
    weak = (await client.get("/api/text")).headers["etag"]
    refused = await client.put("/api/text", json=mine, headers={"If-Match": f"W/{weak}"})
    assert refused.status_code == 412, "a weak tag never says that nothing was lost"
    assert (await client.put("/api/text", json=mine, headers={"If-Match": "*"})).status_code == 200
    assert (await client.put("/api/text", json=theirs)).status_code == 200


def test_a_tag_may_leave_out_what_only_says_how_late_it_is() -> None:
    before, after = Text(zh="a", en="1"), Text(zh="a", en="2")
    assert etag_of(before) != etag_of(after)
    assert etag_of(before, "en") == etag_of(after, "en")


async def test_a_form_that_is_not_offered_is_refused(client: httpx.AsyncClient) -> None:
    for accept, status in (
        ("application/json", 200), ("*/*", 200), ("text/html, application/*;q=0.1", 200), ("", 200),
        ("text/csv", 406), ("application/json;q=0", 406),
    ):  # fmt: skip
        answer = await client.get("/api/list", headers={"Accept": accept})
        assert answer.status_code == status, accept
    problem(await client.get("/api/list", headers={"Accept": "image/png"}), 406, "not_acceptable")
    assert (await client.get("/api/plain", headers={"Accept": "text/plain"})).text == "x"


async def test_every_error_is_a_problem(client: httpx.AsyncClient) -> None:
    problem(await client.get("/api/none-such"), 404, "not_found")
    wrong = await client.delete("/api/list")
    problem(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET"
    kind = {"Content-Type": "text/plain"}
    form = await client.post("/api/alarms/ack", content=b'{"text":"a"}', headers=kind)
    problem(form, 415, "unsupported_media_type")
    large = b'{"text":"' + b"a" * LARGEST + b'"}'
    problem(await client.post("/api/alarms/ack", content=large), 413, "too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(LARGEST // 50_000 + 1):
            yield b"a" * 50_000

    problem(await client.post("/api/alarms/ack", content=pieces()), 413, "too_large")
    body = problem(
        await client.post(
            "/api/alarms/ack", json={"text": "123456", "number": "x", "more": 1},
            headers={"Accept-Language": "en-GB,en;q=0.9"},
        ),
        422, "invalid_request",
    )  # fmt: skip
    faults = {tuple(f["at"]): f for f in body["params"]["faults"]}
    assert {at: f["code"] for at, f in faults.items()} == {
        ("body", "text"): "string_too_long", ("body", "number"): "int_parsing",
        ("body", "more"): "extra_forbidden",
    }  # fmt: skip
    assert faults["body", "text"]["text"] == {"zh": "最多 5 个字符", "en": "At most 5 characters"}
    assert body["detail"] == words()["en"]["invalid_request"]


async def test_a_fault_of_ours_tells_a_trace_and_nothing_else(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.get("/api/broken/x")
    trace = problem(answer, 500, "internal_error")["params"]["trace"]
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    logged = next(r for r in caplog.records if r.getMessage() == "request_failed")
    assert logged.fields["trace"] == trace
    assert logged.exc_info
    problem(await client.get("/api/broken/silent"), 503, "store_unavailable")
    problem(await client.get("/api/broken/unstorable"), 422, "invalid_request")


async def test_what_opens_a_door_stands_in_no_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    problem(await client.get("/api/letters/open-sesame%21/ack"), 503, "store_unavailable")
    logged = next(r for r in caplog.records if r.getMessage() == "store_unavailable")
    assert logged.fields["path"] == "/api/letters/…/ack"
    assert "open-sesame" not in "".join(str(vars(each)) for each in caplog.records)


async def test_what_a_code_means_can_be_read(client: httpx.AsyncClient) -> None:
    for code in ("not_found", "rate_limited"):
        told = (await client.get(f"/api/problems/{code}")).json()
        assert told["code"] == code
        assert told["text"] == {"zh": words()["zh"][code], "en": words()["en"][code]}
    problem(await client.get("/api/problems/nonsense"), 404, "unknown_code")


@pytest.mark.parametrize(
    ("body", "at", "kind"),
    [
        (b'{"text":"a\\u0000"}', ["body", "text"], "string_nul"),
        (b'{"text":["\\ud83d"]}', ["body", "text", "0"], "string_unicode"),
        (b'{"a":[{"b":9223372036854775808}]}', ["body", "a", "0", "b"], "int_parsing_size"),
        (b'{"a":-9223372036854775809}', ["body", "a"], "int_parsing_size"),
        (b'{"a":1e999}', ["body", "a"], "finite_number"),
        (b'{"a":NaN}', ["body", "a"], "finite_number"),
        (b'{"\\u0000":1}', ["body"], "string_unicode"),
    ],
)
async def test_what_no_database_can_hold_is_refused_before_a_route_sees_it(
    client: httpx.AsyncClient, body: bytes, at: list[str], kind: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/api/alarms/ack", content=body, headers=headers)
    [fault] = problem(answer, 422, "invalid_request")["params"]["faults"]
    assert (fault["at"], fault["code"]) == (at, kind)


def test_what_a_database_can_hold_passes() -> None:
    fine = {
        "a": "😀 \U0010ffff \u0001", "b": 2**63 - 1, "c": -(2**63), "d": 1.5e300,
        "e": "\\u0000 as text, 12345678901234567890123 too", "f": [None, True, {}],
    }  # fmt: skip
    assert fault_of_body(json.dumps(fine).encode()) is None
    assert fault_of_body(b"no json \\u0000") is None
    assert (
        fault_of_query(b"a=9223372036854775807&b=" + b"x" * 50 + b"&c=12345678901234567890x")
        is None
    )
    assert fault_of_query(b"a=1&since=9223372036854775808") == (
        ["query", "since"],
        "int_parsing_size",
    )
    assert fault_of_query(b"a=1&q=x%00y") == (["query", "q"], "string_nul")


async def test_a_path_with_nul_is_refused(client: httpx.AsyncClient) -> None:
    problem(await client.get("/api/broken/a%00b"), 422, "invalid_request")


def test_a_cursor_holds_what_was_put_in_and_nothing_else() -> None:
    assert parts_of(cursor_of(5, "一"), int, str) == [5, "一"]
    forged = [
        "", "x", "W10", cursor_of(), cursor_of("a\0"), cursor_of(2**63), cursor_of(1.5),
        cursor_of(None), cursor_of(True), cursor_of([1]), "AAAA" * 1000, cursor_of(5, 6), "é",
    ]  # fmt: skip
    for each in forged:
        with pytest.raises(ProblemError) as refused:
            parts_of(each, int, str)
        assert (refused.value.status, refused.value.code) == (400, "bad_cursor"), each


async def ask(
    client: httpx.AsyncClient, session: str, times: int, path: str = "/api/list"
) -> list[int]:
    cookie = {"Cookie": f"{COOKIE}={session}"} if session else {}
    return [(await client.get(path, headers=cookie)).status_code for _ in range(times)]


async def test_one_account_and_one_address_have_their_limits_and_acting_is_kept_free(
    clock: ManualClock,
) -> None:
    transport = httpx.ASGITransport(app=make(clock, RATES))
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as client:
        assert await ask(client, "a", 4) == [200, 200, 200, 429]
        assert await ask(client, "b", 1) == [200], "another account is not held up"
        clock.advance(1000)
        assert await ask(client, "a", 2) == [200, 429]
        assert await ask(client, "", 5) == [200] * 4 + [429], "nor is the address without end"
        refused = await client.get("/api/list")
        body = problem(refused, 429, "rate_limited")
        assert body["params"] == {"seconds": 1}
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["ratelimit"] == '"address";r=0;t=1'
        assert refused.headers["ratelimit-policy"] == '"address";q=8;w=8'
        # Lists are exhausted; an operator still acknowledges, logs in, and is found alive.
        acted = await client.post("/api/alarms/ack", json={"text": "a"})
        assert acted.status_code == 200
        assert acted.headers["ratelimit"] == '"address";r=31;t=0'
        assert (await client.get("/healthz")).status_code == 404


async def test_a_flood_of_lists_darkens_no_console_and_one_account_starves_no_other(
    clock: ManualClock,
) -> None:
    transport = httpx.ASGITransport(app=make(clock, RATES))
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as client:
        assert (await ask(client, "greedy", 50)).count(200) == RATES.account_burst
        assert await ask(client, "b", 3) == [200] * 3, "refused ones cost the address nothing"
        assert await ask(client, "", 3) == [200, 200, 429], "now the address has had its lists"
        # The wall of consoles comes back: another path, other buckets.
        for name in ("w1", "w2"):
            assert await ask(client, name, 3, "/api/alarms") == [200] * 3
        assert await ask(client, "w1", 1, "/api/alarms") == [429], "and that has its limits too"
        assert await ask(client, "", 3, "/api/alarms") == [200, 200, 429]


def test_buckets_are_bounded_in_memory() -> None:
    clock = ManualClock()
    buckets = Buckets(clock, 1, 1, most=100)
    for n in range(10_000):
        assert buckets.take(str(n))[0]
    assert len(buckets) == 100
    assert not buckets.take("9999")[0]
