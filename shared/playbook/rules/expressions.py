"""Rules about what is evaluated.

Only texts: what is checked is in `lint_*.py`.
"""

from __future__ import annotations

from shared.playbook.rules.rule import Rule

EXPRESSIONS: dict[str, Rule] = {
    "constant_condition": Rule(
        "error",
        "条件 {text!r} 恒为 {value}",
        "the condition {text!r} is always {value}",
        "引用告警、位号或步骤，或删除它",
        "refer to the alarm, a tag or a step, or remove it",
    ),
    "template_in_condition": Rule(
        "error",
        "条件本身就是表达式，不要写 ${{…}}",
        "a condition is an expression already and takes no ${{…}}",
        "写作 {bare!r}",
        "write {bare!r}",
    ),
    "step_not_yet_run": Rule(
        "error",
        "此处步骤 {name} 还没有执行：{why_zh}",
        "step {name!r} has not run here: {why}",
        "把它移到前面，或改为引用之前的步骤",
        "move it before, or refer to an earlier step",
    ),
    "step_may_not_have_run": Rule(
        "error",
        "步骤 {name} 可能没有结果 .{member}：{why_zh}",
        "step {name!r} may have no .{member}: {why}",
        "用 has(steps['{name}'].{member}) 或 steps['{name}'].ok 保护",
        "guard it with has(steps['{name}'].{member}) or steps['{name}'].ok",
    ),
    "item_outside_loop": Rule(
        "error",
        "{name} 只在循环内有值",
        "`{name}` has a value only inside a loop",
        "移到 {loop} 的 steps 里",
        "move it into the steps of a {loop}",
    ),
    "error_outside_catch": Rule(
        "error",
        "error 只在 catch 与 finally 内有值",
        "`error` has a value only inside `catch` and `finally`",
        "移到 catch 里，或用 steps['…'].kind",
        "move it into `catch`, or use steps['…'].kind",
    ),
    "no_before": Rule(
        "error",
        "操作 {op} 不记录动作前的值，steps['{name}'].before 永远没有值",
        "operation {op} captures nothing before it acts: steps['{name}'].before has no value",
        "在 bindings.yaml 的该操作写 capture_before，或写固定值",
        "give the operation `capture_before` in bindings.yaml, or write a fixed value",
    ),
    "secret_in_text": Rule(
        "error",
        "文字中有机密（{what}）",
        "there is a secret in this text ({what})",
        "改放到工厂的 secrets 目录，由 bindings.yaml 的端点引用",
        "keep it in the site's secrets folder and name it in the endpoint of bindings.yaml",
    ),
}  # fmt: skip
