"""Stays reckoned from numbers, spans out of limits, figures of a stay: equal to the plain way."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_brain.domain.units.spans import FAR, Limits, Piece, Span, figures, spans_of
from factory_brain.domain.units.stays import Reading, Stay, name, stays
from shared.paths import demo_sites
from shared.site.loader import SiteFaults, load_site
from shared.site.process import Role, UnitTags, concerns, process_tags

TAGS = UnitTags(tag="U", prefix="P-", batch="B", batch_prefix="LOT-", recipe="R", inside="IN")
PLAIN = UnitTags(tag="U")


def _values(role: Role) -> st.SearchStrategy[float]:
    return st.sampled_from([0.0, 1.0] if role == "inside" else [0.0, 1.0, 2.0, 3.0])


ROLES: tuple[Role, ...] = ("unit", "batch", "recipe", "inside")
READINGS = st.lists(
    st.sampled_from(ROLES).flatmap(
        lambda role: st.tuples(st.integers(0, 60), st.just(role), _values(role))
    ),
    max_size=40, unique_by=lambda reading: (reading[0], reading[1]),
)  # fmt: skip


def _stood(readings: list[Reading], role: Role, at: int) -> float:
    past = [(time, value) for time, said, value in readings if said == role and time <= at]
    return max(past)[1] if past else 0.0


@given(READINGS, st.randoms(use_true_random=False))
def test_the_unit_at_any_time_is_the_one_that_the_readings_show(
    readings: list[Reading], shuffle: random.Random
) -> None:
    mixed = list(readings)
    shuffle.shuffle(mixed)
    found = stays(mixed, TAGS)
    assert found == stays(readings, TAGS)  # late or not: the same
    for at in range(62):
        inside = _stood(readings, "inside", at)
        number = _stood(readings, "unit", at) if inside else 0.0
        here = [s for s in found if s.entered_at <= at < (s.left_at or FAR)]
        assert [s.unit for s in here] == ([name(number, "P-")] if number else [])
        for stay in here:
            batch = _stood(readings, "batch", stay.entered_at)
            assert stay.batch == (name(batch, "LOT-") if batch else "")


@given(READINGS, st.integers(0, 60))
def test_reckoned_from_the_middle_on_it_is_the_same(readings: list[Reading], cut: int) -> None:
    before: dict[Role, float] = {role: _stood(readings, role, cut - 1) for role in ROLES}
    after = stays([each for each in readings if each[0] >= cut], TAGS, before)
    assert after == [each for each in stays(readings, TAGS) if each.entered_at >= cut]


def test_a_station_without_a_gate_holds_a_unit_until_the_next() -> None:
    readings: list[Reading] = [(10, "unit", 7.0), (20, "unit", 7.0), (30, "unit", 8.0)]
    assert stays(readings, PLAIN) == [Stay("7", 10, 30), Stay("8", 30)]
    assert name(12.5) == "12.5"


SAMPLES = st.lists(
    st.tuples(st.integers(0, 50), st.one_of(st.none(), st.integers(0, 9).map(float))),
    max_size=25, unique_by=lambda sample: sample[0],
).map(sorted)  # fmt: skip


@given(SAMPLES, st.integers(0, 25), st.integers(26, 50), st.integers(0, 52), st.integers(0, 20))
def test_out_of_limits_is_out_at_every_moment_of_a_span_and_at_no_other(
    samples: list[tuple[int, float | None]], since: int, until: int, enter: int, long: int
) -> None:
    limits = Limits(below=2.0, above=7.0)
    found = spans_of(samples, limits, since, until)
    out = set()
    for at in range(since, until):
        past = [value for time, value in samples if time <= at]
        if past and past[-1] is not None and not 2.0 <= past[-1] <= 7.0:
            out.add(at)
    assert {at for span in found for at in range(span.start, span.end)} == out
    met = any(span.overlaps(enter, enter + long) for span in found)
    assert met == bool(out & set(range(enter, enter + long + 1)))


def test_figures_are_weighted_by_time_and_know_the_least_and_the_greatest() -> None:
    pieces = [Piece(0, 10.0, None, None), Piece(90, 20.0, None, None)]
    told = figures(pieces, 0, 100)
    assert told is not None
    assert (told.low, told.high, told.samples) == (10.0, 20.0, 2)
    assert told.average == pytest.approx(11.0)
    summed = figures([Piece(0, 5.0, 1.0, 9.0)], 0, 60)
    assert summed is not None
    assert (summed.low, summed.high) == (1.0, 9.0)
    assert figures([Piece(0, None, None, None)], 0, 10) is None
    assert not Span(10, 20).overlaps(20, 30)
    assert Span(10, 20).overlaps(5, 10)


def _site(tmp_path: Path, process: str) -> Path:
    folder = tmp_path / "site"
    for path in sorted((demo_sites() / "f2").rglob("*.yaml")):
        to = folder / path.relative_to(demo_sites() / "f2")
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "process.yaml").write_text(process, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("unit: {tag: LIN-01.NONE}", "unknown tag 'LIN-01.NONE'"),
        ("unit: {tag: ST-301}", "cannot tell units"),
        ("follows: [AWAY]", "unknown station 'AWAY'"),
        ("follows: [ONE]", "follows itself"),
        ("tags: [LT-3011]", "did you mean 'LT-301'"),
    ],
)
def test_a_process_with_a_fault_is_refused_with_its_place(
    tmp_path: Path, fault: str, said: str
) -> None:
    text = f"stations:\n  - {{id: ONE, asset: LIN-01, name: {{zh: 一, en: One}}, {fault}}}\n"
    with pytest.raises(SiteFaults) as caught:
        load_site(_site(tmp_path, text))
    assert said in str(caught.value)
    assert "process.yaml:2:" in str(caught.value)


def test_the_demo_s_process_knows_its_alarms_and_values() -> None:
    site = load_site(demo_sites() / "f2")
    filling = site.stations["FILLING"]
    assert concerns(site.alarms["LIN-01.LT-301.LO"], filling, site.assets)
    assert process_tags(filling, site) == ["LT-301", "ST-301", "QT-301"]
    bare = filling.model_copy(update={"tags": []})
    assert "LIN-01.CRATE" not in process_tags(bare, site)
    assert "LT-301" in process_tags(bare, site)
