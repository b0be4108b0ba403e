"""The sampler's ways to report, and snippets in a storm."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest
from pydantic import TypeAdapter, ValidationError

from edge_node.application.history import History
from edge_node.application.sampler import MAX_ROWS, Sampler
from edge_node.application.snippets import Around, Snippets
from shared.messages.bodies import SampleBatch, Snippet
from shared.messages.control import SampleRequest
from shared.site.reporting import Report, SnippetSpec
from tests.support.edge_script import START, Script, columns, limit

REPORT: TypeAdapter[object] = TypeAdapter(Report)


def sampler_of(*reports: object) -> tuple[Script, Sampler]:
    names = [f"T{i}" for i in range(len(reports))]
    script = Script(names, [])
    tags = script.tags.sources["s1"].tags
    for index, report in enumerate(reports):
        tags[index] = tags[index].model_copy(update={"report": REPORT.validate_python(report)})
    return script, Sampler(script.tags, script.clock)


def table(bodies: Iterable[SampleBatch]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for body in bodies:
        count = len(body.qualities)
        tags = struct.unpack(f"<{count}i", body.tags)
        values = struct.unpack(f"<{count}d", body.values)
        for tag, value in zip(tags, values, strict=True):
            found.setdefault(body.names[tag], []).append(value)
    return found


def test_each_tag_is_reported_its_own_way() -> None:
    window = {"window": {"every": "10s", "of": ["avg", "max", "last"]}}
    script, sampler = sampler_of(True, "raw", window, False)
    assert sampler.take("s1", columns([
        (tag, START + 1000 * i, value, 0)
        for i, value in enumerate([1.0, 1.0, 4.0]) for tag in range(4)
    ])) == (START, START + 2000)  # fmt: skip
    assert table(sampler.flush()) == {"T0": [1.0, 4.0], "T1": [1.0, 1.0, 4.0]}
    script.clock.advance(10_000)
    assert list(sampler.flush()) == []
    script.clock.advance(1_000)  # the window ends by the clock
    assert table(sampler.flush()) == {"T2@avg": [2.0], "T2@max": [4.0], "T2": [4.0]}


def test_the_factory_s_wish_ends_by_itself_and_only_known_numbers_can_be_wished_for() -> None:
    script, sampler = sampler_of("change")

    def ask(tag: str, ttl_ms: int) -> tuple[bool, str]:
        answer = sampler.ask(SampleRequest(id="r", tag=tag, ttl_ms=ttl_ms))
        return answer.accepted, answer.code

    def put(value: float) -> list[float]:
        sampler.take("s1", columns([(0, script.clock.now_ms(), value, 0)]))
        return table(sampler.flush()).get("T0", [])

    assert ask("X", 1000) == (False, "unknown_tag")
    assert put(5.0) == [5.0]
    assert put(5.0) == []
    assert ask("T0", 2_000) == (True, "")
    assert put(5.0) == [5.0]
    assert put(5.0) == [5.0]
    script.clock.advance(2_001)
    assert list(sampler.flush()) == []
    assert put(5.0) == [5.0]  # the first after a change of the way
    assert put(5.0) == []


def test_many_rows_make_several_events() -> None:
    _, sampler = sampler_of("raw")
    count = MAX_ROWS + 5
    sampler.take("s1", columns((0, START + i, float(i), 0) for i in range(count)))
    bodies = list(sampler.flush())
    assert [len(body.qualities) for body in bodies] == [MAX_ROWS, 5]
    assert table(bodies)["T0"] == [float(i) for i in range(count)]


@pytest.mark.parametrize(
    "wrong", ["always", {"window": {"every": "10ms"}}, {"window": {"of": []}},
              {"window": {"of": ["avg", "avg"]}}, {"window": {"of": ["median"]}}, 3],
)  # fmt: skip
def test_a_way_to_report_that_does_not_exist_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        REPORT.validate_python(wrong)


async def test_another_site_changes_places_and_loses_nothing() -> None:
    script, sampler = sampler_of("change", "change")
    history = History(script.tags, script.clock, 1 << 20, 10**9, None)
    assert sampler.ask(SampleRequest(id="r", tag="T1", ttl_ms=60_000)).accepted
    history.add("s1", columns([(1, START, 7.0, 0)]), START, START)
    later = Script(["T1", "T9"], [])
    history.renew(later.tags)
    sampler = sampler.renewed(later.tags)
    assert list(sampler.asked) == ["T1"]
    batch = columns([(0, START + i, 8.0, 0) for i in (1, 2)])
    assert sampler.take("s1", batch) == (START + 1, START + 2)
    assert table(sampler.flush()) == {"T1": [8.0, 8.0]}
    history.add("s1", batch, START + 1, START + 2)
    found = await history.read(["T1", "T9"], START, START + 10)
    assert len(found["T1"][2]) == 3
    assert found["T9"][2] == b""
    await history.close()


async def test_a_storm_takes_a_bounded_number_of_snippets_and_counts_the_rest() -> None:
    alarms = [limit(f"A{i}", "T", "HI", 100.0) for i in range(5)]
    script = Script(["T"], alarms)
    history = History(script.tags, script.clock, 1 << 20, 10**9, None)

    def definition(alarm: str):
        return script.book.units[alarm].definition

    spec = SnippetSpec.model_construct(before=60_000, after=30_000)
    around = Around(script.tags, definition, lambda alarm: (), lambda alarm: spec)
    snippets = Snippets(around, history, script.clock, per_minute=3)
    first = columns([(0, START, 50.0, 0), (0, START + 1, 120.0, 0)])
    history.add("s1", first, START, START + 1)
    changes = [
        snippets.note(transition, script.pipeline.steady())
        for transition in script.pipeline.take("s1", first)
    ]
    assert [len(change) for change in changes] == [1, 1, 1, 0, 0]
    assert (snippets.pending, snippets.skipped) == (3, 2)
    assert await snippets.due(script.pipeline.steady() + 30_000) == []

    # Killed here: what was stored with the transitions is known to the next run.
    again = Snippets(around, history, script.clock, per_minute=3)
    put = changes[2][0]
    again.recover({put.key: put.value}, START + 60_000)  # type: ignore[union-attr]
    due = await again.due(START + 60_000)
    bodies = [row.event.body for change in due for row in change if hasattr(row, "event")]
    assert len(bodies) == 3
    assert again.pending == 0
    assert isinstance(bodies[0], Snippet)
    assert table([bodies[0].samples]) == {"T": [50.0, 120.0]}
    assert not bodies[0].truncated or bodies[0].since < history.began
    await history.close()
