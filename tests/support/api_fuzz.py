"""Asks every operation of a running tier what its OpenAPI document allows, and what it does not.

Schemathesis makes the cases (seeded, bounded); beside its own checks every refusal must be a
problem with a code that has words.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks as of_openapi

from shared.web.auth import COOKIE
from shared.web.problem import MEDIA_TYPE, words

ENDLESS = {"GET /api/stream"}
OWN_SESSION = {"DELETE /api/session"}
"""Asked without the session, which it would end."""
HOSTILE = (
    "%00", "%ED%A0%80", "9" * 30, "..%2F..%2Fetc", quote("' OR 1=1 --"), "x" * 3000,
    "%F0%9F%94%A5",
)  # fmt: skip
HOSTILE_BODIES = (
    b'{"\\u0000":"\\u0000"}', b'{"a":"\\ud800"}', b'{"a":' + b"9" * 40 + b"}", b'{"a":1e999}',
    b'{"a":NaN}', b"[" * 5000, b"\xff\xfe", b"null", b"",
)  # fmt: skip
_CREDENTIALS = {"authorization", "cookie", COOKIE}
CHECKS = [
    of_openapi.status_code_conformance, of_openapi.content_type_conformance,
    of_openapi.response_schema_conformance, of_openapi.response_headers_conformance,
]  # fmt: skip


@dataclass(slots=True)
class Fuzz:
    """What came of it."""

    operations: int = 0
    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    """Operation and kind of fault -> the first example of it."""

    def line(self, role: str) -> str:
        """For the end of the run."""
        kinds = ", ".join(f"{n} x {status}" for status, n in sorted(self.statuses.items()))
        return (
            f"{self.operations} operations, {self.cases} cases as {role}, "
            f"{len(self.failures)} failures ({kinds})"
        )


def fuzz(
    url: str, session: str, *, examples: int, number: int, known: dict[str, str],
    may_be_unavailable: frozenset[str] = frozenset(), hostile: bool = True,
) -> Fuzz:  # fmt: skip
    """Ask everything; `known` are values of path parameters that exist."""
    done = Fuzz()
    document = httpx.get(f"{url}/api/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    cookies = {"Cookie": f"{COOKIE}={session}"}
    with requests.Session() as client, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for result in schema.get_all_operations():
            operation = result.ok()
            name = f"{operation.method.upper()} {operation.path}"
            if name in ENDLESS:
                continue
            done.operations += 1
            headers = {} if name in OWN_SESSION else cookies
            calm = name in may_be_unavailable
            _ask(done, operation, name, url, headers, client, examples, number, known, calm)
            if hostile:
                _ask_hostile(done, operation, name, url, headers, client)
    return done


def _ask(
    done: Fuzz, operation: Any, name: str, url: str, headers: dict[str, str],
    client: requests.Session, examples: int, number: int, known: dict[str, str], calm: bool,
) -> None:  # fmt: skip
    either = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )
    held = {key: value for key, value in known.items() if "{" + key + "}" in operation.path}

    @seed(number)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck), verbosity=Verbosity.quiet,
    )  # fmt: skip
    @given(case=either, real=st.booleans())
    def run(case: Any, real: bool) -> None:
        for shown in (case.headers, case.cookies):  # who asks is not for the cases to say
            for other in [each for each in shown or {} if each.lower() in _CREDENTIALS]:
                del shown[other]
        if real and held:
            case.path_parameters = {**(case.path_parameters or {}), **held}
        response = case.call(base_url=url, session=client, headers=headers, timeout=20)
        done.cases += 1
        done.statuses[response.status_code] += 1
        _judge(done, name, case, response, calm)

    try:
        run()
    except Exception as error:  # a case that cannot be made or sent is a fault of the test
        done.failures.setdefault(f"{name}: not asked", repr(error)[:500])


def _judge(done: Fuzz, name: str, case: Any, response: Any, calm: bool) -> None:
    status = response.status_code
    shown = f"{case.as_curl_command()[:600]} -> {status} {response.text[:300]}"
    if status >= 500 and not (status == 503 and calm):
        done.failures.setdefault(f"{name}: server error {status}", shown)
    try:
        case.validate_response(response, checks=CHECKS)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        done.failures.setdefault(f"{name}: {type(error).__name__}", f"{error}"[:700] + shown)
    if told := _no_problem(response):
        done.failures.setdefault(f"{name}: {told}", shown)


def _no_problem(response: Any) -> str:
    """What a refusal lacks."""
    if response.status_code < 400 or not response.request.url.split("/", 3)[3].startswith("api/"):
        return ""
    kind = response.headers.get("content-type")
    if (kind[0] if isinstance(kind, list) else kind) != MEDIA_TYPE:
        return "no problem+json"
    problem = response.json()
    if problem["code"].replace(".", "_") not in words()["zh"]:
        return f"no words for {problem['code']}"
    return "" if problem["detail"] and problem["status"] == response.status_code else "no detail"


def _ask_hostile(
    done: Fuzz, operation: Any, name: str, url: str, headers: dict[str, str],
    client: requests.Session,
) -> None:  # fmt: skip
    head = {**headers, "Idempotency-Key": "of the hostile"}
    path = operation.path
    targets = [_filled(path, each) for each in HOSTILE] if "{" in path else []
    query = {each.name for each in operation.query}
    targets += [
        f"{_filled(path, 'x')}?" + "&".join(f"{name}={each}" for name in sorted(query))
        for each in HOSTILE
        if query
    ]
    asked: list[tuple[str, bytes | None]] = [(target, None) for target in targets]
    if operation.method.upper() not in ("GET", "DELETE"):
        asked += [(_filled(path, "x"), body) for body in HOSTILE_BODIES]
    for target, body in asked:
        sent = {**head, "Content-Type": "application/json"} if body is not None else head
        response = client.request(
            operation.method, url + target, headers=sent, data=body, timeout=20,
            allow_redirects=False,
        )  # fmt: skip
        done.cases += 1
        done.statuses[response.status_code] += 1
        shown = f"{target[:100]} {body!r:.60} -> {response.status_code} {response.text[:300]}"
        if response.status_code >= 500 and response.status_code != 503:
            done.failures.setdefault(f"{name}: hostile {response.status_code}", shown)
        if told := _no_problem(response):
            done.failures.setdefault(f"{name}: hostile {told}", shown)


def _filled(path: str, value: str) -> str:
    while "{" in path:
        path = path[: path.index("{")] + value + path[path.index("}") + 1 :]
    return path


def listing(done: Fuzz) -> str:
    """The failures, readable."""
    return json.dumps(done.failures, indent=1, ensure_ascii=False)
