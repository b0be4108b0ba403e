"""The OpenAPI 3.1 document: what the routes say of themselves, and what is true of all of them.

Adds words in both languages, who may call, the problems that may come back, and examples.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from shared.web.dto import Problem
from shared.web.openapi_words import EXAMPLES, TAGS, WORDS
from shared.web.problem import MEDIA_TYPE
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
_PROBLEMS: dict[int, str] = {
    400: "请求或游标无效 / The request or its cursor is not valid",
    401: "未登录 / Not logged in",
    403: "无权 / Not allowed",
    404: "没有 / Not there",
    406: "不提供所要的格式 / Not offered in the wanted form",
    408: "太慢 / Too slow",
    409: "与现状冲突 / In conflict with how it is now",
    410: "已失效 / No longer valid",
    412: "已被他人改动 / Somebody has changed it",
    413: "太大 / Too large",
    415: "格式不支持 / Not of a form that is taken",
    422: "字段无效 / A field is not valid",
    428: "须带 If-Match / If-Match is needed",
    429: "太频繁 / Too often",
    500: "内部错误，带 trace / A fault of ours, with its trace",
    503: "暂时不可用 / Not available now",
}
_CONTENT = {
    "/api/stream": "text/event-stream", "/api/journal.csv": "text/csv",
    "/api/attachments/{attachment}": "*/*", "/metrics": "text/plain",
}  # fmt: skip
"""What routes answer that answer no JSON."""


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
            if verb == "get" and path in _CONTENT:
                content = {_CONTENT[path]: {"schema": {"type": "string"}}}
                operation["responses"]["200"]["content"] = content
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
    wanted |= {404} if "edge" in named else set()
    wanted |= {412} if "If-Match" in named else set()
    wanted |= {428} if path.endswith("/approve") and "If-Match" in named else set()
    wanted |= {404} if named & {"station", "out_of_limits"} else set()
    public = kind == OPEN and ("{" in path or "oidc" in path)
    wanted |= {400, 401, 404, 408, 410} if public else set()
    wanted |= {401} if path == "/api/session" and verb == "post" else set()
    for status in sorted(wanted):
        answers.setdefault(
            str(status),
            {
                "description": _PROBLEMS[status],
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
    if verb == "get" and "application/json" in answers.get("200", {}).get("content", {}):
        answers.setdefault("304", {"description": "未变 / As it was under If-None-Match"})
