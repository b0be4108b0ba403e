"""Equipment state charts: in which mode each machine is, by expressions over tags.

Run by the pipeline beside the alarms' conditions; alarms may be suppressed by design in a state.
Charts of the same shape share one `transitions` machine over light models. Pure: no IO, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from transitions import Machine

from shared.expression import Environment, WindowUse, compile_expression, is_unknown
from shared.site.states import ANY, ChartSpec

LOOK_MS = 1000
"""Guards with ages, windows or a waiting time are looked at this often without a sample too."""
MOST_STEPS = 16
"""Transitions at one instant; more means that guards chase each other."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A machine has gone from one state to another at steady time `at`."""

    chart: str
    asset: str
    before: str
    after: str
    at: int


@dataclass(slots=True, weakref_slot=True)
class _Mode:
    """The light model that a machine moves."""

    state: str = ""


@dataclass(slots=True)
class _Guard:
    holds: Callable[[Environment], object]
    sources: frozenset[str]
    target: str
    after_ms: int
    since: int | None = None
    """Since when it has held without a break; None while it does not."""


class _Shape:
    """What charts of the same states and transitions share."""

    def __init__(self, spec: ChartSpec) -> None:
        states = [state.id for state in spec.states]
        steps = [
            {"trigger": f"step_{index}", "source": list(step.sources) or ANY, "dest": step.target}
            for index, step in enumerate(spec.transitions)
        ]
        self.machine = Machine(
            model=None, states=states, transitions=steps, initial=spec.initial,
            auto_transitions=False,
        )  # fmt: skip

    def move(self, mode: _Mode, step: int) -> bool:
        """Take transition `step`, if it leaves the present state."""
        event = self.machine.events[f"step_{step}"]
        name = self.machine.get_model_state(mode).name
        if name not in event.transitions:
            return False
        return bool(event.trigger(mode))


@dataclass(slots=True)
class Chart:
    """One equipment's chart with its present state."""

    spec: ChartSpec
    shape: _Shape
    mode: _Mode
    guards: list[_Guard]
    tags: tuple[str, ...]
    since: int = 0
    """Steady time at which the present state began."""
    unknown: str = ""
    """Why a guard could not be evaluated at the last look, if one could not."""

    @property
    def state(self) -> str:
        """The present state's id."""
        return self.mode.state

    def look(self, tags: Environment, at: int) -> list[StateChange]:
        """Evaluate the guards; the transitions that they cause, in order."""
        changes: list[StateChange] = []
        self.unknown = ""
        for _ in range(MOST_STEPS):
            step = self._due(tags, at)
            if step is None:
                return changes
            before = self.state
            self.shape.move(self.mode, step)
            self.since = at
            for guard in self.guards:
                guard.since = None
            changes.append(StateChange(self.spec.id, self.spec.asset, before, self.state, at))
        self.unknown = "guards_chase"
        return changes

    def _due(self, tags: Environment, at: int) -> int | None:
        """The first transition from here whose guard has held long enough."""
        found = None
        for index, guard in enumerate(self.guards):
            if guard.target == self.state or (guard.sources and self.state not in guard.sources):
                guard.since = None
                continue
            answer = guard.holds(tags)
            if is_unknown(answer):  # what is not known moves nothing, and interrupts the wait
                self.unknown = self.unknown or str(getattr(answer, "code", "unknown"))
            if answer is not True:
                guard.since = None
                continue
            if guard.since is None:
                guard.since = at
            if found is None and at - guard.since >= guard.after_ms:
                found = index
        return found

    @property
    def next_due(self) -> int | None:
        """When a waiting guard will have held long enough; None if none waits."""
        waiting = [g.since + g.after_ms for g in self.guards if g.since is not None]
        return min(waiting, default=None)


@dataclass(slots=True)
class StateCharts:
    """All charts of the edge."""

    charts: dict[str, Chart] = field(default_factory=dict)
    _shapes: dict[str, _Shape] = field(default_factory=dict)

    def add(
        self, spec: ChartSpec, known_tags: list[str],
        watch: Callable[[WindowUse], None] = lambda use: None,
    ) -> Chart:  # fmt: skip
        """Compile one chart; `watch` is told of its guards' windows; raises ExpressionError."""
        key = spec.model_dump_json(include={"states", "transitions", "initial"})
        shape = self._shapes.setdefault(key, _Shape(spec))
        compiled = [compile_expression(step.when, tags=known_tags) for step in spec.transitions]
        guards = [
            _Guard(expression.compile_to_python(), frozenset(step.sources), step.target, step.after)
            for step, expression in zip(spec.transitions, compiled, strict=True)
        ]
        used = {tag for expression in compiled for tag in expression.tags}
        for expression in compiled:
            for use in expression.windows:
                watch(use)
        mode = _Mode(spec.initial)
        chart = Chart(spec, shape, mode, guards, tuple(sorted(used)))
        self.charts[spec.id] = chart
        return chart

    @property
    def current(self) -> frozenset[str]:
        """Every present state as `chart:state`."""
        return frozenset(f"{name}:{chart.state}" for name, chart in self.charts.items())

    def restore(self, states: dict[str, tuple[str, int]]) -> None:
        """Take up the states of the last run, where the chart still has them."""
        for name, (state, since) in states.items():
            chart = self.charts.get(name)
            if chart is not None and any(state == one.id for one in chart.spec.states):
                chart.mode.state, chart.since = state, since

    def adopt(self, old: StateCharts) -> None:
        """Go on from another version of the site; the waits of unchanged charts go on too."""
        self.restore(old.remember())
        for name, chart in self.charts.items():
            before = old.charts.get(name)
            if before is None or before.spec != chart.spec:
                continue
            for guard, was in zip(chart.guards, before.guards, strict=True):
                guard.since = was.since

    def remember(self) -> dict[str, tuple[str, int]]:
        """What `restore` takes."""
        return {name: (chart.state, chart.since) for name, chart in self.charts.items()}
