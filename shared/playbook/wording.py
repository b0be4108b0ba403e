"""What every key of a playbook means, in both languages: its head here, steps and verbs beside.

Used by the JSON Schema, so that an editor shows it, and by docs/reference/playbook.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.playbook.wording_verbs import VERBS, Words

PARTS: dict[str, Words] = {
    "Playbook": {
        "": ("一个处置预案", "A response plan."),
        "schema": ("本语言的版本，总是 playbook/v1", "version of this language: playbook/v1"),
        "playbook": ("预案 id，全厂唯一", "the playbook's id, its own in the whole factory"),
        "version": ("版本号，每次发布递增", "raised with every release"),
        "name": ("给人看的名称", "what people call it"),
        "description": ("做什么、何时用", "what it does, and when"),
        "owner": ("负责的班组或人", "the team or person who answers for it"),
        "labels": ("自定的标签，例如 hazard: fire", "labels of your own, such as hazard: fire"),
        "inputs": ("名称 -> 可由工厂填写的值", "name -> a value that the site fills in"),
        "devices": ("逻辑设备 -> 类型与如何找到它",
                    "logical device -> its type, and how to find it"),
        "endpoints": ("外部系统的名称与类型；地址在工厂绑定里",
                      "linked systems by name and type; addresses are the site's"),
        "triggers": ("由什么启动；没有则只能被 call",
                     "what starts it; without any only `call` does"),
        "concurrency": ("同一 key 已有运行时怎么办", "what happens when a run of the key is live"),
        "leave_when": ("告警变化时提前结束", "ends early because its alarm has changed"),
        "deadline": ("整个流程最长时间", "the longest that a run may take"),
        "on_restart": ("大脑停机后恢复时：继续、问人、放弃",
                       "after an outage of the brain: go on, ask a person, give it up"),
        "stale_after": ("停机超过这么久就一定先问人",
                        "after so long an outage a person is asked in any case"),
        "budget": ("最坏情况的上限，超过则不能发布",
                   "limits of the worst case; above them it is not released"),
        "steps": ("按顺序执行的步骤", "the steps, in their order"),
        "catch": ("步骤失败后由第一个符合的处理", "after a failure the first that fits handles it"),
        "finally": ("无论如何结束，最后都执行", "run at the end, however it ends"),
        "outcome": ("怎样算成功，记录哪些指标", "what counts as success, and what is measured"),
        "offline": ("大脑失联时由边缘执行的安全部分",
                    "the safe part that an edge runs while the brain is away"),
    },
    "Input": {
        "": ("一个输入：由工厂填写，可调的由集团在范围内调整",
             "An input: the site fills it in, the group may move what is tunable."),
        "type": ("值的类型", "what kind of value it is"),
        "default": ("工厂没有填写时的值", "its value where the site gives none"),
        "unit": ("单位，给人看", "its unit, for people"),
        "description": ("含义，给人看", "what it means, for people"),
        "options": ("choice 可取的值", "what a `choice` may be"),
        "tunable": ("集团可以在此范围内调整", "the bounds inside which the group may move it"),
    },
    "Tunable": {
        "": ("可调范围", "Bounds inside which the group may move an input."),
        "min": ("最小值（含）", "the least, included"),
        "max": ("最大值（含）；最坏情况按它计算",
                "the most, included; the worst case counts with it"),
    },
    "DeviceRole": {
        "": ("逻辑设备；工厂的设备名为“bind/role”",
             "A logical device; the site's is called `<bind>/<role>`."),
        "type": ("设备类型，例如 fan.exhaust", "the device's type, such as fan.exhaust"),
        "bind": ("给出设备名前一半的表达式，通常 alarm.asset",
                 "an expression that gives the name's first half, mostly alarm.asset"),
        "role": ("设备名的后一半；空则只有前一半",
                 "the name's second half; empty: the first is all of it"),
    },
    "Trigger": {
        "": ("由什么启动：告警、事件、消息、时刻或人，恰写一种",
             "What starts a run: one of an alarm, an incident, an event, the clock or a person."),
        "id": ("触发器 id", "the trigger's id"),
        "alarm": ("告警名，或工厂绑定给多个告警的代码",
                  "an alarm, or a code that the site's binding gives to several"),
        "incident": ("事件的变化", "a change of an incident"),
        "event": ("消息类型：外部设备的，或另一预案 emit 的",
                  "an event's type: of a linked device, or of another playbook's `emit`"),
        "cron": ("五段 cron，工厂当地时间", "five fields of the site's local time"),
        "manual": ("由人启动", "started by people"),
        "transition": ("告警的哪种变化", "which change of the alarm"),
        "where": ("还须满足的条件；未知不启动", "a condition on top; unknown starts nothing"),
        "for": ("告警须持续多久；重启不丢",
                "how long the alarm must have stood; kept over a restart"),
        "throttle": ("限制触发的频率", "how often it fires"),
    },
    "Throttle": {
        "": ("触发频率：三种写法恰写一种，按 by 的值分别计数",
             "How often a trigger fires: one of three words, counted for each value of `by`."),
        "once_within": ("先触发，其后这段时间内不再触发", "fires at once, then not for so long"),
        "once_after": ("首次之后过这段时间触发一次", "fires once, so long after the first"),
        "accumulate_within": ("这段时间内满 count 次才触发", "fires when `count` came within it"),
        "count": ("accumulate_within 的次数", "how many, for `accumulate_within`"),
        "by": ("按什么分别计数", "what is counted apart"),
    },
    "Manual": {
        "": ("谁可以手动启动", "Who may start it by hand."),
        "roles": ("角色名，不带 role:", "roles, without `role:`"),
    },
    "Concurrency": {
        "": ("同一 key 已有运行时怎么办",
             "What happens when a run of the same key is live already."),
        "key": ("给出 key 的表达式", "an expression that gives the key"),
        "mode": ("single 只一个；restart 结束旧的；queued 排队；parallel 并行",
                 "single: one; restart: ends the old one; queued: one after the other; parallel"),
        "max": ("同一 key 同时存在（含排队）的上限", "live and queued runs of a key at most"),
        "on_conflict": ("不能新开时：并入现有运行，或忽略",
                        "what gets no run of its own joins the live one, or is only counted"),
    },
    "Leave": {
        "": ("告警变化时提前结束；在步骤之间和每次等待中查看",
             "Ends early because its alarm has changed; looked at between steps and in waits."),
        "alarm": ("告警变成什么", "what its alarm has become"),
        "after_step": ("此步骤结束后才生效", "only once this step has ended"),
        "then": ("直接到 finally，或先还原已做的动作",
                 "to `finally` at once, or undo first what was done"),
    },
    "Budget": {
        "": ("一次运行的上限；最坏情况超过则不能发布",
             "The most that a run may do; a plan whose worst case is above it is not released."),
        "commands": ("命令数，重试与还原都计入", "commands, with every try and undoing"),
        "duration": ("最长用时", "the longest time"),
        "people": ("通知与询问的对象数，重复的只计一次",
                   "addressees that are told or asked, each counted once"),
    },
    "Outcome": {
        "": ("怎样算成功，记录哪些指标", "What counts as success, and what is measured."),
        "success": ("步骤走完后成立才算成功；没有则走完即成功",
                    "must hold after the steps; without it their end is success"),
        "metrics": ("名称 -> 上报集团的值", "name -> a value for the group"),
    },
    "Offline": {
        "": ("大脑失联时由边缘执行的安全部分",
             "The safe part that an edge runs by itself while the factory's brain is away."),
        "after": ("大脑失联且告警持续多久后执行",
                  "how long the brain must be away, and the alarm present"),
        "steps": ("只可用 command wait wait_until set switch parallel log fail",
                  "only command, wait, wait_until, set, switch, parallel, log, fail"),
    },
    "Catch": {
        "": ("失败的处理；第一个条件成立的接手",
             "A handler of a failure; the first whose condition holds takes it."),
        "when": ("例如 error.kind == \"timeout\"；true 接收所有",
                 "such as error.kind == \"timeout\"; true takes every failure"),
        "steps": ("接手后执行的步骤", "what is done then"),
    },
    **VERBS,
}  # fmt: skip
"""Part -> key -> (Chinese, English); the empty key says what the part itself is."""


def words(part: str, key: str = "") -> tuple[str, str]:
    """(Chinese, English) of a part, or of one of its keys."""
    found: Mapping[str, tuple[str, str]] = PARTS[part]
    return found[key]
