"""The words for what is wrong with a field of a request, in both languages, by kind of fault.

Used by the problem of an invalid request; kinds are those of pydantic and of `storable.py`.
"""

from __future__ import annotations

from typing import Any

_OTHER = ("这个值无效", "This value is not valid")
_WORDS: dict[str, tuple[str, str]] = {
    "missing": ("缺少此项", "It is missing"),
    "extra_forbidden": ("不认识此项", "No such field"),
    "json_invalid": ("请求体不是有效的 JSON", "The body is not valid JSON"),
    "string_type": ("须为文本", "Must be a text"),
    "string_too_short": ("至少 {min_length} 个字符", "At least {min_length} characters"),
    "string_too_long": ("最多 {max_length} 个字符", "At most {max_length} characters"),
    "string_pattern_mismatch": ("格式不符：{pattern}", "Not of the form {pattern}"),
    "string_nul": ("不得含有 NUL 字符", "Must not hold the character NUL"),
    "string_unicode": ("不是有效的 Unicode 文本", "Not valid Unicode text"),
    "int_type": ("须为整数", "Must be a whole number"),
    "int_parsing": ("须为整数", "Must be a whole number"),
    "int_from_float": ("须为整数", "Must be a whole number"),
    "int_parsing_size": ("整数超出 64 位范围", "The number does not fit into 64 bits"),
    "float_type": ("须为数字", "Must be a number"),
    "float_parsing": ("须为数字", "Must be a number"),
    "finite_number": ("须为有限的数字", "Must be a finite number"),
    "bool_type": ("须为 true 或 false", "Must be true or false"),
    "bool_parsing": ("须为 true 或 false", "Must be true or false"),
    "greater_than": ("须大于 {gt}", "Must be greater than {gt}"),
    "greater_than_equal": ("不得小于 {ge}", "Must be {ge} or more"),
    "less_than": ("须小于 {lt}", "Must be less than {lt}"),
    "less_than_equal": ("不得大于 {le}", "Must be {le} or less"),
    "literal_error": ("只能是 {expected}", "Must be one of {expected}"),
    "enum": ("只能是 {expected}", "Must be one of {expected}"),
    "list_type": ("须为列表", "Must be a list"),
    "dict_type": ("须为对象", "Must be an object"),
    "model_type": ("须为对象", "Must be an object"),
    "model_attributes_type": ("须为对象", "Must be an object"),
    "too_short": ("至少 {min_length} 项", "At least {min_length} items"),
    "too_long": ("最多 {max_length} 项", "At most {max_length} items"),
}


def fault_words(kind: str, context: dict[str, Any]) -> dict[str, str]:
    """What is wrong, worded: {zh, en}."""
    zh, en = _WORDS.get(kind, _OTHER)
    try:
        return {"zh": zh.format_map(context), "en": en.format_map(context)}
    except KeyError:  # a later pydantic names its limits otherwise
        return {"zh": _OTHER[0], "en": _OTHER[1]}
