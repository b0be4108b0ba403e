"""Time scripts for the edge's rules: `at(3).sample("TT-1", 112)`, `want(("HI", "raised", 4))`."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from edge_node.application.ipc import Samples, Texts
from edge_node.application.pipeline import Pipeline
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import Transition
from edge_node.domain.tags import TagTable
from shared.alarm.definition import AlarmDefinition, Words
from shared.alarm.machine import AlarmEvent, Trigger
from shared.alarm.point import Setting
from shared.clock import ManualClock
from shared.site.model import SourceSpec, TagSpec

START = 1_700_000_000_000


def limit(alarm: str, tag: str, side: str, value: float, **more: object) -> AlarmDefinition:
    setting = Setting(
        value,
        more.pop("deadband", 0.0),
        more.pop("on_ms", 0),
        more.pop("off_ms", 0),  # type: ignore[arg-type]
    )
    return alarm_of(alarm, tag, kind="limit", side=side, setting=setting, **more)


def alarm_of(alarm: str, tag: str, **more: object) -> AlarmDefinition:
    return AlarmDefinition(
        id=alarm, edge="e1", asset="X-1", tag=tag, name=Words(alarm, alarm), priority=2,
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


def columns(rows: Iterable[tuple[int, int, float, int]]) -> Samples:
    """Rows of (tag index, time, value, quality) as a batch."""
    rows = list(rows)
    n = len(rows)
    return Samples(
        tags=struct.pack(f"<{n}i", *(r[0] for r in rows)),
        times=struct.pack(f"<{n}q", *(r[1] for r in rows)),
        values=struct.pack(f"<{n}d", *(r[2] for r in rows)),
        qualities=bytes(r[3] for r in rows),
    )


class Script:
    """One source `s1` with number tags (and `text:NAME`, `bool:NAME`), played on a manual clock."""

    def __init__(self, tags: list[str], alarms: list[AlarmDefinition]) -> None:
        self.clock = ManualClock(START)
        specs = [_tag(name) for name in tags]
        self.index = {spec.id: i for i, spec in enumerate(specs)}
        source = SourceSpec(id="s1", edge="e1", driver="opcua", url="opc.tcp://x")
        self.tags = TagTable([source], specs)
        self.tags.sources["s1"].up = True
        count = iter(range(1, 10_000))
        self.book = AlarmBook(alarms, lambda: f"o{next(count)}")
        self.pipeline = Pipeline(self.tags, self.book, self.clock)
        self.log: list[Transition] = []
        self.log += self.pipeline.start()

    def at(self, seconds: float) -> Script:
        """Move on to `seconds`, with every timer on its time."""
        target = START + round(seconds * 1000)
        while (step := self.pipeline.next_due_in_ms()) is not None:
            if self.clock.now_ms() + step > target:
                break
            self.clock.advance(step)
            self.log += self.pipeline.tick()
        self.clock.advance(target - self.clock.now_ms())
        return self

    def sample(self, tag: str, value: float, quality: int = 0) -> Script:
        """One good sample now."""
        row = (self.index[tag], self.clock.now_ms(), float(value), quality)
        self.log += self.pipeline.take("s1", columns([row]))
        return self

    def text(self, tag: str, value: str) -> Script:
        """One text now."""
        rows = [(self.index[tag], self.clock.now_ms(), value, 0)]
        self.log += self.pipeline.take_texts("s1", Texts(rows=rows))
        return self

    def batch(self, *rows: tuple[str, float, float]) -> Script:
        """Samples (tag, seconds, value) delivered together now."""
        packed = [(self.index[t], START + round(s * 1000), float(v), 0) for t, s, v in rows]
        self.log += self.pipeline.take("s1", columns(packed))
        return self

    def do(self, alarm: str, trigger: Trigger, **more: object) -> str:
        """What a person does; the machine's answer."""
        event = AlarmEvent(trigger, **more)  # type: ignore[arg-type]
        result = self.book.trigger(self.book.units[alarm], event, self.pipeline.steady())
        self.log += self.pipeline.settle()
        return result.result

    def told(self) -> list[tuple[str, str, float]]:
        """(alarm, kind, second) of all transitions that the tiers above hear of."""
        told = [t.body for t in self.log if t.told]
        return [(body.alarm, body.kind, (body.source_time - START) / 1000) for body in told]

    def want(self, *expected: tuple[str, str, float]) -> None:
        """Assert that exactly these happened."""
        assert self.told() == list(expected)


def _tag(name: str) -> TagSpec:
    kind, _, rest = name.rpartition(":")
    types = {"": "number", "text": "string", "bool": "boolean"}
    return TagSpec.model_validate(
        {"id": rest, "source": "s1", "address": rest, "asset": "X-1",
         "name": {"zh": rest, "en": rest}, "type": types[kind], "stale_after": "10s"}
    )  # fmt: skip
