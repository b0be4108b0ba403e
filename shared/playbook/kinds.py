"""What can fail in a run: every `error.kind`, what it means and what to do, in both languages.

The one table: the linter knows the kinds by it, and docs/reference/error-codes.md is made of it.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """One kind of failure: when it comes, and what to look at then."""

    zh: str
    en: str
    mend_zh: str
    mend_en: str


KINDS: dict[str, Kind] = {
    "interlock": Kind(
        "命令的 require 或工厂的联锁不满足、或无法确知：未动作",
        "a `require` or an interlock of the site said no, or could not be known: nothing was moved",
        "看 reason 里的条件与位号质量；联锁只能由工厂修改",
        "look at the condition and the tag's quality in `reason`; interlocks are the site's own",
    ),
    "refused": Kind(
        "边缘拒绝：超出限值、动作太频繁、未知操作，或演练不得动真实设备",
        "the edge refused it: a limit, too often, no such operation, or a drill on real devices",
        "看 reason；限值与频率在 bindings.yaml 的该操作里",
        "look at `reason`; limits and rates stand with the operation in bindings.yaml",
    ),
    "expired": Kind(
        "命令未在 expires 内执行，今后也不会执行",
        "the command was not carried out within `expires`, and never will be",
        "查边缘的连接；需要时由人或 catch 再次决定",
        "look at the link to the edge; let people, or a `catch`, decide anew",
    ),
    "verify_failed": Kind(
        "已写入，但回读未在 verify.within 内达到",
        "it was written, but the read-back did not follow within `verify.within`",
        "到现场看设备；时间太短则加长 within",
        "look at the device itself; lengthen `within` if it is merely slow",
    ),
    "command_unknown": Kind(
        "无法确认命令是否已执行；不会盲目重发，流程以 needs_human 结束",
        "nobody can tell whether it was carried out; it is not sent again; ends needs_human",
        "到现场核实；on_unknown: ask 会直接问值班长",
        "look at the plant; `on_unknown: ask` asks the shift lead at once",
    ),
    "edge_unreachable": Kind(
        "边缘不可达，命令确定没有发出",
        "the edge is not heard: the command was surely not sent",
        "恢复连接；离线时须做的写入 offline",
        "mend the link; what must happen without it belongs into `offline`",
    ),
    "unbound_device": Kind(
        "该资产没有绑定此逻辑设备",
        "the site binds no such device to this asset",
        "在 bindings.yaml 绑定，并用 lint --site 检查",
        "bind it in bindings.yaml, and check with `lint --site`",
    ),
    "argument_unknown": Kind(
        "参数、地址或时长无法确知（位号坏、步骤没有结果）",
        "an argument, an address or a time could not be known (a bad tag, a step without result)",
        "先用 has() 或 .good 判断，或给出固定值",
        "ask first with has() or `.good`, or write a fixed value",
    ),
    "not_approved": Kind(
        "命令的 approval 所指的审批没有答复；流程以 needs_human 结束",
        "the `ask` that `approval` names has no answer; the run ends needs_human",
        "把命令放到得到批准的分支里",
        "put the command into the arm that was approved",
    ),
    "timeout": Kind(
        "步骤、等待、审批或请求超时",
        "the time of a step, a wait, a question or a request is over",
        "写 on_timeout，或加长 within / timeout",
        "write `on_timeout`, or lengthen `within` or `timeout`",
    ),
    "deadline": Kind(
        "整个流程的 deadline 已过",
        "the run's own `deadline` is over",
        "看 explain 的最长用时，加长 deadline 或缩短等待",
        "compare with the worst case of `explain`; lengthen `deadline` or shorten waits",
    ),
    "connect": Kind(
        "请求没有连上：地址、证书、端点未绑定",
        "a request found no connection: the address, a certificate, an endpoint that is not bound",
        "看 reason 与 bindings.yaml 的端点",
        "look at `reason` and at the endpoint in bindings.yaml",
    ),
    "http_<status>": Kind(
        "请求得到不算成功的状态，例如 http_503",
        "a request was answered with a status that does not count as done, such as http_503",
        "写 retry_on、expect 或 on_error",
        "write `retry_on`, `expect` or `on_error`",
    ),
    "webhook_failed": Kind(
        "等待送达的 webhook 未送达",
        "a webhook that is waited for was not delivered",
        "看未送达的清单；不必等待则写 detach: true",
        "look at the dead webhooks; write `detach: true` where nobody need wait",
    ),
    "too_many_items": Kind(
        "for_each 的项目多于 max",
        "`for_each` has more items than `max`",
        "加大 max，或先筛选",
        "raise `max`, or filter the items first",
    ),
    "call_depth": Kind(
        "call 的层数超限",
        "playbooks call each other too deep",
        "把内层步骤写进来",
        "write the inner steps out",
    ),
    "unstorable": Kind(
        "结果无法存入运行记录",
        "a result that the journal cannot hold",
        "看 reason；请求的答复可能太大",
        "look at `reason`; an answer may be too large",
    ),
    "journal_mismatch": Kind(
        "运行记录与预案文本不符：流程停下，以 needs_human 结束，绝不猜测",
        "the journal does not fit the playbook's text: the run stops as needs_human, never guessed",
        "在运行页面查看轨迹，由人收尾；用原版本或迁移到适合的版本",
        "read the run's trace and finish by hand; migrate only to a version that fits",
    ),
    "stopped": Kind(
        "被调用的预案因外层流程结束而停下",
        "a called playbook stopped because the run around it was ended",
        "无需处理；见结束的原因",
        "nothing; see why the run was ended",
    ),
    "failed": Kind(
        "步骤 fail 主动失败（kind 可自定），或其他失败",
        "a `fail` step (its `kind` may be your own word), or what has no kind of its own",
        "看 reason",
        "look at `reason`",
    ),
}  # fmt: skip
"""Kind -> what it means. `http_<status>` stands for all of `http_100` to `http_599`."""


def is_status(kind: str) -> bool:
    """Whether a kind says which status a request was answered with: `http_503`."""
    return kind.startswith("http_") and kind.removeprefix("http_").isdigit()
