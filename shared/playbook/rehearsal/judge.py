"""Compares what happened in a rehearsal with what its test expects, and says what differs.

Called after a test was played; every miss says what was expected, what happened instead and why,
in both languages, at the place of the expectation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from shared.playbook.rehearsal.because import passed_by, why_ended
from shared.playbook.rehearsal.document import Case
from shared.playbook.rehearsal.told import Happened, Miss, RunTold, Told, clock
from shared.playbook.rehearsal.wanted import CommandWanted, NotifiedWanted, Then

Where = Callable[..., str]
"""Gives `file:line:column` of a part of this test's `then`."""
BEGUN = ("intent", "done", "failed", "unknown", "reconciled", "compensated")


class Judge:
    """One test's expectations against one rehearsal."""

    def __init__(self, then: Then, told: Told, where: Where) -> None:
        self.then, self.told, self.where = then, told, where
        self.begun: dict[str, list[tuple[int, str, str]]] = {}
        """Step -> (when, path, newest phase) of each time it was begun or passed by."""
        for run in told.runs:
            for path, at in run.began.items():
                record = run.journal[path]
                name = path.rsplit("/", 1)[-1]
                self.begun.setdefault(name, []).append((at, path, record.phase))

    def misses(self) -> list[Miss]:
        """Every expectation that was not met, in the order of the model."""
        looks: Iterable[Callable[[], Iterator[Miss]]] = (
            self._runs, self._sequence, self._executed, self._not_executed, self._skipped,
            self._failed, self._commands, self._notified, self._sent, self._compensated,
            self._asked, self._journal, self._error, self._incident, self._emitted, self._outcome,
            self._within, self._metrics,
        )  # fmt: skip
        return [miss for look in looks for miss in look()]

    def _miss(self, code: str, at: tuple[str | int, ...], zh: str, en: str) -> Miss:
        return Miss(code, self.where(*at), {"zh": zh, "en": en})

    # runs

    def _runs(self) -> Iterator[Miss]:
        then, told = self.then, self.told
        if told.broken:
            yield self._miss("broken", (), f"无法演完：{told.broken}",
                             f"the test does not come to its end: {told.broken}")  # fmt: skip
        for key, number in (
            ("runs", len(told.runs)), ("attached", told.attached), ("throttled", told.throttled),
        ):  # fmt: skip
            wanted = getattr(then, key)
            if wanted is not None and wanted != number:
                yield self._miss(key, (key,), f"应为 {wanted}，实为 {number}{self._fired('zh')}",
                                 f"expected {wanted}, got {number}{self._fired('en')}")  # fmt: skip
        if then.runs is None and not told.runs:
            yield self._miss("not_started", (), f"没有启动任何流程{self._fired('zh')}",
                             f"no run began{self._fired('en')}")  # fmt: skip

    def _fired(self, language: str) -> str:
        """Which events fired no trigger."""
        idle = [
            f"{clock(one.at)} {one.about}" for one in self.told.happened
            if one.what == "event" and one.detail.get("fired") == []
            and one.about in ("raise", "event", "incident", "start", "clear", "ack", "shelve")
        ]  # fmt: skip
        if not idle:
            return ""
        shown = ", ".join(idle[:5])
        return {"zh": f"（未触发：{shown}）", "en": f" (fired no trigger: {shown})"}[language]

    # steps

    def _sequence(self) -> Iterator[Miss]:
        order = [
            (name, at) for run in self.told.runs for path, at in run.began.items()
            if (name := path.rsplit("/", 1)[-1]) and run.journal[path].phase != "skipped"
        ]  # fmt: skip
        left = list(order)
        for index, name in enumerate(self.then.sequence or ()):
            names = [one for one, _ in left]
            if name in names:
                del left[: names.index(name) + 1]
                continue
            wanted = set(self.then.sequence or ())
            real = " → ".join(f"{one} ({clock(at)})" for one, at in order if one in wanted)
            late = name in [one for one, _ in order]
            yield self._miss(
                "sequence", ("sequence", index),
                f"{name} {'顺序不对' if late else '没有执行'}；实际顺序：{real or '无'}"
                f"{'' if late else self._why(name, 'zh')}",
                f"{name} {'came out of order' if late else 'was not reached'}; "
                f"the order was: {real or 'nothing'}{'' if late else self._why(name, 'en')}",
            )  # fmt: skip
            return

    def _executed(self) -> Iterator[Miss]:
        for index, name in enumerate(self.then.executed or ()):
            if not any(phase in BEGUN for _, _, phase in self.begun.get(name, ())):
                yield self._miss(
                    "executed", ("executed", index), f"{name} 没有执行{self._why(name, 'zh')}",
                    f"{name} was not executed{self._why(name, 'en')}",
                )  # fmt: skip

    def _not_executed(self) -> Iterator[Miss]:
        for index, name in enumerate(self.then.not_executed or ()):
            found = [one for one in self.begun.get(name, ()) if one[2] in BEGUN]
            if found:
                at, path, phase = found[0]
                yield self._miss(
                    "not_executed", ("not_executed", index),
                    f"{name} 不应执行，却在 {clock(at)} 执行了（{path}，{phase}）",
                    f"{name} must not be executed, but was at {clock(at)} ({path}, {phase})",
                )  # fmt: skip

    def _skipped(self) -> Iterator[Miss]:
        yield from self._phase("skipped", ("skipped",))

    def _failed(self) -> Iterator[Miss]:
        yield from self._phase("failed", ("failed",))

    def _phase(self, key: str, phases: tuple[str, ...]) -> Iterator[Miss]:
        for index, name in enumerate(getattr(self.then, key) or ()):
            found = self.begun.get(name, ())
            if any(phase in phases for _, _, phase in found):
                continue
            shown = ", ".join(f"{clock(at)} {path}: {phase}" for at, path, phase in found)
            yield self._miss(
                key, (key, index), f"{name} 应为 {key}，实为：{shown or '未到达'}",
                f"{name} should be {key}; it is: {shown or 'not reached'}",
            )  # fmt: skip

    def _why(self, name: str, language: str) -> str:
        """Why a step was not reached."""
        return passed_by(name, self.told, language)

    # effects

    def _commands(self) -> Iterator[Miss]:
        if self.then.commands is None:
            return
        if not self.then.commands and self.told.acts:
            yield self._miss(
                "commands", ("commands",), f"不应有任何动作，实际：{self._acts()}",
                f"nothing should be moved; it was: {self._acts()}",
            )  # fmt: skip
        for index, wanted in enumerate(self.then.commands):
            number = sum(_acts_as(wanted, act) for act in self.told.acts)
            if number != wanted.times:
                shown = f"{wanted.device}.{wanted.op}" + _plainly(wanted)
                yield self._miss(
                    "commands", ("commands", index),
                    f"{shown} 应动作 {wanted.times} 次，实为 {number} 次；实际：{self._acts()}",
                    f"{shown} should act {wanted.times} times, it did {number}; "
                    f"what was moved: {self._acts()}",
                )  # fmt: skip

    def _acts(self) -> str:
        shown = (f"{clock(a.at)} {a.device}.{a.op} {dict(a.args)}" for a in self.told.acts)
        return "; ".join(shown) or "-"

    def _notified(self) -> Iterator[Miss]:
        notes = [one for one in self.told.happened if one.what == "notify"]
        shown = "; ".join(
            f"{clock(n.at)} {'+'.join(n.detail['to'])} [{n.detail['channel']}]" for n in notes
        )
        for index, wanted in enumerate(self.then.notified or ()):
            number = sum(_tells(wanted, note) for note in notes)
            if number == wanted.times or (wanted.times is None and number):
                continue
            times = "" if wanted.times is None else f" x{wanted.times}"
            yield self._miss(
                "notified", ("notified", index),
                f"应通知 {wanted.to}{_plainly(wanted)}{times}，实为 {number} 次；"
                f"实际：{shown or '-'}",
                f"{wanted.to}{_plainly(wanted)}{times} should be told, was {number} times; "
                f"who was told: {shown or '-'}",
            )  # fmt: skip
        for index, name in enumerate(self.then.not_notified or ()):
            found = next((n for n in notes if name in n.detail["to"]), None)
            if found is not None:
                yield self._miss(
                    "not_notified", ("not_notified", index),
                    f"不应通知 {name}，却在 {clock(found.at)} 通知了（{found.about}）",
                    f"{name} must not be told, but was at {clock(found.at)} ({found.about})",
                )  # fmt: skip

    def _sent(self) -> Iterator[Miss]:
        letters = [one for one in self.told.happened if one.what in ("webhook", "http")]
        shown = "; ".join(
            f"{clock(n.at)} {n.detail['endpoint']} {n.detail.get('type', n.what)}" for n in letters
        )
        for index, wanted in enumerate(self.then.sent or ()):
            number = sum(
                n.detail["endpoint"] == wanted.endpoint
                and wanted.type in (None, n.detail.get("type")) for n in letters
            )  # fmt: skip
            if number == wanted.times or (wanted.times is None and number):
                continue
            times = "" if wanted.times is None else f" x{wanted.times}"
            name = f"{wanted.endpoint} {wanted.type or ''}".strip()
            yield self._miss(
                "sent", ("sent", index),
                f"应发送 {name}{times}，实为 {number} 次；实际：{shown or '-'}",
                f"{name}{times} should be sent, was {number} times; what went out: {shown or '-'}",
            )  # fmt: skip

    def _compensated(self) -> Iterator[Miss]:
        if self.then.compensated is None:
            return
        done = [
            (path.rsplit("/", 1)[-1], at) for run in self.told.runs
            for path, _, phase, _, at in run.rows if phase == "compensated"
        ]  # fmt: skip
        if [name for name, _ in done] != self.then.compensated:
            shown = ", ".join(f"{name} ({clock(at)})" for name, at in done)
            tried = {lang: self._undoing(lang) for lang in ("zh", "en")}
            yield self._miss(
                "compensated", ("compensated",),
                f"应撤销 {self.then.compensated}，实为 [{shown}]{tried['zh']}",
                f"should be undone: {self.then.compensated}; were: [{shown}]{tried['en']}",
            )  # fmt: skip

    def _undoing(self, language: str) -> str:
        found = [
            f"{path}: {record.phase} {record.data.get('kind') or record.data.get('reason') or ''}"
            for run in self.told.runs for path, record in run.journal.items()
            if path.endswith("/compensate") and record.phase != "done"
        ]  # fmt: skip
        head = {"zh": "；撤销未成：", "en": "; not undone: "}[language]
        return head + ", ".join(found) if found else ""

    def _asked(self) -> Iterator[Miss]:
        asked = [path for run in self.told.runs for path in run.asked]
        for index, name in enumerate(self.then.asked or ()):
            if not any(path.rsplit("/", 1)[-1] == name for path in asked):
                yield self._miss(
                    "asked", ("asked", index), f"{name} 没有提问{self._why(name, 'zh')}",
                    f"{name} asked nobody{self._why(name, 'en')}",
                )  # fmt: skip

    # the run as a whole

    def _journal(self) -> Iterator[Miss]:
        rows = [row for run in self.told.runs for row in run.rows]
        for index, wanted in enumerate(self.then.journal_has or ()):
            if not any(wanted in (row[0], row[2]) for row in rows):
                phases = ", ".join(sorted({row[2] for row in rows})) or "-"
                yield self._miss(
                    "journal_has", ("journal_has", index), f"日志里没有 {wanted}；有：{phases}",
                    f"the journal has no {wanted}; it has: {phases}",
                )  # fmt: skip

    def _error(self) -> Iterator[Miss]:
        if self.then.error is None:
            return
        last = self.told.runs[-1].journal.get("/error") if self.told.runs else None
        for key in ("path", "kind"):
            wanted = getattr(self.then.error, key)
            real = None if last is None else last.data.get(key)
            if wanted is not None and wanted != real:
                yield self._miss(
                    "error", ("error", key),
                    f"error.{key} 应为 {wanted}，实为 {real or '没有错误'}",
                    f"error.{key} should be {wanted}; it is {real or 'no error'}",
                )  # fmt: skip

    def _incident(self) -> Iterator[Miss]:
        yield from self._values("incident", self.then.incident, self.told.incident)

    def _metrics(self) -> Iterator[Miss]:
        real = self.told.runs[-1].metrics if self.told.runs else {}
        yield from self._values("metrics", self.then.metrics, real)

    def _values(
        self, key: str, wanted: Mapping[str, Any] | None, real: Mapping[str, Any]
    ) -> Iterator[Miss]:
        for name, value in (wanted or {}).items():
            if real.get(name) != value:
                shown = repr(real[name]) if name in real else "-"
                yield self._miss(
                    key, (key, name), f"{key}.{name} 应为 {value!r}，实为 {shown}",
                    f"{key}.{name} should be {value!r}; it is {shown}",
                )  # fmt: skip

    def _emitted(self) -> Iterator[Miss]:
        for index, wanted in enumerate(self.then.emitted or ()):
            if wanted not in self.told.emitted:
                shown = ", ".join(self.told.emitted) or "-"
                yield self._miss(
                    "emitted", ("emitted", index), f"没有发出事件 {wanted}；有：{shown}",
                    f"the event {wanted} was not emitted; there were: {shown}",
                )  # fmt: skip

    def _outcome(self) -> Iterator[Miss]:
        if self.then.outcome is None or not self.told.runs:
            return
        last = self.told.runs[-1]
        if last.status != self.then.outcome:
            yield self._miss(
                "outcome", ("outcome",),
                f"结果应为 {self.then.outcome}，实为 {last.status}{why_ended(last, 'zh')}",
                f"the outcome should be {self.then.outcome}; it is {last.status}"
                f"{why_ended(last, 'en')}",
            )  # fmt: skip

    def _within(self) -> Iterator[Miss]:
        if self.then.within is None or not self.told.runs:
            return
        ended = self._end(self.told.runs[-1])
        if ended is None or ended > self.then.within:
            limit = clock(self.then.within)
            shown = {"zh": "没有结束", "en": "it did not end"} if ended is None else {
                "zh": f"在 {clock(ended)} 结束", "en": f"it ended at {clock(ended)}"
            }  # fmt: skip
            yield self._miss(
                "within", ("within",), f"应在 {limit} 内结束，{shown['zh']}",
                f"should end within {limit}; {shown['en']}",
            )  # fmt: skip

    def _end(self, run: RunTold) -> int | None:
        return None if run.ended_at is None else run.ended_at - self.told.begin


