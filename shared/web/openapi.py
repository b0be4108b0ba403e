"""The OpenAPI 3.1 document: what the routes say of themselves, and what is true of all of them.

Adds words in both languages, who may call, the problems that may come back, and examples.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from shared.web.dto import Problem
from shared.web.may_answer import problem_answer
from shared.web.openapi_words import EXAMPLES, TAGS, WORDS
from shared.web.route_rights import OPEN, RIGHT, route_rights

ABOUT = """安灯的接口：时间为 UTC 毫秒；写操作带 `Idempotency-Key`；列表用 `limit` 与 `cursor`，
答复为 `items` 与 `next`；错误为 RFC 9457 的 `application/problem+json`；
`/api/ws` 为 WebSocket 实时流。

The interface of Andon. Times are UTC milliseconds. Writes carry an `Idempotency-Key`: the same key
repeats the first answer for a day. Lists take `limit` and `cursor` and answer `items` and `next`.
Errors are problems of RFC 9457 with a `code` to act on. `/api/ws` is the live stream as a
WebSocket, `/api/stream` the same as server-sent events."""
_SCHEMES = {
    "session": {
        "type": "apiKey", "in": "cookie", "name": "andon_session",
        "description": "人员登录后的会话 / A person's session after logging in",
    },
    "token": {
        "type": "http", "scheme": "bearer",
        "description": "服务账户的令牌 / The token of a service account or of the identity server",
    },
}  # fmt: skip


def describe(app: FastAPI) -> None:
    """Make `app.openapi()` tell all of it."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            _complete(app, document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(app: FastAPI, document: dict[str, Any]) -> None:
    document["info"]["description"] = ABOUT
    kinds = {(each.method, each.path): each for each in route_rights(app)}
    parts = document.setdefault("components", {})
    parts["securitySchemes"] = _SCHEMES
    shapes = parts.setdefault("schemas", {})
    shapes["Problem"] = Problem.model_json_schema(
        mode="serialization", ref_template="#/components/schemas/{model}"
    )
    used: set[str] = set()
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            right = kinds[verb.upper(), path]
            _tell(operation, f"{verb.upper()} {path}", right.action)
            used.update(operation.get("tags", []))
            if right.kind != OPEN:
                operation["security"] = [{"session": []}, {"token": []}]
            _problems(operation, verb, path, right.kind)
    document["tags"] = [
        {"name": name, "description": f"{zh} / {en}"}
        for name, (zh, en) in TAGS.items()
        if name in used
    ]
    for name, example in EXAMPLES.items():
        if name in shapes:
            shapes[name]["examples"] = [example]
    for gone in ("HTTPValidationError", "ValidationError"):
        shapes.pop(gone, None)


def _tell(operation: dict[str, Any], name: str, action: str) -> None:
    said = operation.get("description", "")
    if name in WORDS:
        zh, en = WORDS[name]
        operation["summary"] = f"{zh} / {en}"
    needed = f"权限 / right: `{action}`" if action else ""
    operation["description"] = "\n\n".join(filter(None, (said, needed)))
    if not operation["description"]:
        del operation["description"]


def _problems(operation: dict[str, Any], verb: str, path: str, kind: str) -> None:
    """What comes of what all routes share; what is a route's own stands at the route."""
    answers = operation["responses"]
    answers.pop("422", None)
    if not path.startswith("/api/"):
        return
    wanted = {422, 429, 500, 503}
    wanted |= {401} if kind != OPEN else set()
    wanted |= {403} if kind == RIGHT or verb != "get" else set()
    wanted |= {400, 404, 409, 413, 415} if verb != "get" else {406}
    wanted |= {404} if "{" in path else set()
    named = {parameter["name"] for parameter in operation.get("parameters", [])}
    wanted |= {400} if named & {"cursor", "since"} else set()
    wanted |= {412} if "If-Match" in named else set()
    for status in sorted(wanted):
        answers.setdefault(str(status), problem_answer(status))
    if verb == "get" and "application/json" in answers.get("200", {}).get("content", {}):
        answers.setdefault("304", {"description": "未变 / As it was under If-None-Match"})
