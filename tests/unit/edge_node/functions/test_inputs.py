"""Samples on their way to computed sources: routing, readings, alignment, and their site checks."""

from __future__ import annotations

import random
import shutil
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_node.adapters.functions.align import DRIVER as ALIGN
from edge_node.adapters.functions.readings import Readings
from edge_node.adapters.sources.port import InputPoint
from edge_node.application.ipc import Inputs, Samples, Texts
from edge_node.application.pipeline import Pipeline
from edge_node.application.relay import Relay
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.tags import TagTable
from shared.clock import ManualClock
from shared.errors import ConfigError, ContractError
from shared.paths import demo_sites
from shared.site.fields import Names
from shared.site.loader import SiteFaults, load_site
from shared.site.tags import SourceSpec, TagSpec
from tests.support.computed import NOW, configure, numbers, source_of


def tag(name: str, source: str, kind: str = "number") -> TagSpec:
    return TagSpec.model_validate(
        {"id": name, "source": source, "address": name, "asset": "X", "type": kind,
         "name": Names(zh=name, en=name)}
    )  # fmt: skip


class World:
    """Two devices, two computed sources, and what was sent to them."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        sources = [
            SourceSpec(id="s1", edge="e", driver="x"), SourceSpec(id="s2", edge="e", driver="x"),
            SourceSpec(id="c1", edge="e", driver="python", inputs=["T3", "T1", "M"]),
            SourceSpec(id="c2", edge="e", driver="python", inputs=["C1"]),
        ]  # fmt: skip
        tags = [*(tag(f"T{i}", "s1") for i in range(5)), tag("M", "s1", "string"),
                tag("U", "s2"), tag("C1", "c1"), tag("C2", "c2")]  # fmt: skip
        self.tags = TagTable(sources, tags)
        self.sent: list[tuple[str, Inputs]] = []
        self.takes = True
        self.pipeline = Pipeline(self.tags, AlarmBook([], lambda: "x"), self.clock)
        self.relay = Relay(self.tags, self._send, self.clock, self.pipeline.steady)

    def _send(self, source: str, inputs: Inputs) -> bool:
        if self.takes:
            self.sent.append((source, inputs))
        return self.takes

    def rows(self) -> Iterator[tuple[str, int, float, int]]:
        for source, inputs in self.sent:
            columns = (array("i", inputs.tags), array("q", inputs.times),
                       array("d", inputs.values), inputs.qualities)  # fmt: skip
            yield from ((source, *row) for row in zip(*columns, strict=True))  # type: ignore[misc]

    def batch(self, indexes: list[int], values: list[float]) -> Samples:
        """Through the engine's own store, as a batch comes."""
        made = Samples(
            tags=array("i", indexes).tobytes(), times=array("q", [NOW] * len(indexes)).tobytes(),
            values=array("d", values).tobytes(), qualities=bytes(len(indexes)),
        )  # fmt: skip
        self.tags.sources["s1"].up = True
        self.pipeline.take("s1", made)
        return made


def test_only_wanted_tags_are_handed_on_renumbered_and_in_order() -> None:
    world = World()
    rng = random.Random(1)
    indexes = [rng.randrange(5) for _ in range(500)]
    world.relay.take("s1", world.batch(indexes, [float(i) for i in range(500)]))
    places = {3: 0, 1: 1}
    wanted = [("c1", places[x], NOW, float(i)) for i, x in enumerate(indexes) if x in places]
    assert [row[:4] for row in world.rows()] == wanted
    world.sent.clear()
    world.relay.take("s1", world.batch([1, 3, 1], [1, 2, 3]))
    assert [(row[1], row[3]) for row in world.rows()] == [(1, 1), (0, 2), (1, 3)]
    world.relay.take("s1", Texts(rows=[(5, NOW, "R7", 0)]))
    assert world.sent[-1] == ("c1", Inputs(texts=[(2, NOW, "R7", 0)]))


def test_a_source_that_nobody_computes_from_is_left_alone() -> None:
    world = World()
    columns = Samples(tags=b"\0\0\0\0", times=bytes(8), values=bytes(8), qualities=b"\0")
    world.relay.take("s2", columns)
    world.relay.take("s1", world.batch([0, 2, 4], [1, 2, 3]))
    assert world.sent == []
    world.relay.take("c1", columns)
    assert [source for source, _ in world.sent] == ["c2"]


def test_what_a_child_does_not_take_is_counted_and_made_good() -> None:
    world = World()
    world.takes = False
    for value in range(10):
        world.relay.take("s1", world.batch([1, 3, 0], [value, value * 10, 0]))
    assert world.relay.dropped == {"c1": 20}
    world.takes = True
    world.relay.take("s1", world.batch([1], [99]))
    assert {(row[1], row[3]) for row in world.rows()} == {(1, 99.0), (0, 90.0)}
    world.sent.clear()
    world.relay.take("s1", world.batch([1], [100]))
    assert [(row[1], row[3]) for row in world.rows()] == [(1, 100.0)]
    assert world.relay.dropped == {"c1": 20}


def test_a_started_child_gets_what_stands_with_its_age_and_a_lost_source_is_bad() -> None:
    world = World()
    world.relay.take("s1", world.batch([1], [7]))
    world.clock.advance(4000)
    kept = world.relay.snapshot("c1")
    assert (array("d", kept.values).tolist(), kept.qualities, kept.ages) == ([7], b"\0", {1: 4000})
    world.sent.clear()
    world.relay.lost("s1")
    assert [row[1:] for row in world.rows()] == [(1, NOW, 7.0, 2)]


