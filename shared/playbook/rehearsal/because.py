"""Why something did not happen, as far as a run's journal tells: in words for people.

Used by the judge for its messages; decides nothing.
"""

from __future__ import annotations

from shared.playbook.rehearsal.told import RunTold, Told, clock

REASONS = {
    "condition_false": {"zh": "`if` 不成立", "en": "its `if` was false"},
    "condition_unknown": {"zh": "`if` 无法判断", "en": "its `if` could not be known"},
    "no_arm": {"zh": "没有分支成立", "en": "no arm held"},
    "not_needed": {"zh": "已不需要", "en": "it was not needed any more"},
    "left": {"zh": "报警状态已变，流程离开", "en": "the run left with its alarm"},
    "cancelled": {"zh": "流程被取消", "en": "the run was cancelled"},
    "interlock": {"zh": "联锁不允许", "en": "an interlock forbade it"},
    "timeout": {"zh": "超时", "en": "it timed out"},
}


def passed_by(name: str, told: Told, language: str) -> str:
    """Why a step was not reached: it was passed by, or the run ended before."""
    for run in told.runs:
        for path, record in run.journal.items():
            if path.rsplit("/", 1)[-1] == name and record.phase == "skipped":
                reason = str(record.data.get("reason", ""))
                word = REASONS.get(reason, {}).get(language, reason)
                at = clock(run.began[path])
                skipped = {"zh": f"：{at} 跳过，{word}", "en": f": passed by at {at}, {word}"}
                return skipped[language]
    if not told.runs:
        return {"zh": "：没有流程启动", "en": ": no run began"}[language]
    return why_ended(told.runs[-1], language)


def why_ended(run: RunTold, language: str) -> str:
    """How a run has ended and what failed it."""
    error, leave = run.journal.get("/error"), run.journal.get("/leave")
    if run.status == "waiting":
        return {"zh": "；流程仍在等待", "en": "; the run still waits"}[language]
    if error is not None:
        data = error.data
        expression = _refused(run, str(data["path"]))
        told = f"{data['path']}: {data['kind']} {data.get('reason') or ''}".strip() + expression
        return {"zh": f"；出错：{told}", "en": f"; failed at {told}"}[language]
    if leave is not None:
        state = leave.data.get("alarm")
        return {"zh": f"；报警 {state}，流程离开", "en": f"; it left: alarm {state}"}[language]
    if run.status == "failure":
        words = {"zh": "；`outcome.success` 不成立", "en": "; `outcome.success` did not hold"}
        return words[language]
    return ""


def _refused(run: RunTold, path: str) -> str:
    """The condition that stood against a command."""
    record = run.journal.get(path)
    params = record.data.get("params") if record is not None else None
    text = params.get("expression") if isinstance(params, dict) else None
    return f" ({text})" if text else ""
