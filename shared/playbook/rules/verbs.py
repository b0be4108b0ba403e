"""Rules about single verbs: commands, questions, tries, waits.

Only texts: what is checked is in `lint_*.py`.
"""

from __future__ import annotations

from shared.playbook.rules.rule import Rule

VERBS: dict[str, Rule] = {
    "unverified_command": Rule(
        "error",
        "命令 {name} 没有回读验证",
        "command {name!r} is not read back",
        "加上 verify: {{until, within}}",
        "add `verify: {{until, within}}`",
    ),
    "unverified_undo": Rule(
        "advice",
        "{name} 的补偿命令没有回读验证",
        "the compensation of {name!r} is not read back",
        "加上 verify: {{until, within}}",
        "add `verify: {{until, within}}`",
    ),
    "compensation_missing": Rule(
        "advice",
        "{name} 的操作 {op} 记录动作前的值，却没有写如何还原",
        "{name!r} has no `compensate`, though {op} captures what was before",
        "写 compensate，或确认它不需要还原",
        "write `compensate` unless it must not be undone",
    ),
    "compensate_pointless": Rule(
        "error",
        "{verb} 没有可还原的动作",
        "{verb} does nothing that could be undone",
        "删除 compensate",
        "remove `compensate`",
    ),
    "retry_on_command": Rule(
        "advice",
        "命令 {name} 会自动重试；操作可否重复由工厂绑定决定",
        "command {name!r} is tried again; whether its operation may be is the site's to say",
        "用 --site 检查，或删除 retry",
        "check it with --site, or remove `retry`",
    ),
    "retry_not_idempotent": Rule(
        "error",
        "{name} 会重试不可重复的操作 {op}",
        "{name!r} tries {op} again, which is not idempotent",
        "删除 retry",
        "remove `retry`",
    ),
    "retry_beyond_deadline": Rule(
        "advice",
        "{name} 的重试排到 deadline 之后",
        "tries of {name!r} lie behind the `deadline`",
        "缩短 schedule",
        "shorten `schedule`",
    ),
    "approval_not_ask": Rule(
        "error",
        "approval 指向的 {name} 不是 ask 步骤",
        "`approval` names {name!r}, which is no `ask`",
        "写一个 ask 步骤的 id",
        "name an `ask` step",
    ),
    "approval_not_before": Rule(
        "error",
        "审批 {name} 不在该命令之前",
        "the approval {name!r} does not come before this command",
        "把 ask 移到命令之前",
        "move the `ask` before the command",
    ),
    "expires_beyond_deadline": Rule(
        "error",
        "命令 {name} 的 expires 比 deadline 长",
        "`expires` of command {name!r} is longer than the run's `deadline`",
        "缩短 expires（通常 10s 到 30s）",
        "shorten `expires` (10s to 30s is usual)",
    ),
    "expires_long": Rule(
        "advice",
        "命令 {name} 的 expires 超过 5 分钟，迟到的动作可能不再安全",
        "`expires` of command {name!r} is over 5 minutes: acting so late may not be safe any more",
        "缩短 expires",
        "shorten `expires`",
    ),
    "argument_outside_limits": Rule(
        "error",
        "参数 {name} = {value:g} 超出设备限值 {low}…{high}",
        "argument {name} = {value:g} lies outside the device's {low}…{high}",
        "改为限值以内",
        "keep it within the device's limits",
    ),
    "ask_without_timeout": Rule(
        "error",
        "审批 {name} 没有写明超时后怎么办",
        "ask {name!r} does not say what happens when nobody answers",
        "写 on_timeout: escalate、continue 或 fail",
        "write `on_timeout: escalate`, `continue` or `fail`",
    ),
    "ask_without_last_rung": Rule(
        "error",
        "审批 {name} 没有最后一级",
        "ask {name!r} has no last rung",
        "在 escalate 末尾写 {{after, then}}",
        "end `escalate` with {{after, then}}",
    ),
    "rung_after_last": Rule(
        "error",
        "then 之后的级永远到不了",
        "rungs after the one with `then` are never reached",
        "把带 then 的级放到最后",
        "put the rung with `then` last",
    ),
    "rungs_not_ascending": Rule(
        "error",
        "升级各级的 after 必须递增：{after} ms 不晚于前一级",
        "rungs must ascend: {after} ms is not after the one before",
        "按时间先后排列",
        "write them in the order of their times",
    ),
    "rung_empty": Rule(
        "error",
        "该级既不通知人也不作决定",
        "this rung tells nobody and decides nothing",
        "写 to 或 then",
        "write `to` or `then`",
    ),
    "escalate_pointless": Rule(
        "error",
        "escalate 只用于 ask 且 on_timeout: escalate",
        "`escalate` belongs to an `ask` with `on_timeout: escalate`",
        "写 on_timeout: escalate，或删除 escalate",
        "write `on_timeout: escalate`, or remove `escalate`",
    ),
    "reminder_late": Rule(
        "error",
        "提醒 {after} ms 不早于 within {within} ms",
        "the reminder after {after} ms is not before `within` of {within} ms",
        "缩短它，或延长 within",
        "make it earlier, or `within` longer",
    ),
    "quorum_unreachable": Rule(
        "error",
        "需要 {quorum} 人同意，但只有 {people} 人可以回答",
        "{quorum} people must agree, but only {people} may answer",
        "减小 quorum，或多问几个人",
        "lower `quorum`, or ask more people",
    ),
    "duplicate_option": Rule(
        "error", "选项 {name} 重复", "the option {name!r} stands twice", "删除一个", "remove one",
    ),
    "asks_nobody_else": Rule(
        "error",
        "{name} 既在 to 又在 deny 中，没有人能回答",
        "{name} stands in `to` and in `deny`: nobody may answer",
        "问另外的人，或改正 deny",
        "ask others, or correct `deny`",
    ),
    "timeout_pointless": Rule(
        "error",
        "{verb} 没有等待，on_timeout 不起作用",
        "{verb} does not wait: `on_timeout` does nothing without `timeout`",
        "写 timeout，或删除 on_timeout",
        "write `timeout`, or remove `on_timeout`",
    ),
    "body_with_get": Rule(
        "error",
        "{method} 请求不带 body",
        "a {method} carries no `body`",
        "删除 body，或用 POST",
        "remove `body`, or use POST",
    ),
    "unknown_retry_word": Rule(
        "error",
        "retry_on 不认识 {name!r}",
        "`retry_on` does not know {name!r}",
        "{hint_zh}",
        "{hint}",
    ),
}  # fmt: skip
