"""Rules about the order of steps, calls and the offline part.

Only texts: what is checked is in `lint_*.py`.
"""

from __future__ import annotations

from shared.playbook.rules.rule import Rule

FLOW: dict[str, Rule] = {
    "duplicate_id": Rule(
        "error",
        "步骤 id {name} 重复",
        "step id {name!r} is used twice",
        "换一个 id",
        "give it an id of its own",
    ),
    "unreachable": Rule(
        "error",
        "步骤 {name} 永远不会执行：之前的 {after} 已经结束流程",
        "step {name!r} is never reached: {after!r} before it ends the run",
        "移到它之前，或给它加 if，或删除",
        "move it before that one, give that one an `if`, or remove it",
    ),
    "unreachable_arm": Rule(
        "error",
        "该分支永远不会被选中：{why_zh}",
        "this arm is never taken: {why}",
        "删除它，或改变顺序与条件",
        "remove it, or change its place or condition",
    ),
    "switch_without_otherwise": Rule(
        "error",
        "分支 {name} 缺少 otherwise",
        "switch {name!r} has no `otherwise`",
        "加上 - otherwise: true 与 steps",
        "add `- otherwise: true` with its `steps`",
    ),
    "unreachable_handler": Rule(
        "error",
        "该 catch 永远不会被选中：前一个接收所有错误",
        "this handler is never taken: the one before it takes every error",
        "移到它之前，或删除",
        "move it before that one, or remove it",
    ),
    "slow_before_people": Rule(
        "error",
        "{name}（{verb}）最长可拖住后面的 {later} {seconds:g} s",
        "{name!r} ({verb}) can hold up {later!r} for {seconds:g} s",
        "写 timeout: 15s 以内，webhook 用 detach: true，或移到其后",
        "give it a `timeout` of 15s at most, `detach: true` for a webhook, or move it behind",
    ),
    "telling_blocks_command": Rule(
        "error",
        "{name}（{verb}）失败会使后面的命令 {later} 不执行",
        "when {name!r} ({verb}) fails, the command {later!r} is never given",
        "写 on_error: continue",
        "write `on_error: continue`",
    ),
    "retry_pointless": Rule(
        "advice",
        "{name} 的 retry 不起作用：{verb} 不会失败后重试",
        "`retry` of {name!r} does nothing: {verb} is not tried again",
        "删除 retry",
        "remove `retry`",
    ),
    "wait_beyond_deadline": Rule(
        "error",
        "{name} 最长等待 {ms} ms，超过整个流程的 deadline {deadline} ms",
        "{name!r} may wait {ms} ms, longer than the run's `deadline` of {deadline} ms",
        "缩短等待，或延长 deadline",
        "shorten it, or make `deadline` longer",
    ),
    "timeout_beyond_deadline": Rule(
        "error",
        "{name} 的 timeout 超过整个流程的 deadline",
        "the `timeout` of {name!r} is longer than the run's `deadline`",
        "缩短 timeout，或延长 deadline",
        "shorten it, or make `deadline` longer",
    ),
    "wait_beyond_timeout": Rule(
        "error",
        "{name} 的 within 比它的 timeout 长，永远等不到",
        "`within` of {name!r} is longer than its `timeout` and is never reached",
        "使 timeout 不短于 within",
        "make `timeout` no shorter than `within`",
    ),
    "hold_beyond_within": Rule(
        "error",
        "{name} 的 for 不短于 within，永远不能满足",
        "`for` of {name!r} is no shorter than `within`, so it can never be met",
        "缩短 for，或延长 within",
        "shorten `for`, or lengthen `within`",
    ),
    "for_each_loop_max": Rule(
        "error",
        "together {together} 大于 max {max}",
        "`together` {together} is more than `max` {max}",
        "使 together 不大于 max",
        "make `together` no more than `max`",
    ),
    "parallel_wait": Rule(
        "error",
        "wait: {wait} 多于分支数 {branches}",
        "`wait: {wait}` is more than the {branches} branches (or less than 1)",
        "写 all、any 或 1 到 {branches}",
        "write all, any or 1 to {branches}",
    ),
    "endless_round": Rule(
        "advice",
        "循环 {name} 没有 until，固定执行 {max} 轮",
        "repeat {name!r} has no `until`: it always makes {max} rounds",
        "若不是本意，写 until",
        "write `until` unless that is meant",
    ),
}  # fmt: skip

CALLS: dict[str, Rule] = {
    "call_cycle": Rule(
        "error",
        "call 成环：{ring}",
        "the calls form a ring: {ring}",
        "去掉其中一个 call",
        "remove one of the calls",
    ),
    "call_depth": Rule(
        "error",
        "call 的层数 {depth} 超过 {most}",
        "calls go {depth} deep, and {most} is the most",
        "把内层预案的步骤写进来",
        "write the inner playbook's steps here",
    ),
    "call_missing_input": Rule(
        "error",
        "预案 {playbook} 的输入 {name!r} 没有默认值，必须给出",
        "input {name!r} of {playbook} has no default and must be given",
        "写 inputs: {{{name}: …}}",
        "write `inputs: {{{name}: …}}`",
    ),
    "call_input_value": Rule(
        "error",
        "预案 {playbook} 的输入 {name!r} 不接受 {value!r}",
        "input {name!r} of {playbook} does not take {value!r}",
        "写一个 {kind}",
        "write a {kind}",
    ),
    "call_beyond_deadline": Rule(
        "advice",
        "被调用预案 {playbook} 的 deadline 比本预案长",
        "the called playbook {playbook} has a longer `deadline` than this one",
        "缩短它，或延长本预案的 deadline",
        "shorten it, or make this one's longer",
    ),
    "call_unchecked": Rule(
        "advice",
        "没有给出预案 {name}，无法检查该 call",
        "the playbook {name} is not here, so the call is not checked",
        "用 --with 给出它的文件或目录，例如 --with playbooks/library/muster",
        "give its file or folder by `--with`, for example --with playbooks/library/muster",
    ),
}  # fmt: skip

OFFLINE: dict[str, Rule] = {
    "offline_without_alarm": Rule(
        "error",
        "离线片段没有告警触发器",
        "nothing would start the offline part: no trigger names an alarm",
        "加上告警触发器",
        "add a trigger with `alarm`",
    ),
    "not_offline": Rule(
        "error",
        "离线片段不能使用 {verb}",
        "`{verb}` needs the brain, so it cannot stand in the offline part",
        "只用 {allowed}",
        "use only {allowed}",
    ),
    "offline_approval": Rule(
        "error",
        "离线时没有人可以审批",
        "nobody can approve while the brain is away",
        "去掉 approval，或移到 steps",
        "leave `approval` out, or move the command to `steps`",
    ),
    "offline_not_idempotent": Rule(
        "error",
        "操作 {op} 不可重复",
        "{op!r} is not idempotent: what a power cut leaves open could not be settled",
        "离线片段只用幂等操作",
        "use an idempotent operation",
    ),
    "offline_compensate": Rule(
        "error",
        "离线片段没有补偿",
        "nothing is undone in the offline part",
        "把 compensate 去掉",
        "leave `compensate` out",
    ),
}  # fmt: skip
