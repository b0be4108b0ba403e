"""`states/*.yaml`: equipment state charts (modes), as an engineer writes them.

Only shapes and single-value checks; references are checked by `references`, the edge runs them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from shared.site.fields import AssetId, Duration, Model, Names, Token

ChartId = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Za-z0-9_.-]{0,63}$")]
ANY = "*"


class StateSpec(Model):
    """One state of an equipment."""

    id: Token
    name: Names


class StateTransitionSpec(Model):
    """From one or several states (`*`: any) to another, when an expression has held so long."""

    source: Token | list[Token] | str = Field(alias="from")
    target: Token = Field(alias="to")
    when: str
    after: Duration = 0

    @property
    def sources(self) -> tuple[str, ...]:
        """The states that it leaves; empty for any state."""
        if self.source == ANY:
            return ()
        return (self.source,) if isinstance(self.source, str) else tuple(self.source)


class ChartSpec(Model):
    """The modes of one equipment; alarms may be suppressed by design in some of them."""

    id: ChartId
    edge: Token
    asset: AssetId
    name: Names
    initial: Token
    states: list[StateSpec] = Field(min_length=2, max_length=64)
    transitions: list[StateTransitionSpec] = Field(min_length=1, max_length=256)

    @model_validator(mode="after")
    def _states_exist(self) -> ChartSpec:
        known = [state.id for state in self.states]
        if len(set(known)) != len(known):
            raise ValueError("two states have the same id")
        if self.initial not in known:
            raise ValueError(f"`initial` {self.initial!r} is none of its states {known}")
        for index, transition in enumerate(self.transitions):
            for name in (*transition.sources, transition.target):
                if name not in known:
                    raise ValueError(
                        f"transition {index + 1} names {name!r}, none of its states {known}"
                    )
        unreachable = self._unreachable()
        if unreachable:
            raise ValueError(f"no transitions lead from `initial` to {sorted(unreachable)}")
        return self

    def _unreachable(self) -> set[str]:
        reached, before = {self.initial}, 0
        while len(reached) != before:
            before = len(reached)
            for transition in self.transitions:
                if not transition.sources or reached & set(transition.sources):
                    reached.add(transition.target)
        return {state.id for state in self.states} - reached


class StatesFile(Model):
    """`states/*.yaml`."""

    charts: list[ChartSpec] = Field(default_factory=list)
