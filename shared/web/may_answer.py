"""What a route may answer beside its own model, said at the route by `responses=may_answer(...)`.

The OpenAPI document adds what is true of all routes by itself (see `openapi.py`).
"""

from __future__ import annotations

from typing import Any

from shared.web.problem import MEDIA_TYPE

PROBLEMS: dict[int, str] = {
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
Responses = dict[int | str, dict[str, Any]]


def problem_answer(status: int) -> dict[str, Any]:
    """A problem as one of a route's answers."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": PROBLEMS[status], "content": {MEDIA_TYPE: {"schema": schema}}}


def may_answer(*problems: int, text: str = "") -> Responses:
    """For a route's `responses`: its own problems, and the form of an answer that is no JSON."""
    found: Responses = {status: problem_answer(status) for status in problems}
    if text:
        found[200] = {"content": {text: {"schema": {"type": "string"}}}}
    return found