def unused(case: Case, told: Told, where: Where) -> list[Miss]:
    """Answers of a test that nobody asked for, or that were refused."""
    found: list[Miss] = []
    for place in told.unused:
        event = case.when[place]
        if event.answer is not None:
            found.append(Miss("unused", where("when", place), {
                "zh": f"{event.on} 没有提问，回答 {event.answer} 未用上"
                      f"{passed_by(str(event.on), told, 'zh')}",
                "en": f"{event.on} never asked: the answer {event.answer} was not used"
                      f"{passed_by(str(event.on), told, 'en')}",
            }))  # fmt: skip
    return found


def _acts_as(wanted: CommandWanted, act: Any) -> bool:
    same = (wanted.device, wanted.op) == (act.device, act.op)
    args = wanted.args is None or all(act.args.get(k) == v for k, v in wanted.args.items())
    return same and args and wanted.at in (None, act.at)


def _tells(wanted: NotifiedWanted, note: Happened) -> bool:
    detail = note.detail
    texts = " ".join(detail.get("message", {}).values())
    return (
        wanted.to in detail["to"] and wanted.channel in (None, detail["channel"])
        and wanted.at in (None, note.at) and (wanted.contains or "") in texts
    )  # fmt: skip


def _plainly(wanted: CommandWanted | NotifiedWanted) -> str:
    """The further conditions of an expectation."""
    shown = ""
    if isinstance(wanted, CommandWanted) and wanted.args is not None:
        shown += f" {wanted.args}"
    if isinstance(wanted, NotifiedWanted):
        shown += f" [{wanted.channel}]" if wanted.channel else ""
        shown += f" “{wanted.contains}”" if wanted.contains else ""
    return shown + (f" @{clock(wanted.at)}" if wanted.at is not None else "")
