"""Rules about names: steps, devices, endpoints, alarms, roles, what is never used.

Only texts: what is checked is in `lint_*.py`.
"""

from __future__ import annotations

from shared.playbook.rules.rule import Rule


def _misnamed(zh: str, en: str) -> Rule:
    """There is nothing of that name; the mend is what may have been meant."""
    return Rule("error", zh, en, "{hint_zh}", "{hint}")


REFERENCES: dict[str, Rule] = {
    "unknown_step": _misnamed("未知的步骤 {name!r}", "unknown step {name!r}"),
    "unknown_device": _misnamed("未知的设备 {name!r}", "unknown device {name!r}"),
    "unknown_device_type": _misnamed("未知的设备类型 {name!r}", "unknown device type {name!r}"),
    "unknown_operation": _misnamed("未知的操作 {name!r}", "unknown operation {name!r}"),
    "unknown_argument": _misnamed("未知的参数 {name!r}", "unknown argument {name!r}"),
    "unknown_endpoint": _misnamed("未知的端点 {name!r}", "unknown endpoint {name!r}"),
    "unknown_alarm": _misnamed("未知的告警 {name!r}", "unknown alarm {name!r}"),
    "unknown_role": _misnamed("未知的角色 {name!r}", "unknown role {name!r}"),
    "unknown_option": _misnamed("未知的选项 {name!r}", "there is no option {name!r}"),
    "unknown_alarm_field": _misnamed("告警没有 {name!r} 这一项", "an alarm has no {name!r}"),
    "unknown_phase": _misnamed("步骤没有 {name!r} 这种阶段", "no step is ever in a phase {name!r}"),
    "unknown_outcome": _misnamed("流程没有 {name!r} 这种结局", "no run ends as {name!r}"),
    "unknown_kind": _misnamed("没有 {name!r} 这种失败", "nothing fails as {name!r}"),
    "unknown_playbook": Rule(
        "error", "未知的预案 {name!r}", "unknown playbook {name!r}",
        "{hint_zh}；它在别处则用 --with 给出其文件或目录",
        "{hint}; if it lies elsewhere, give its file or folder by `--with`",
    ),
    "unknown_input": _misnamed("未知的输入 {name!r}", "unknown input {name!r}"),
    "unknown_result": Rule(
        "error",
        "未知的步骤结果 {name!r}",
        "unknown result of a step {name!r}",
        "{hint_zh}",
        "{hint}",
    ),
    "unbound_device": Rule(
        "error",
        "告警 {alarm} 的资产没有 {device} 对应的设备 {wanted!r}",
        "the asset of alarm {alarm} has no device {wanted!r} for {device}",
        "在 bindings.yaml 中绑定该设备，或改正 bind/role",
        "bind that device in bindings.yaml, or correct `bind` and `role`",
    ),
    "bad_addressee": Rule(
        "error",
        "收件人 {name!r} 应写作 role:名称、user:名称 或 team:名称",
        "addressee {name!r} is not role:NAME, user:NAME or team:NAME",
        "例如 role:shift-lead",
        "write for example role:shift-lead",
    ),
    "endpoint_kind": Rule(
        "error",
        "端点 {name!r} 的类型是 {is_a}，不能用于 {verb}",
        "endpoint {name!r} is of type {is_a}, which {verb} cannot use",
        "用另一个端点，或把它的类型改为 {verb}",
        "use another endpoint, or make its type {verb}",
    ),
    "endpoint_unsigned": Rule(
        "error",
        "工厂的端点 {name!r} 没有 secret，webhook 无法签名",
        "the site's endpoint {name!r} has no `secret`, so no webhook to it can be signed",
        "在 bindings.yaml 中写 secret",
        "give it a `secret` in bindings.yaml",
    ),
    "missing_argument": Rule(
        "error",
        "操作 {op} 缺少参数 {name!r}",
        "operation {op} needs the argument {name!r}",
        "写 args: {{{name}: …}}",
        "write `args: {{{name}: …}}`",
    ),
    "unused_device": Rule(
        "advice",
        "设备 {name} 未被任何命令使用",
        "no command uses the device {name}",
        "若条件也不读取它的位号，就删除它",
        "remove it unless a condition reads its tags",
    ),
    "unused_endpoint": Rule(
        "advice", "端点 {name} 未被使用", "nothing uses the endpoint {name}", "删除它", "remove it",
    ),
    "unused_input": Rule(
        "advice",
        "输入 {name} 未被使用",
        "nothing reads the input {name}",
        "删除它，或用 inputs.{name} 引用",
        "remove it, or read it as inputs.{name}",
    ),
}  # fmt: skip
