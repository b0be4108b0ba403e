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
        "tag(...) 之后必须写 .value、.last、.good 或 .age_s",
        "write .value, .last, .good or .age_s after tag(...)",
    ),
    "tag_unknown_member": (
        "测点没有 .{name}{hint_zh};可用 .value .last .good .age_s",
        "a tag has no .{name}{hint}; it has .value .last .good .age_s",
    ),
    "alarms_not_here": (
        "此处不能引用报警 alarm(...)",
        "alarm(...) can be used only in the conditions of an edge's alarms",
    ),
    "alarm_not_literal": (
        'alarm() 的写法是 alarm("报警编号").active 或 .acked',
        'write alarm("ID").active or alarm("ID").acked, the id as a text literal',
    ),
    "unknown_alarm": ("未知报警 {name}{hint_zh}", "unknown alarm {name}{hint}"),
    "alarm_unknown_member": (
        "报警没有 .{name}{hint_zh};可用 .active .acked",
        "an alarm has no .{name}{hint}; it has .active .acked",
    ),
    "window_not_literal": (
        '{name} 的写法是 {name}("测点", "30s")',
        'write {name}("TAG", "30s"): a tag and a duration, both text literals',
    ),
    "bad_duration": (
        "{text} 不是有效时长,例如 30s、5m、1h30m",
        "{text} is not a duration; examples: 30s, 5m, 1h30m",
    ),
    "window_samples": (
        "按个数的窗口为 1 到 {limit} 个样本",
        "a window of samples holds 1 to {limit} of them",
    ),
    "window_shape": (
        "未知窗口形状 {shape}{hint_zh};可用 sliding tumbling hopping:10s session session:60s",
        "unknown window shape {shape}{hint}; "
        "there are sliding, tumbling, hopping:10s, session, session:60s",
    ),
    "window_step": (
        "{shape} 的写法:tumbling、hopping:10s(步长)、session:60s(最长)",
        "write tumbling, hopping:10s (every 10 s) or session:60s (60 s at most), not this {shape}",
    ),
    "window_overlap": (
        "步长太短:一个样本最多属于 {limit} 个窗口",
        "the hop is too short: a sample may belong to {limit} windows at most",
    ),
    "window_argument": (
        "{name} 不接受这个参数;只有 percentile 需要一个数,窗口形状为文本",
        "{name} does not take this; only percentile takes a number, a window's shape is a text",
    ),
    "window_percentile": (
        'percentile 需要 0 到 100 的数:percentile("测点", "5m", 95)',
        'percentile needs a number from 0 to 100: percentile("TAG", "5m", 95)',
    ),
    "window_lag": (
        'lag 没有 {shape} 形状:写 lag("测点", "30s") 或 lag("测点", "3 samples")',
        'lag has no {shape} form: write lag("TAG", "30s") or lag("TAG", "3 samples")',
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
    "alarm_missing": ("报警 {alarm} 的状态不可知", "the state of alarm {alarm} is not known here"),
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
