"""What the report calls lanes and kinds, in both languages. Pure."""

from __future__ import annotations

from shared.web.dto_base import Text

LANES = {
    "process": Text(zh="过程", en="Process"), "alarm": Text(zh="报警", en="Alarm"),
    "people": Text(zh="人员", en="People"), "playbook": Text(zh="预案", en="Playbook"),
    "command": Text(zh="命令", en="Command"), "cloud": Text(zh="集团", en="Group"),
    "told": Text(zh="通知", en="Told"), "unit": Text(zh="产品", en="Product"),
    "incident": Text(zh="事件", en="Incident"),
}  # fmt: skip
KINDS = {
    "raised": Text(zh="产生", en="raised"),
    "returned": Text(zh="恢复", en="returned"),
    "re_alarmed": Text(zh="再次报警", en="alarmed again"),
    "acknowledged": Text(zh="已确认", en="acknowledged"),
    "acknowledge": Text(zh="确认", en="acknowledges"),
    "confirm": Text(zh="复核", en="confirms"),
    "reset": Text(zh="复位", en="resets"),
    "shelve": Text(zh="搁置", en="shelves"),
    "shelved": Text(zh="已搁置", en="shelved"),
    "unshelve": Text(zh="取消搁置", en="unshelves"),
    "unshelved": Text(zh="搁置结束", en="off the shelf"),
    "suppress": Text(zh="抑制", en="suppresses"),
    "suppressed": Text(zh="已抑制", en="suppressed"),
    "out_of_service": Text(zh="停用", en="out of service"),
    "in_service": Text(zh="恢复使用", en="in service"),
    "comment": Text(zh="备注", en="comments"),
    "assign": Text(zh="指派", en="assigns"),
    "outcome": Text(zh="结论", en="labels"),
    "directive": Text(zh="集团指令", en="directive"),
    "entered": Text(zh="进站", en="enters"),
    "left": Text(zh="出站", en="leaves"),
    "attached": Text(zh="附件", en="attaches"),
    "assembled_into": Text(zh="装入", en="assembled into"),
    "split_from": Text(zh="分自", en="split from"),
    "measured": Text(zh="过程值", en="measured"),
    "notice": Text(zh="设备通知", en="device told"),
    "webhook": Text(zh="外发消息", en="webhook"),
    "local_action_intent": Text(zh="本地动作开始", en="reflex begins"),
    "local_action_done": Text(zh="本地动作完成", en="reflex done"),
    "local_action_failed": Text(zh="本地动作失败", en="reflex failed"),
}
SUBJECTS = {
    "alarm": Text(zh="报警", en="Alarm"), "incident": Text(zh="事件", en="Incident"),
    "unit": Text(zh="产品", en="Unit"), "batch": Text(zh="批次", en="Batch"),
}  # fmt: skip


def said(text: Text, language: str) -> str:
    """One language of a text; the other where that one is missing."""
    return (text.zh or text.en) if language == "zh" else (text.en or text.zh)


def lane(name: str, language: str) -> str:
    """What a lane is called."""
    known = LANES.get(name)
    return said(known, language) if known else name


def kind(name: str, language: str) -> str:
    """What happened; a name that only a plant's playbook knows stays as it is."""
    known = KINDS.get(name)
    return said(known, language) if known else name
