"""What every key of a step and of its verbs means, in both languages.

Read through `wording.py`; only texts.
"""

from __future__ import annotations

Words = dict[str, tuple[str, str]]
_COMMAND = ("给设备下命令", "moves a device")
_HTTP = ("请求外部系统", "asks a linked system")
_WEBHOOK = ("向外部系统发签名通知", "tells a linked system, signed")
_STEPS = ("其中的步骤", "the steps in it")
_REASON = ("原因，可用 ${…}", "why; may hold templates")
_ENDPOINT = ("端点名，见文件头的 endpoints", "one of the playbook's `endpoints`")

VERBS: dict[str, Words] = {
    "Step": {
        "": ("一个步骤：恰有一个动词", "One step: exactly one verb."),
        "id": ("步骤 id，全文件唯一；表达式里写 steps.ID", "its id, its own in the file; steps.ID"),
        "name": ("给人看的名称；没有则显示 id", "what people see; else the id"),
        "if": ("不成立或未知则跳过", "skipped where it does not hold or is unknown"),
        "timeout": ("该步骤最长时间，含重试与内层步骤",
                    "the longest that it may take, tries and inner steps included"),
        "on_error": ("失败后：流程失败，或继续", "after its failure the run fails, or goes on"),
        "on_timeout": ("超时后：失败、继续，或升级（只用于 ask）",
                       "after its time: fail, go on, or escalate (an `ask` only)"),
        "retry": ("失败后再试", "tried again after a failure"),
        "escalate": ("无人回答时逐级升级", "the rungs that are climbed while nobody answers"),
        "compensate": ("如何还原该步骤", "how the step is undone"),
        "detach": ("与 webhook 内的 detach 相同", "the same as `detach` inside `webhook`"),
        "notify": ("通知人", "tells people"), "http": _HTTP, "webhook": _WEBHOOK,
        "emit": ("发出消息，可触发别的预案", "writes an event; it may start other playbooks"),
        "command": _COMMAND, "ask": ("请人决定", "people decide"),
        "wait": ("等这么久", "waits so long"),
        "wait_until": ("等现场满足条件", "waits for the plant"),
        "set": ("记下值，之后写 steps.ID.NAME", "keeps values; read as steps.ID.NAME"),
        "set_incident": ("写入事件：outcome、cause、note 与数字",
                         "writes into the incident: outcome, cause, note, figures"),
        "switch": ("走第一个成立的分支", "takes the first arm that holds"),
        "parallel": ("并行的分支", "branches side by side"),
        "for_each": ("对每个项目做一遍", "once for each item"),
        "repeat": ("重复，有上限", "again and again, with a bound"),
        "call": ("执行另一个预案", "runs another playbook here"),
        "try": ("失败在此处理，流程继续", "a failure inside is handled here, and the run goes on"),
        "log": ("写入运行记录", "writes a line into the run"),
        "stop": ("就此结束", "ends the run on purpose"),
        "fail": ("以失败结束", "ends with a failure"),
        "compensate_all": ("还原已做的全部动作", "undoes all that was done"),
    },
    "Notify": {
        "": ("通知人", "Tell people."),
        "to": ("role:、user: 或 team:", "role:, user: or team:"),
        "message": ("文字，中英两种，可用 ${…}", "the text, in both languages; may hold templates"),
        "channel": ("控制台、紧急、电话", "the console, urgent, or a call"),
    },
    "Http": {
        "": ("请求外部系统；答复在 steps.ID.status 与 .json（或 .text）",
             "Ask a linked system; the answer is steps.ID.status and .json (or .text)."),
        "endpoint": _ENDPOINT, "method": ("请求方法", "the method"),
        "path": ("接在端点地址之后，可用 ${…}", "below the endpoint's address; may hold templates"),
        "body": ("JSON，可用 ${…}", "JSON; may hold templates"),
        "expect": ("算成功的状态码；没有则 2xx", "statuses that count as done; none: every 2xx"),
    },
    "Webhook": {
        "": ("按 Standard Webhooks 发签名通知", "Tell a linked system, signed."),
        "endpoint": _ENDPOINT, "type": ("消息类型", "the event's type"),
        "data": ("内容，可用 ${…}", "what it carries; may hold templates"),
        "detach": ("交给发件箱，流程不等", "handed to the outbox: the run does not wait"),
    },
    "Emit": {
        "": ("写入工厂的事件流；可触发别的预案",
             "Write an event into the factory's journal; other playbooks may answer it."),
        "event": ("消息类型，例如 furnace.hot", "its type, such as furnace.hot"),
        "data": ("内容，可用 ${…}", "what it carries; may hold templates"),
    },
    "CommandSpec": {
        "": ("给设备下命令：有期限、在边缘检查、回读",
             "Move a device: expiring, checked and read back at the edge."),
        "device": ("逻辑设备，见文件头的 devices", "one of the playbook's `devices`"),
        "op": ("工厂绑定里该设备的操作", "an operation of the device in the site's binding"),
        "args": ("操作的参数，可用 ${…}", "the operation's argument; may hold templates"),
        "expires": ("过期就不再执行", "after so long it is not carried out any more"),
        "require": ("由边缘按新数据检查的前提；未知即不满足",
                    "checked at the edge on fresh data; unknown is not met"),
        "verify": ("回读验证", "what is read back"),
        "on_unknown": ("答复丢失后：回读判断、问人、失败；绝不盲目重发",
                       "when its answer is lost: read back, ask or fail; never sent blindly"),
        "approval": ("没有此 ask 的答复就不下命令",
                     "the `ask` without whose answer nothing is sent"),
    },
    "Verify": {
        "": ("限时内须回读到的状态", "What must be read back from the device, within a time."),
        "until": ("须成立的条件", "what must hold"), "within": ("多久之内", "within how long"),
    },
    "AskSpec": {
        "": ("请人决定", "People decide."),
        "to": ("role:、user: 或 team:", "role:, user: or team:"),
        "question": ("问题，中英两种，可用 ${…}", "in both languages; may hold templates"),
        "options": ("可选的答复；表达式里写 steps.ID.answer == \"…\"",
                    "the answers; read as steps.ID.answer == \"…\""),
        "labels": ("选项给人看的文字", "what an option is called to people; else its id"),
        "within": ("多久之内回答", "how long there is to answer"),
        "quorum": ("须有几人选同一项", "how many people must choose the same option"),
        "deny": ("谁不能回答，例如 user:${run.started_by}",
                 "who may not answer, such as user:${run.started_by}"),
        "reminders": ("从提问算起何时再提醒", "when those asked are told again, from the question"),
    },
    "Rung": {
        "": ("升级的一级：通知更多人，或最后作出决定",
             "One rung of an escalation ladder after a timeout: tell others, or decide at last."),
        "after": ("within 过后多久", "how long after `within`"),
        "to": ("通知谁", "who is told"),
        "channel": ("控制台、紧急、电话", "the console, urgent, or a call"),
        "then": ("仍无人回答时取此选项",
                 "the option that is taken when nobody has answered by then"),
    },
    "WaitUntil": {
        "": ("等现场满足条件；steps.ID.met 说明是否等到",
             "Wait for the plant; steps.ID.met says whether it came."),
        "condition": ("等什么", "what is waited for"),
        "within": ("最多等多久", "how long at most"),
        "for": ("须连续成立多久；出现未知则重新计时",
                "how long without a break; counted anew after an unknown value"),
    },
    "Retry": {
        "": ("失败后再试：按规则，或按时间表（二选一）",
             "When a failed try is made again: by a rule, or by a schedule from the first try."),
        "max": ("首次之后最多再试几次", "how many tries after the first"),
        "delay": ("再试前的间隔", "the pause before a try"),
        "backoff": ("间隔：不变、递增、加倍", "the pause stays, grows, or doubles"),
        "max_delay": ("间隔的上限", "the longest pause"),
        "jitter": ("间隔随机增减的比例", "the part of the pause that it is moved by, either way"),
        "retry_on": ("哪些错误再试，例如 timeout、connect、5xx；没有则全部",
                     "kinds that are tried again, such as timeout, connect, 5xx; none: every"),
        "schedule": ("从首次算起的各次时间", "the times of the tries, from the first"),
    },
    "Compensate": {
        "": ("如何还原该步骤：恰一个动作",
             "How a step is undone: one effect, with tries of its own."),
        "command": _COMMAND, "http": _HTTP, "webhook": _WEBHOOK,
        "retry": ("还原失败后再试", "tried again after a failure"),
    },
    "CompensateAll": {
        "": ("还原已做的、写明如何还原的动作，从最近的开始",
             "Undo every actuation so far whose step says how, newest first."),
        "reason": _REASON,
    },
    "Arm": {
        "": ("switch 的一个分支", "One arm of a switch."),
        "when": ("成立就走该分支；未知不走", "taken if it holds; not if it is unknown"),
        "otherwise": ("以上都不成立时", "where none above was taken"), "steps": _STEPS,
    },
    "Parallel": {
        "": ("并行；全部、任一或 N 个分支成功后继续，其余停止",
             "Side by side; goes on when all, any or N have ended well, and stops the others."),
        "branches": ("分支，2 到 10 个", "the branches, 2 to 10"),
        "wait": ("all、any 或个数", "all, any, or how many"),
    },
    "Branch": {
        "": ("并行的一个分支", "One branch of a parallel block."),
        "id": ("分支 id，块内唯一", "its id, its own in the block"), "steps": _STEPS,
    },
    "ForEach": {
        "": ("对每个项目做一遍；内层写 item 与 index（从 0）",
             "The steps once for each item; they see it as `item`, its place as `index` (from 0)."),
        "items": ("给出列表的表达式", "an expression that gives a list"),
        "max": ("项目数上限，超过即失败；最坏情况按它计算",
                "more items are an error; the worst case counts with it"),
        "together": ("同时处理几个", "how many are worked on at the same time"), "steps": _STEPS,
    },
    "Repeat": {
        "": ("重复至多 max 轮；index 从 0 起",
             "The steps again and again, at most `max` times; `index` counts from 0."),
        "max": ("最多几轮", "how many rounds at most"),
        "until": ("每轮之后查看，成立即结束", "looked at after each round; it ends when it holds"),
        "pause": ("两轮之间", "between two rounds"), "steps": _STEPS,
    },
    "Try": {
        "": ("其中的失败在此处理；处理成功则流程继续",
             "A failure inside is handled here; after a handler that ends well the run goes on."),
        "steps": _STEPS, "catch": ("第一个符合的处理", "the first that fits handles it"),
    },
    "Call": {
        "": ("在此执行另一个已发布预案的步骤，用自己的输入",
             "Run another released playbook's steps in this place, with inputs of its own."),
        "playbook": ("被调用预案的 id", "the called playbook's id"),
        "inputs": ("它的输入，可用 ${…}", "its inputs; may hold templates"),
    },
    "Fail": {
        "": ("以失败结束；最近的 catch 接手，否则流程如此结束",
             "End with an error: the nearest `catch` takes it, else the run ends so."),
        "outcome": ("没有 catch 时流程的结局", "how the run ends where nothing catches it"),
        "reason": _REASON,
        "kind": ("catch 里的 error.kind", "what `error.kind` says to a handler"),
    },
    "Stop": {
        "": ("就此结束；finally 仍执行",
             "End the run here and now, on purpose; `finally` still runs."),
        "outcome": ("流程的结局", "how the run ends"), "reason": _REASON,
    },
}  # fmt: skip
"""Part -> key -> (Chinese, English)."""
