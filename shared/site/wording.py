"""What a schema's complaint says, in Chinese and in English, instead of the library's own words.

Used by `yaml_file` and the checks of drivers' options; knows no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MAP = ("须为“键: 值”", "must be a map of keys and values")
_TIME = ("须为时间", "must be a time")
_KINDS = {
    "int": ("须为整数", "must be a whole number"),
    "float": ("须为数字", "must be a number"),
    "bool": ("须为 true 或 false", "must be true or false"),
    "string": ("须为文字 (数字请加引号)", "must be text (put a number in quotes)"),
    "list": ("须为列表", "must be a list"),
    "tuple": ("须为列表", "must be a list"),
    "dict": _MAP,
    "model": _MAP,
    "time": _TIME,
    "date": _TIME,
    "datetime": _TIME,
}
_ASKED = {
    "missing": ("缺少此键", "is missing"),
    "finite_number": ("须为有限的数", "must be a finite number"),
    "greater_than": ("须大于 {gt}", "must be more than {gt}"),
    "greater_than_equal": ("不得小于 {ge}", "must be at least {ge}"),
    "less_than": ("须小于 {lt}", "must be less than {lt}"),
    "less_than_equal": ("不得大于 {le}", "must be at most {le}"),
    "literal_error": ("须为 {expected} 之一", "must be one of {expected}"),
    "enum": ("须为 {expected} 之一", "must be one of {expected}"),
    "string_pattern_mismatch": ("不合格式 {pattern}", "must fit the pattern {pattern}"),
    "string_too_short": ("至少 {min_length} 个字符", "must have at least {min_length} characters"),
    "string_too_long": ("至多 {max_length} 个字符", "must have at most {max_length} characters"),
    "too_short": ("至少 {min_length} 项", "must have at least {min_length} items"),
    "too_long": ("至多 {max_length} 项", "must have at most {max_length} items"),
}
MOST_SHOWN = 40
SECRET = ("password", "secret", "token", "key")


def phrase(fault: Mapping[str, Any]) -> tuple[str, str]:
    """What one of pydantic's complaints says: zh, en."""
    kind, given = str(fault["type"]), fault.get("ctx", {})
    if kind == "value_error":  # our own words
        text = str(given.get("error", fault["msg"]))
        return text, text
    expected = str(given.get("expected", "")).replace(" or ", ", ")
    asked = _ASKED.get(kind) or _KINDS.get(kind.partition("_")[0])
    if asked is None:
        return str(fault["msg"]), str(fault["msg"])
    zh, en = (text.format(**{**given, "expected": expected}) for text in asked)
    return zh, en


def _seen(fault: Mapping[str, Any]) -> str:
    """What stands there instead, where it is a single value and no secret."""
    value = fault.get("input")
    if any(word in str(part).lower() for part in fault["loc"] for word in SECRET):
        return ""
    single = isinstance(value, str | int | float | bool)
    if not single or fault["type"] in ("missing", "value_error"):
        return ""
    shown = repr(value)
    return shown if len(shown) <= MOST_SHOWN else shown[:MOST_SHOWN] + "…"


def said(faults: Sequence[Mapping[str, Any]]) -> str:
    """The complaints of one place as `zh / en`; a place that takes several kinds has several."""
    phrases = list(dict.fromkeys(phrase(fault) for fault in faults))
    zh, en = "；或".join(zh for zh, _ in phrases), "; or ".join(en for _, en in phrases)
    if zh == en:
        return en
    seen = _seen(faults[0])
    return f"{zh}，不能是 {seen} / {en}, not {seen}" if seen else f"{zh} / {en}"
