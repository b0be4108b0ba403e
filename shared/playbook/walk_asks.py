"""Questions to people: of an `ask` step with its reminders and its ladder, and the engine's own.

Called by the walk; who may answer is checked where the answer is given, and once more here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.playbook.journal import LEAD, RESUME, Asking, Effect, Record
from shared.playbook.model import Step
from shared.playbook.walk import Walk
from shared.playbook.walk_state import MismatchError

_OPTIONS = {
    "resume": {"zh": "继续执行", "en": "Go on"},
    "abandon": {"zh": "放弃执行", "en": "Give it up"},
    "done": {"zh": "已执行", "en": "It was carried out"},
    "not-done": {"zh": "未执行", "en": "It was not"},
}


def ask(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Let people decide; the first option that enough of them chose wins."""
    spec = step.ask
    assert spec is not None
    if record is None:
        within = walk.see.duration(spec.within)
        if within is None:
            return walk.settle(step, path, "failed", {"kind": "argument_unknown"})
        data = {
            "until": walk.now + within, "question": walk.words(spec.question),
            "deny": [walk.see.render(one) for one in spec.deny],
        }  # fmt: skip
        record = walk.pin(step, path, data)
    deny = [str(one) for one in record.data.get("deny", ())]
    chosen = _chosen(walk.context.answers.get(path), spec.options, spec.quorum, deny)
    if chosen is not None:  # also one that came before the question was written
        return walk.settle(step, path, "done", chosen)
    if walk.hurried:
        return walk.settle(step, path, "skipped", {"reason": "cancelled"})
    if walk.overdue(step, path, record):
        return True
    until, limit = _pinned(path, record, "until"), walk.until(step, record.began)
    if limit is not None and walk.now >= limit:
        return walk.settle(step, path, "failed", {"kind": "timeout"})
    if walk.now >= until and step.on_timeout != "escalate":
        return walk.settle(step, path, "failed", {"kind": "timeout"})
    for place, after in enumerate(spec.reminders):
        _told(walk, step, f"{path}/remind/{place}", record.began + after, spec.to, "urgent", record)
    if limit is not None:
        walk.wake(limit)
    if walk.now >= until and _decided(walk, step, path, until, record):
        return True
    if walk.now < until:
        walk.wake(until)
    walk.next.asks.append(
        Asking(
            path, step.id, tuple(spec.to), record.data.get("question", {}), tuple(spec.options),
            {key: word.model_dump() for key, word in spec.labels.items()}, until, spec.quorum,
            tuple(deny),
        )
    )  # fmt: skip
    return False


def _decided(walk: Walk, step: Step, path: str, since: int, record: Record) -> bool:
    """Climb the rungs that are due; the last one may decide."""
    for place, rung in enumerate(step.escalate):
        due = since + rung.after
        if walk.now < due:
            walk.wake(due)
            return False
        if rung.then is not None:
            return walk.settle(step, path, "done", {"answer": rung.then, "by": "escalation"})
        _told(walk, step, f"{path}/escalate/{place}", due, rung.to, rung.channel, record)
    return walk.settle(step, path, "failed", {"kind": "timeout"})


def _told(
    walk: Walk, step: Step, path: str, due: int, to: Sequence[str], channel: str, record: Record
) -> None:
    """Tell people of an open question when it is due, once."""
    if path in walk.journal or walk.held:
        return
    if walk.now < due:
        walk.wake(due)
        return
    data = {"to": list(to), "channel": channel, "message": dict(record.data.get("question", {}))}
    effect = Effect("notify", path, step, "done", data, 1, walk.scope.book)
    walk.next.effects.append(effect)


def _chosen(
    told: Mapping[str, Any] | None, options: Sequence[str], quorum: int, deny: Sequence[str]
) -> dict[str, Any] | None:
    """The answer on which enough people agree, in the order in which they gave theirs."""
    if told is None:
        return None
    voices: dict[str, list[str]] = {}
    latest: dict[str, str] = {}
    for vote in told.get("votes", [told]):
        by, answer = str(vote.get("by", "")), str(vote.get("answer", ""))
        if answer not in options or by in deny or f"user:{by}" in deny or by in latest:
            continue
        latest[by] = answer
        voices.setdefault(answer, []).append(by)
        if len(voices[answer]) >= quorum:
            found = {key: value for key, value in vote.items() if key != "votes"}
            return found if quorum == 1 else {**found, "voices": voices[answer]}
    return None


def _pinned(path: str, record: Record, key: str) -> int:
    try:
        return int(record.data[key])
    except (KeyError, TypeError, ValueError):
        raise MismatchError(path) from None


def question(
    walk: Walk, path: str, about: str, words: Mapping[str, str], options: Sequence[str]
) -> Mapping[str, Any] | None:
    """A question of the engine itself: its answer, or None while it is open."""
    record = walk.journal.get(path)
    if record is not None and record.phase != "intent":
        return record.data
    answer = _chosen(walk.context.answers.get(path), options, 1, ())
    if answer is not None:
        walk.note(path, "done", answer)
        return answer
    if record is None:
        words = walk.marked(words)
        data = {"question": words}
        walk.next.effects.append(Effect("await", path, None, "intent", data))
        message = {"to": [LEAD], "channel": "urgent", "message": dict(words)}
        told = Effect("notify", f"{path}/remind/0", None, "done", message)
        walk.next.effects.append(told)
    else:
        words = record.data.get("question", words)
    labels = {option: _OPTIONS[option] for option in options}
    until = walk.context.deadline_at or None  # nobody is waited for any longer than that
    walk.next.asks.append(
        Asking(path, about, (LEAD,), words, tuple(options), labels, until, engine=True)
    )
    return None


def resume(walk: Walk) -> str:
    """After an outage: `resume`, `abandon`, or empty while nobody has said."""
    asked = walk.context.resume_ask
    if asked is None:
        return "resume"
    path = f"{RESUME}/{asked['n']}"
    if walk.overtime and path not in walk.journal and path not in walk.context.answers:
        return ""  # too late to ask
    minutes = max(1, round(int(asked.get("ms", 0)) / 60_000))
    words = {
        "zh": f"处置流程停顿了约 {minutes} 分钟，现场可能已变化。是否继续？",
        "en": f"This run stood still for about {minutes} min; the plant may have changed. Go on?",
    }
    told = question(walk, path, "resume", words, ("resume", "abandon"))
    return "" if told is None else str(told.get("answer", "resume"))


def unknown_command(walk: Walk, step: Step, path: str, record: Record) -> bool:
    """Ask what became of a command that nobody can tell by itself."""
    assert step.command is not None
    if walk.expired or walk.hurried:
        return walk.failed(step, path, record)
    device = str(record.data.get("device", step.command.device))
    words = {
        "zh": f"无法确认 {device} 的指令 {step.command.op} 是否已执行，请到现场核实",
        "en": f"Nobody can tell whether {device} carried out {step.command.op}: look at the plant",
    }
    told = question(walk, f"{path}/unknown", "unknown", words, ("done", "not-done"))
    if told is None:
        return False
    if told.get("answer") == "done":
        data = {key: value for key, value in record.data.items() if key != "kind"}
        by = str(told.get("by", ""))
        return walk.settle(step, path, "reconciled", {**data, "by": by}, record.attempt)
    return walk.failed(step, path, record)
