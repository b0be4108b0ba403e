"""What a playbook can do at worst: its tree, its time, its commands, the devices it can move.

Called by `andon playbook explain` and the budget check; counts from the document alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.playbook.binding import bound_devices
from shared.playbook.lint_report import Plant
from shared.playbook.model import CommandSpec, Playbook, Step
from shared.playbook.worst import DEEPEST, Worst


@dataclass(frozen=True, slots=True)
class Shown:
    """One step of the tree, or an arm, a branch or a handler of one."""

    path: str
    name: str
    verb: str
    depth: int
    about: str = ""
    """What it does, in the playbook's own names."""
    worst_ms: int = 0
    commands: int = 0
    tells: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """The playbook at a glance."""

    steps: tuple[Shown, ...]
    worst_case_ms: int
    """Never more than the deadline, its handlers and `finally` apart."""
    worst_case_commands: int
    moves: tuple[str, ...]
    """`device.operation`, by the playbook's own names."""
    tells: tuple[str, ...]
    starts: tuple[str, ...] = ()
    devices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The site's device -> its operations that may be called; with a site."""
    people: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Addressee -> the people that this is; with a site."""
    endpoints: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """All of it for machines."""
        return {
            "worst_case_ms": self.worst_case_ms, "worst_case_commands": self.worst_case_commands,
            "moves": list(self.moves), "tells": list(self.tells), "starts": list(self.starts),
            "devices": {name: list(ops) for name, ops in self.devices.items()},
            "people": {name: list(who) for name, who in self.people.items()},
            "endpoints": list(self.endpoints), "calls": list(self.calls),
            "steps": [
                {"path": s.path, "verb": s.verb, "depth": s.depth, "about": s.about,
                 "worst_ms": s.worst_ms, "commands": s.commands, "tells": list(s.tells)}
                for s in self.steps
            ],
        }  # fmt: skip


def explain(
    book: Playbook, books: Mapping[str, Playbook] | None = None, plant: Plant | None = None
) -> Explained:
    """Static blast radius and worst case of a playbook, with those it calls."""
    values = plant.inputs.get(book.playbook, {}) if plant is not None else {}
    worst = Worst(book, books, values)
    tree = _Tree(worst)
    if book.offline is not None:  # run by an edge, instead of these steps or before them
        tree.block(book.offline.steps, "/offline", 0)
    tree.block(book.steps, "/steps", 0)
    for index, handler in enumerate(book.catch):
        tree.group(f"/catch/{index}", "catch", handler.when, 0)
        tree.block(handler.steps, f"/catch/{index}", 1)
    if book.finally_:
        tree.group("/finally", "finally", "", 0)
        tree.block(book.finally_, "/finally", 1)
    cost, reach = worst.whole(), _Reach(book, books or {})
    return Explained(
        steps=tuple(tree.shown), worst_case_ms=cost.ms, worst_case_commands=cost.commands,
        moves=tuple(sorted(f"{c.device}.{c.op}" for _, c in reach.commands)),
        tells=tuple(sorted(reach.tells)), starts=tuple(_starts(book)),
        devices={} if plant is None else reach.devices(plant, book),
        people={} if plant is None else _people(reach.tells, plant),
        endpoints=tuple(sorted(reach.endpoints)), calls=tuple(reach.calls),
    )  # fmt: skip


def _starts(book: Playbook) -> Iterable[str]:
    for trigger in book.triggers:
        held = f" for {brief(trigger.hold)}" if trigger.hold else ""
        if trigger.alarm:
            yield f"{trigger.alarm} {trigger.transition}{held}"
        elif trigger.manual is not None:
            yield "manual: " + ", ".join(trigger.manual.roles)
        else:
            kind = "incident" if trigger.incident else "event" if trigger.event else "cron"
            yield f"{kind} {trigger.incident or trigger.event or trigger.cron}"


def _people(tells: Iterable[str], plant: Plant) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for one in sorted(tells):
        kind, _, name = one.partition(":")
        found[one] = (name,) if kind == "user" else tuple(plant.people.get(name, ()))
    return found


def brief(ms: int) -> str:
    """A duration for people: 1h30m, 45s, 250ms."""
    if ms < 1000:
        return f"{ms}ms" if ms else "0s"
    seconds, text = -(-ms // 1000), ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        text += f"{count}{unit}" if count else ""
    return text


class _Reach:
    """What a playbook and those that it calls can touch."""

    def __init__(self, book: Playbook, books: Mapping[str, Playbook]) -> None:
        self.tells: set[str] = set()
        self.endpoints: set[str] = set()
        self.calls: list[str] = []
        self._books: list[Playbook] = []
        self._spread(book, books, 0)

    def _spread(self, book: Playbook, books: Mapping[str, Playbook], depth: int) -> None:
        if any(known is book for known in self._books):
            return
        self._books.append(book)
        for step in book.all_steps():
            self.tells.update(told(step))
            undo = step.compensate
            for spec in (step.http, step.webhook, *((undo.http, undo.webhook) if undo else ())):
                if spec is not None:
                    self.endpoints.add(spec.endpoint)
            if step.call is not None:
                if step.call.playbook not in self.calls:
                    self.calls.append(step.call.playbook)
                inner = books.get(step.call.playbook)
                if inner is not None and depth < DEEPEST:
                    self._spread(inner, books, depth + 1)

    @property
    def commands(self) -> list[tuple[Playbook, CommandSpec]]:
        """Every operation that may be called, each device and operation once."""
        found: dict[tuple[str, str, str], tuple[Playbook, CommandSpec]] = {}
        for book in self._books:
            for step in book.all_steps():
                undo = step.compensate.command if step.compensate else None
                for spec in (step.command, undo):
                    if spec is not None:
                        found.setdefault((book.playbook, spec.device, spec.op), (book, spec))
        return list(found.values())

    def devices(self, plant: Plant, root: Playbook) -> dict[str, tuple[str, ...]]:
        """The site's devices for every alarm that can start it."""
        alarms = [
            name for trigger in root.triggers if trigger.alarm
            for name in plant.codes.get(trigger.alarm, [trigger.alarm]) if name in plant.assets
        ]  # fmt: skip
        found: dict[str, set[str]] = {}
        for alarm in alarms:
            seen = {"id": alarm, "asset": plant.assets[alarm]}
            for book, spec in self.commands:
                device = bound_devices(book, seen, plant.devices).get(spec.device)
                if device is not None:
                    found.setdefault(device, set()).add(spec.op)
        return {name: tuple(sorted(ops)) for name, ops in sorted(found.items())}


