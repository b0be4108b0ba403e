"""The three tiers with links that lag, lose, repeat and reorder; `heal` delivers all of it.

Used by the tests of one operator state; every choice comes from the given source of chance.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import msgspec

from factory_brain.domain.desk_rules import Asked
from shared.alarm.machine import Policy
from shared.messages.bodies import Fact
from shared.messages.envelope import Event, Frame
from tests.support.tiers import EdgeTier, FactoryTier, GroupTier, S, T, canonical, now

FROM_ABOVE = ("brain", "b1", "fact-e1")


class Tiers:
    """All three with their links."""

    def __init__(self, chance: random.Random, policy: Policy, re_alarm_ms: int | None) -> None:
        self.chance = chance
        self.edge = EdgeTier(policy, re_alarm_ms)
        self.factory = FactoryTier(self.edge)
        self.group = GroupTier(self.edge.clock)
        self.edge.settle()
        self._second = 0
        self._to_edge = 0
        self._pools: dict[str, deque[Event]] = {"up": deque(), "group": deque()}
        self._taken = {"up": 0, "group": 0}
        self.acks: dict[str, str] = {}
        """Acknowledgements that some tier took: fact id -> occurrence."""
        self._names = 0

    # what happens

    def move(self) -> None:
        """One thing happens somewhere: at the plant, to a person, or on a link."""
        self.chance.choice(self._MOVES)(self)

    def _time(self) -> None:
        self._second += self.chance.choice((1, 7, 40))
        self.edge.script.at(self._second)
        self.edge.settle()

    def _sample(self) -> None:
        self._time()
        tag = self.chance.choice("TTTS")
        self.edge.script.sample(tag, self.chance.choice((90, 110)))
        self.edge.settle()

    def _args(self, action: str) -> dict[str, Any]:
        return {
            "shelve": {"reason": "r", "minutes": self.chance.choice((0.2, 1, 5))},
            "comment": {"text": f"c{self._names}"}, "assign": {"to": self.chance.choice("ab")},
            "out_of_service": {
                "reason": "r", "permit": "P1", "approved_by": "x", "until": 1 << 50,
            },
        }.get(action, {"reason": "r"})  # fmt: skip

    def _action(self) -> str:
        return self.chance.choice(self._ACTIONS)

    def _at_edge(self) -> None:
        alarm, action = self.chance.choice((T, T, S)), self._action()
        unit = self.edge.script.book.units[alarm]
        self._names += 1
        name = f"e{self._names:05d}"
        version = unit.version - self.chance.choice((0, 0, 0, 1))
        if self.edge.act(name, action, alarm, self._args(action), version):
            self._note(self.edge.facts[name][0])

    def _at_factory(self) -> None:
        alarm, action = self.chance.choice((T, T, S)), self._action()
        newest = now(self.factory.store.newest(alarm))
        version = newest.view.version if newest else 0
        asked = Asked(
            alarm, newest.occurrence if newest else "", version, action, self._args(action)
        )
        before = set(self.factory.store.facts)
        if self.factory.act(asked) is None:
            (made,) = set(self.factory.store.facts) - before
            self._note(self.factory.store.facts[made].fact)

    def _at_group(self) -> None:
        known = sorted(self.group.views())
        if not known:
            return
        action = self.chance.choice(("acknowledge", "acknowledge", "comment", "assign"))
        fact = self.group.act(action, self.chance.choice(known), self._args(action))
        if fact is not None:
            self._note(fact)

    def _note(self, fact: Fact) -> None:
        if fact.action == "acknowledge":
            self.acks[fact.id] = fact.occurrence

    # links: each may lag, repeat and bring its parts in any order

    def _pull(self, link: str, source: list[Event]) -> list[Event]:
        pool = self._pools[link]
        pool.extend(source[self._taken[link] :])
        self._taken[link] = len(source)
        some = [pool.popleft() for _ in range(min(len(pool), self.chance.randint(0, 4)))]
        self.chance.shuffle(some)
        again = self.chance.sample(source, min(len(source), self.chance.choice((0, 0, 2))))
        kept = [event for event in again if event not in pool]
        return some + kept

    def _link_up(self) -> None:
        for event in self._pull("up", self.edge.out):
            self.factory.take([event])

    def _link_group(self) -> None:
        self.group.take(self._pull("group", self.factory.up))

    def _link_down(self) -> None:
        if self._to_edge >= len(self.factory.down):
            return
        first = max(0, self._to_edge - self.chance.choice((0, 0, 2)))  # some of it once more
        events = [msgspec.Raw(raw) for raw in self.factory.down[first:]]
        source, epoch, lane = FROM_ABOVE
        frame = Frame(source=source, epoch=epoch, lane=lane, first=first + 1, events=events)
        if self.chance.random() < 0.8:  # else the request is lost
            committed = self.edge.take(frame)
            if self.chance.random() < 0.8:  # else the answer is
                self._to_edge = committed

    def _link_from_group(self) -> None:
        for fact in self.chance.sample(self.group.down, min(3, len(self.group.down))):
            now(self.factory.desk.relay(fact))

    _ACTIONS = (
        "acknowledge", "acknowledge", "acknowledge", "confirm", "reset", "shelve", "unshelve",
        "suppress", "unsuppress", "out_of_service", "in_service", "disable", "enable", "comment",
        "assign",
    )  # fmt: skip
    _MOVES = (
        _time, _sample, _sample, _sample, _at_edge, _at_edge, _at_factory, _at_factory, _at_group,
        _link_up, _link_up, _link_group, _link_down, _link_from_group,
    )  # fmt: skip

    def heal(self) -> None:
        """All links hold: everything arrives."""
        for _ in range(4):
            for fact in self.group.down:
                now(self.factory.desk.relay(fact))
            self._to_edge = 0
            if self.factory.down:
                source, epoch, lane = FROM_ABOVE
                raw = [msgspec.Raw(each) for each in self.factory.down]
                self.edge.take(Frame(source=source, epoch=epoch, lane=lane, first=1, events=raw))
            self.factory.take(self.edge.out)
            self.group.take(self.factory.up)

    def check(self) -> None:
        """One operator state in all tiers; no acknowledgement lost, none invented."""
        edge, factory = self.edge.views(), self.factory.views()
        group = {n: v for n, v in self.group.views().items() if n}
        assert canonical(factory) == canonical(edge)
        assert canonical(group) == canonical(edge)
        refused = {name for name, (_, result) in self.edge.facts.items() if result == "refused"}
        kept = {name for name in self.acks if name not in refused}
        at_edge = [fact for fact, result in self.edge.facts.values() if result != "refused"]
        stated = self.factory.store.facts.values()
        at_factory = [s.fact for s in stated if s.result != "refused"]
        told = [body for body in self.group.events.values() if isinstance(body, Fact)]
        at_group = [fact for fact in told if fact.id not in refused]
        for facts in (at_edge, at_factory, at_group):
            assert {f.id for f in facts if f.action == "acknowledge"} == kept
        for view in edge.values():
            said = [view.acked_by, *view.also_acked_by] if view.acked_by else []
            assert {s.fact for s in said if s} <= kept
        for unit in self.edge.script.book.units.values():
            if unit.occurrence in edge and self._told_last(unit.id):
                assert edge[unit.occurrence].state == unit.state

    def _told_last(self, alarm: str) -> bool:
        mine = [t for t in self.edge.script.log if t.unit.id == alarm]
        return bool(mine) and mine[-1].told
