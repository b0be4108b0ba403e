"""Errors of the REST interface as `application/problem+json` with a code and parameters (RFC 9457).

Routes raise `ProblemError`; the console words the codes in the reader's language, and `detail`
does so for those who have no console. `type` leads to the code's words.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from shared.errors import StoreError
from shared.telemetry import logger
from shared.web.fault_words import fault_words
from shared.web.problem_error import ProblemError as ProblemError

log = logger("web")
MEDIA_TYPE = "application/problem+json"
TYPES = "/api/problems/"
MOST_FAULTS = 50


@functools.cache
def words() -> dict[str, dict[str, str]]:
    """Language -> code -> wording; generated from the console's catalogues."""
    return json.loads((Path(__file__).parent / "problem_words.json").read_text(encoding="utf-8"))


class _Shown(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "…"


def worded(language: str, code: str, params: Mapping[str, Any]) -> str:
    """A code in a language (`zh`, `en`), with its parameters; "" if it has no words."""
    text = words()[language].get(code.replace(".", "_"), "")
    try:
        return text.format_map(_Shown(params))
    except (ValueError, LookupError, AttributeError):  # words of the console's own grammar
        return text


def language_of(accept_language: str) -> str:
    """The language that a reader asks for; Chinese, if none."""
    first = accept_language.split(",")[0].strip().lower()
    return "en" if first and not first.startswith(("zh", "*")) else "zh"


def problem_response(
    error: ProblemError, accept_language: str = "", headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The answer that tells a problem."""
    body = {
        "type": f"{TYPES}{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": worded(language_of(accept_language), error.code, error.params),
        "code": error.code,
        "params": error.params,
    }
    kept = {"Cache-Control": "no-store", "Vary": "Accept-Language", **(headers or {})}
    return JSONResponse(body, status_code=error.status, media_type=MEDIA_TYPE, headers=kept)


def invalid(at: Sequence[Any], kind: str) -> ProblemError:
    """The problem of one faulty field."""
    fault = {"at": [str(part) for part in at], "code": kind, **_words(kind, {})}
    return ProblemError(422, "invalid_request", faults=[fault])


def _words(kind: str, context: Mapping[str, Any]) -> dict[str, Any]:
    found = fault_words(kind, dict(context))
    return {"message": found["en"], "text": found}


def _answer(
    it: HTTPConnection, error: ProblemError, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    # A WebSocket that is not accepted yet is refused by the same answer.
    return problem_response(error, it.headers.get("accept-language", ""), headers)


def install_problem_handlers(app: FastAPI) -> None:
    """Turn every error of `app` into a problem; what nobody expected is the boundary's."""

    @app.exception_handler(ProblemError)
    async def on_problem(it: HTTPConnection, error: ProblemError) -> JSONResponse:
        return _answer(it, error)

    @app.exception_handler(RequestValidationError)
    @app.exception_handler(WebSocketRequestValidationError)
    async def on_invalid(it: HTTPConnection, error: RequestValidationError) -> JSONResponse:
        return _answer(it, _validation(it, error.errors()))

    @app.exception_handler(HTTPException)
    async def on_http(it: HTTPConnection, error: HTTPException) -> JSONResponse:
        return _answer(it, _of_status(error), error.headers)

    @app.exception_handler(StoreError)
    async def on_store(it: HTTPConnection, error: StoreError) -> JSONResponse:
        log.error("store_unavailable", error=str(error))
        return _answer(it, ProblemError(503, "store_unavailable"))


def _validation(it: HTTPConnection, errors: Sequence[Any]) -> ProblemError:
    kind = it.headers.get("content-type", "")
    if kind and not _is_json(kind) and any(tuple(f["loc"]) == ("body",) for f in errors):
        return ProblemError(415, "unsupported_media_type", wanted="application/json")
    faults = [
        {
            "at": [str(p) for p in f["loc"]], "code": f["type"],
            **_words(f["type"], f.get("ctx") or {}),
        }
        for f in errors[:MOST_FAULTS]
    ]  # fmt: skip
    return ProblemError(422, "invalid_request", faults=faults)


def _is_json(kind: str) -> bool:
    media = kind.partition(";")[0].strip().lower()
    return media == "application/json" or (
        media.startswith("application/") and media.endswith("+json")
    )


def _of_status(error: HTTPException) -> ProblemError:
    match error.status_code:
        case 400:
            return ProblemError(400, "bad_request")
        case 404:
            return ProblemError(404, "not_found")
        case 405:
            return ProblemError(405, "method_not_allowed")
        case status:
            return ProblemError(status, "http_error")