def told(step: Step) -> Iterable[str]:
    """Whom a step tells or asks."""
    if step.notify is not None:
        yield from step.notify.to
    if step.ask is not None:
        yield from step.ask.to
    for rung in step.escalate:
        yield from rung.to


class _Tree:
    def __init__(self, worst: Worst) -> None:
        self.worst = worst
        self.shown: list[Shown] = []

    def group(self, path: str, kind: str, about: str, depth: int) -> None:
        self.shown.append(Shown(path, kind, "", depth, about))

    def block(self, steps: Iterable[Step], base: str, depth: int) -> None:
        for step in steps:
            self.step(step, f"{base}/{step.id}", depth)

    def step(self, step: Step, path: str, depth: int) -> None:
        cost = self.worst.step(step)
        about = about_step(step)
        self.shown.append(
            Shown(path, step.id, step.verb, depth, about, cost.ms, cost.commands,
                  tuple(dict.fromkeys(told(step))))
        )  # fmt: skip
        for place, name, steps in step.blocks():
            where, inner = f"{path}/{name}" if name else path, depth + 1
            if step.switch is not None:
                arm = step.switch[int(name)]
                self.group(where, "when" if arm.when else "otherwise", arm.when or "", inner)
            elif step.parallel is not None:
                self.group(where, name, "", inner)
            elif step.try_ is not None:
                handler = step.try_.catch[int(place[2])] if place[1] == "catch" else None
                self.group(where, str(place[1]) if handler else "try",
                           handler.when if handler else "", inner)  # fmt: skip
            else:
                inner -= 1
                where = f"{path}/0"
            self.block(steps, where, inner + 1)
        for rung in step.escalate:
            what = f"→ {rung.then}" if rung.then else ", ".join(rung.to)
            self.group(f"{path}/escalate", f"+{brief(rung.after)}", what, depth + 1)
        if step.compensate is not None:
            undo = step.compensate
            verb = "command" if undo.command else "http" if undo.http else "webhook"
            self.shown.append(Shown(f"{path}/compensate", "compensate", verb, depth + 1,
                                    _effect(undo)))  # fmt: skip


def _effect(spec: Any) -> str:
    if spec.command is not None:
        args = ", ".join(f"{name}={value}" for name, value in spec.command.args.items())
        return f"{spec.command.device}.{spec.command.op}({args})"
    if spec.http is not None:
        return f"{spec.http.method} {spec.http.endpoint}{spec.http.path}"
    return f"{spec.webhook.type} → {spec.webhook.endpoint}" if spec.webhook is not None else ""


def about_step(step: Step) -> str:
    """What a step does, in one line."""
    condition = f"if {step.when}: " if step.when else ""
    return condition + _about(step)


def _about(step: Step) -> str:
    if step.command or step.http or step.webhook:
        return _effect(step)
    match step.verb:
        case "notify" if step.notify is not None:
            return f"{step.notify.channel} → {', '.join(step.notify.to)}"
        case "ask" if step.ask is not None:
            return f"{' / '.join(step.ask.options)} ← {', '.join(step.ask.to)}"
        case "wait_until" if step.wait_until is not None:
            return step.wait_until.condition
        case "wait":
            return brief(step.wait) if isinstance(step.wait, int) else str(step.wait)
        case "for_each" if step.for_each is not None:
            return f"{step.for_each.items}, ≤ {step.for_each.max}"
        case "repeat" if step.repeat is not None:
            until = f", until {step.repeat.until}" if step.repeat.until else ""
            return f"≤ {step.repeat.max}{until}"
        case "call" if step.call is not None:
            return step.call.playbook
        case "emit" if step.emit is not None:
            return step.emit.event
        case "fail" if step.fail is not None:
            return step.fail.outcome
        case "stop" if step.stop is not None:
            return step.stop.outcome
        case "log":
            return step.log or ""
        case "parallel" if step.parallel is not None:
            return f"wait: {step.parallel.wait}"
        case _:
            return ", ".join(step.set or step.set_incident or ())
