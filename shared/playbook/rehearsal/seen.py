"""What a real run did, told as a rehearsal is: so that drills are judged and counted like tests.

From the journal that a brain gives out; pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.playbook.journal import Record, noted
from shared.playbook.model import Step
from shared.playbook.rehearsal.places import places
from shared.playbook.rehearsal.replay import Kept
from shared.playbook.rehearsal.told import Act, Happened, Miss, RunTold, Told
from shared.playbook.walk_state import DRILL

MOVED = ("done", "reconciled")


def told_of(kept: Kept, ended_at: int | None, attached: int = 0) -> Told:
    """A run as a rehearsal would tell it."""
    begin = kept.started_at
    run = RunTold(kept.run, begin, "", kept.status, ended_at)
    told = Told(begin, [run], attached=attached)
    steps = {place.step.id: place.step for place in places(kept.document)}
    for path, attempt, phase, data, at in kept.rows:
        since = at - begin
        run.rows.append((path, attempt, phase, data, since))
        run.began.setdefault(path, since)
        noted(run.journal, path, Record(phase, at, data, attempt))  # type: ignore[arg-type]
        told.happened.append(
            Happened(since, "step", path, {"phase": phase, "data": data, "attempt": attempt})
        )
        _effect(told, path, phase, data, since, steps)
    outcome = run.journal.get("/outcome")
    run.metrics = outcome.data.get("metrics", {}) if outcome is not None else {}
    return told


def _effect(
    told: Told, path: str, phase: str, data: Mapping[str, object], at: int,
    steps: Mapping[str, Step],
) -> None:  # fmt: skip
    name = path.rsplit("/", 1)[-1]
    step = steps.get(path.rsplit("/", 2)[-2] if name == "compensate" else name)
    if "message" in data and "to" in data:
        told.happened.append(Happened(at, "notify", path, data))
    if step is None:
        return
    undo = step.compensate.command if name == "compensate" and step.compensate else None
    spec = undo or step.command
    if spec is not None and phase in MOVED:
        args = data.get("args")
        given = args if isinstance(args, dict) else {}
        told.acts.append(Act(at, path, spec.device, spec.op, given))
    if step.ask is not None and phase == "intent" and path not in told.runs[0].asked:
        told.runs[0].asked.append(path)
        told.happened.append(Happened(at, "ask", path, data))
    if step.emit is not None:
        told.emitted.append(str(data.get("event")))
    if step.set_incident is not None:
        told.incident.update(data)
    if (step.webhook is not None or step.http is not None) and "endpoint" in data:
        told.happened.append(
            Happened(at, "webhook" if step.webhook else "http", path, data)
        )  # fmt: skip


def unmarked(told: Told, where: str) -> list[Miss]:
    """Messages of a drill that do not say that it is one."""
    found: list[Miss] = []
    for one in told.happened:
        words = one.detail.get("message" if one.what == "notify" else "question")
        if one.what not in ("notify", "ask") or not isinstance(words, Mapping):
            continue
        bare = [lang for lang, mark in DRILL.items() if not str(words[lang]).startswith(mark)]
        if bare:
            found.append(Miss("unmarked", where, {
                "zh": f"{one.about} 的文字没有标明演练：{words}",
                "en": f"the text of {one.about} does not say that it is a drill: {words}",
            }))  # fmt: skip
    return found
