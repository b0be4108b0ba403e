"""Owns the wording, in Chinese and English, of every code an expression can produce.

Called by `values` to turn a code and its parameters into a sentence; complete by test.
Never decides anything: codes are raised and returned elsewhere.
"""

from collections.abc import Mapping

# code -> (zh, en); parameters are filled with str.format, so every name must be in `params`.
COMPILE_TEXTS: dict[str, tuple[str, str]] = {
    "empty": ("表达式为空", "the expression is empty"),
    "not_text": ("表达式必须是文本", "an expression must be text"),
    "too_long": (
        "表达式有 {length} 个字符,上限 {limit}",
        "{length} characters; the limit is {limit}",
    ),
    "too_many_nodes": (
        "表达式过大:超过 {limit} 个节点",
        "too large: more than {limit} nodes",
    ),
    "too_deep": ("嵌套过深:超过 {limit} 层", "nested deeper than {limit} levels"),
    "unexpected_character": (
        "无法识别的字符 {character}",
        "unexpected character {character}",
    ),
    "fullwidth_character": (
        "全角字符 {character},请改用半角 {instead}",
        "full-width character {character}: type {instead} instead",
    ),
    "operator_hint": (
        "这里不能写 {found},请改用 {instead}",
        "{found} is not an operator: use {instead}",
    ),
    "unterminated_string": ("字符串缺少结束引号", "the string has no closing quote"),
    "unterminated_template": ("${{ 没有对应的 }}", "${{ has no matching }}"),
    "bad_escape": ("无效的转义 {escape}", "invalid escape {escape}"),
    "bad_number": ("无效的数字 {number}", "invalid number {number}"),
    "int_out_of_range": (
        "整数 {number} 超出 64 位范围",
        "integer {number} does not fit in 64 bits",
    ),
    "unsupported_literal": (
        "不支持这种写法:{literal}",
        "this kind of literal is not supported: {literal}",
    ),
    "unexpected_token": (
        "此处不应出现 {found},应为{expected_zh}",
        "unexpected {found}: expected {expected}",
    ),
    "unexpected_end": (
        "表达式不完整,缺少{expected_zh}",
        "the expression ends early: expected {expected}",
    ),
    "reserved_word": ("{name} 是保留字", "{name} is a reserved word"),
    "unknown_root": ("未知名称 {name}{hint_zh}", "unknown name {name}{hint}"),
    "unknown_member": (
        "{root} 没有成员 {name}{hint_zh}",
        "{root} has no member {name}{hint}",
    ),
    "unknown_function": ("未知函数 {name}{hint_zh}", "unknown function {name}{hint}"),
    "unknown_method": ("未知方法 {name}{hint_zh}", "unknown method {name}{hint}"),
    "unknown_tag": ("未知测点 {name}{hint_zh}", "unknown tag {name}{hint}"),
    "wrong_argument_count": (
        "{name} 需要 {expected} 个参数,给了 {given} 个",
        "{name} takes {expected} argument(s), {given} given",
    ),
    "tag_not_literal": (
        "tag() 的参数必须是测点名称字符串",
        'tag() takes the name of one tag as a text literal: tag("TT-101")',
    ),
    "tag_needs_member": (
        "tag(...) 之后必须写 .value、.good 或 .age_s",
        "write .value, .good or .age_s after tag(...)",
    ),
    "tag_unknown_member": (
        "测点没有 .{name}{hint_zh};可用 .value .good .age_s",
        "a tag has no .{name}{hint}; it has .value .good .age_s",
    ),
    "window_not_literal": (
        '{name} 的写法是 {name}("测点", "30s")',
        'write {name}("TAG", "30s"): a tag and a duration, both text literals',
    ),
    "bad_duration": (
        "{text} 不是有效时长,例如 30s、5m、1h30m",
        "{text} is not a duration; examples: 30s, 5m, 1h30m",
    ),
    "has_argument": (
        "has() 只接受成员访问,例如 has(a.b)",
        "has() takes a member access: has(a.b)",
    ),
    "macro_variable": (
        "{name} 的第一个参数必须是变量名",
        "the first argument of {name} must be a plain name",
    ),
    "nested_comprehension": (
        "{name} 不能写在另一个遍历里面(最多一层)",
        "{name} cannot stand inside another all/exists/map/filter (one level at most)",
    ),
    "bad_pattern": ("无效的匹配模式:{detail_zh}", "invalid pattern: {detail}"),
    "too_many_parts": (
        "模板中的 ${{}} 超过 {limit} 个",
        "more than {limit} ${{}} parts in one text",
    ),
}

UNKNOWN_TEXTS: dict[str, tuple[str, str]] = {
    "tag_missing": (
        "测点 {tag} 不存在或尚无数据",
        "tag {tag} does not exist or has no data yet",
    ),
    "tag_bad": ("测点 {tag} 质量不好", "tag {tag} is not of good quality"),
    "tag_stale": ("测点 {tag} 数据过期", "tag {tag} is stale"),
    "tag_no_value": ("测点 {tag} 没有有效数值", "tag {tag} carries no usable value"),
    "window_empty": (
        "{function}({tag}, {seconds} s) 窗口内没有数据",
        "{function}({tag}, {seconds} s) has no data in its window",
    ),
    "missing_root": ("{name} 在此处没有值", "{name} has no value here"),
    "missing_key": ("缺少 {key}", "{key} is missing"),
    "index_out_of_range": (
        "下标 {index} 超出长度 {size}",
        "index {index} is outside a list of {size}",
    ),
    "division_by_zero": ("除数为零", "division by zero"),
    "overflow": ("整数溢出", "the integer result does not fit in 64 bits"),
    "wrong_type": (
        "{operation} 不能用于 {types}",
        "{operation} does not work on {types}",
    ),
    "bad_conversion": ("无法把 {value} 转成 {to}", "cannot turn {value} into {to}"),
    "duplicate_key": ("映射中的键 {key} 重复", "the map has the key {key} twice"),
    "bad_key": ("{types} 不能作为映射的键", "{types} cannot be the key of a map"),
    "too_large": ("结果超过上限 {limit}", "the result is larger than {limit}"),
    "too_deep_value": (
        "数据嵌套超过 {limit} 层",
        "the data is nested deeper than {limit} levels",
    ),
    "bad_pattern": ("无效的匹配模式:{detail_zh}", "invalid pattern: {detail}"),
    "budget_exceeded": (
        "计算步数超过 {limit}",
        "evaluation took more than {limit} steps",
    ),
    "not_evaluated": ("尚未计算", "not evaluated"),
}


def texts_of(
    table: Mapping[str, tuple[str, str]], code: str, params: Mapping[str, object]
) -> dict[str, str]:
    """Return the two sentences of a code; a code without wording is shown as itself."""
    zh, en = table.get(code, (code, code))
    return {"zh": zh.format(**params), "en": en.format(**params)}