def test_a_reading_has_an_age_and_goes_stale() -> None:
    clock = ManualClock(NOW)
    readings = Readings([InputPoint("A", "number", 1000), InputPoint("B", "boolean", 1000)], clock)
    assert readings.at(0).value is None
    assert readings.quality() == (2, "A has not come yet")
    readings.take(numbers([(0, 5.0), (1, 1.0)]))
    clock.advance(600)
    readings.take(Inputs(**{**_fields(numbers([(0, 6.0)])), "ages": {0: 300}}))
    assert (readings.at(0).value, readings.at(0).age) == (6.0, 0.3)
    assert readings.at(1).value is True
    assert readings.quality()[0] == 0
    clock.advance(500)
    assert readings.quality() == (2, "B is stale")
    readings.take(numbers([(1, 0.0, 1)]))
    assert readings.quality() == (1, "B is uncertain")


def _fields(inputs: Inputs) -> dict:
    return {name: getattr(inputs, name) for name in inputs.__struct_fields__}


@pytest.mark.parametrize("inputs", [numbers([(2, 1.0)]), Inputs(tags=bytes(4), values=bytes(8))])
def test_a_malformed_frame_is_refused(inputs: Inputs) -> None:
    with pytest.raises(ContractError):
        Readings([InputPoint("A", "number", 1000)], ManualClock(NOW)).take(inputs)


class Sink:
    """What a driver handed over."""

    def __init__(self) -> None:
        self.got: list[tuple[int, int, object, int]] = []

    def sample(self, index: int, time_ms: int, value: float, quality: int) -> None:
        self.got.append((index, time_ms, value, quality))

    text = sample  # type: ignore[assignment]

    def state(self, state: str, detail: str = "") -> None:
        del state, detail


ALONG = {"by": "time", "streams": [{"tag": "A"}, {"tag": "B", "delay": "2s"}]}


async def test_an_alignment_hands_over_rows_of_the_same_material() -> None:
    message = configure(
        "align", ["A", "B"], {"OA": "A", "OB": "B", "MA:string": "mark:A"}, ALONG
    )  # fmt: skip
    sink = Sink()
    driver = ALIGN.build(source_of(message), sink, ManualClock(NOW))  # type: ignore[arg-type]
    for at, rows in (
        (0, [(0, 10.0)]),
        (1000, [(0, 11.0)]),
        (2000, [(0, 12.0)]),
        (3000, [(1, 5.0)]),
    ):
        driver.feed(numbers(rows, NOW + at))  # type: ignore[attr-defined]
    assert sink.got == [
        (0, NOW + 3000, 11.0, 0), (1, NOW + 3000, 5.0, 0), (2, NOW + 3000, "measured", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "tags", "options", "told"),
    [
        (["A", "C"], {"O": "A"}, ALONG, "not in `inputs`"),
        (["A", "B"], {"O": "C"}, ALONG, "is no aligned tag"),
        (["A"], {"O": "A"}, {"by": "gate", "streams": [{"tag": "A"}]}, "needs it"),
        (["A"], {"O": "A"}, {"by": "time", "streams": [{"tag": "A"}]}, "two streams or more"),
    ],
)
def test_an_alignment_that_does_not_fit_says_so(
    inputs: list[str], tags: dict[str, str], options: dict, told: str
) -> None:
    def build() -> None:
        message = configure("align", inputs, tags, options)
        ALIGN.build(source_of(message), Sink(), ManualClock())  # type: ignore[arg-type]

    with pytest.raises(ConfigError) as raised:
        build()
    assert told in str(raised.value)


COMPUTED = """sources:
  - id: first
    edge: e1
    driver: python
    inputs: [{first}]
    options: {{file: functions/f.py, function: f}}
  - id: second
    edge: e1
    driver: python
    inputs: [{second}]
    options: {{file: functions/f.py, function: f}}
tags:
  - {{id: CALC-1, source: first, address: out, asset: FUR-01, name: {{zh: 一, en: One}}}}
  - {{id: CALC-2, source: second, address: out, asset: FUR-01, name: {{zh: 二, en: Two}}}}
"""


@pytest.mark.parametrize(
    ("first", "second", "where", "message", "mend"),
    [
        ("TT-101, CALC-2", "CALC-1", "10:14", "first <- second <- first", "remove this input"),
        ("CALC-1", "TT-101", "5:14", "first <- first", "source of its own"),
        ("TT-1O1", "CALC-1", "5:14", "unknown input 'TT-1O1'", "did you mean 'TT-101'?"),
        ("TT-101, TT-101", "CALC-1", "5:22", "named twice", "remove one"),
        ("TT-201", "CALC-1", "5:14", "a tag of another edge, 'e2'", "compute it on that edge"),
    ],
)
def test_inputs_are_checked_with_their_place_and_a_mend(
    tmp_path: Path, first: str, second: str, where: str, message: str, mend: str
) -> None:
    site = Path(shutil.copytree(demo_sites() / "f1", tmp_path / "f1"))
    text = COMPUTED.format(first=first, second=second)
    (site / "tags" / "computed.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SiteFaults) as raised:
        load_site(site)
    (fault,) = raised.value.faults
    assert fault.where == f"tags/computed.yaml:{where}"
    assert message in fault.message
    assert mend in fault.mend
