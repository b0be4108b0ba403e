"""Errors of the REST interface as `application/problem+json` with a code and parameters (RFC 9457).

Routes raise `ProblemError`; the console words the codes in the reader's language.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shared.errors import Rejected, StoreError
from shared.telemetry import logger

log = logger("web")


class ProblemError(Exception):
    """A refused request."""

    def __init__(self, status: int, code: str, title: str = "", **params: Any) -> None:
        self.status, self.code, self.title, self.params = (
            status,
            code,
            title or code,
            params,
        )
        super().__init__(code)

    @classmethod
    def of(cls, status: int, rejected: Rejected) -> ProblemError:
        """From a refusal value."""
        problem = cls(status, rejected.code)
        # Not as keywords: a refusal's parameter may itself be called `status` or `title`.
        problem.params = dict(rejected.params)
        return problem


def _answer(status: int, code: str, title: str, params: dict[str, Any]) -> JSONResponse:
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "code": code,
        "params": params,
    }
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def install_problem_handlers(app: FastAPI) -> None:
    """Turn every error of `app` into a problem."""

    @app.exception_handler(ProblemError)
    async def on_problem(_: Request, error: ProblemError) -> JSONResponse:
        return _answer(error.status, error.code, error.title, error.params)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [{"at": [str(p) for p in f["loc"]], "message": f["msg"]} for f in error.errors()]
        return _answer(422, "invalid_request", "The request is not valid", {"faults": faults})

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
        return _answer(error.status_code, code, str(error.detail), {})

    @app.exception_handler(StoreError)
    async def on_store(_: Request, error: StoreError) -> JSONResponse:
        log.error("store_unavailable", error=str(error))
        return _answer(503, "store_unavailable", "The database does not answer", {})
