"""The time line: order that claims nothing, cells that run nothing, a report that can be read."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from factory_brain.adapters.trace_pdf import as_pdf
from factory_brain.domain.trace.cells import as_csv, harmless
from factory_brain.domain.trace.order import Stamp, in_order, thinned, undecided
from shared.web.dto_base import Text
from shared.web.dto_trace import TraceEntry, TraceOut, TraceSignal

START = 1_700_000_000_000
STAMPS = st.lists(
    st.builds(
        Stamp, st.integers(0, 300), st.sampled_from(["e1", "e2", "factory"]),
        st.sampled_from([0, 5, 40, None]),
    ),
    max_size=12,
)  # fmt: skip


@given(STAMPS)
def test_an_entry_is_uncertain_if_and_only_if_some_other_may_have_come_before(
    stamps: list[Stamp],
) -> None:
    for index, unsure in in_order(stamps):
        others = [each for at, each in enumerate(stamps) if at != index]
        assert unsure == any(undecided(stamps[index], each) for each in others)


def test_one_clock_is_in_order_with_itself_and_two_only_beyond_their_doubt() -> None:
    assert not undecided(Stamp(5, "e1", 50), Stamp(5, "e1", 50))
    assert undecided(Stamp(5, "e1", 50), Stamp(90, "e2", 50))
    assert not undecided(Stamp(5, "e1", 50), Stamp(105, "e2", 50))
    assert undecided(Stamp(5, "e1", None), Stamp(900, "factory", 0))


def test_thinning_keeps_the_least_and_the_greatest() -> None:
    times = list(range(10_000))
    values: list[float | None] = [float(at % 7) for at in times]
    values[4321], values[8765], values[5] = 99.0, -99.0, None
    t, v = thinned(times, values, 500)
    assert len(t) <= 510
    assert t == sorted(t)
    assert 99.0 in v
    assert -99.0 in v


def _trace(entries: int) -> TraceOut:
    said = "=cmd|'/C calc'!A0"
    return TraceOut(
        kind="alarm", id="occ-1", title=Text(zh="一段炉温高高", en="Zone 1 high"), site="f1",
        since=START, until=START + 600_000, timezone="Asia/Shanghai", truncated=False,
        entries=[
            TraceEntry(
                at=START + index * 100, lane="alarm" if index % 3 else "people",
                kind=("raised", "acknowledged", "returned")[index % 3],
                params={"tag": "TT-101", "value": 1280.0 + index % 9, "text": said},
                actor="@王工", alarm="FUR-01.TT-101.HIHI", clock="e1", uncertain=index % 5 == 0,
            )
            for index in range(entries)
        ],
        signals=[
            TraceSignal(
                tag="TT-101", name=Text(zh="一段炉温", en="Zone 1 temperature"), unit="°C",
                resolution="raw", t=[START + n * 1000 for n in range(600)],
                v=[None if n == 300 else 1250 + n / 15 for n in range(600)],
                limits={"HIHI": 1280.0},
            )
        ],
    )  # fmt: skip


def test_no_cell_of_the_csv_is_a_formula() -> None:
    rows = list(csv.reader(io.StringIO(as_csv(_trace(4)).decode("utf-8-sig"))))
    assert len(rows) == 5
    assert not [cell for row in rows for cell in row if cell[:1] in tuple("=+-@\t\r＝＋－＠")]
    assert rows[1][rows[0].index("actor")] == "'@王工"
    assert rows[1][rows[0].index("time_zone")] == "Asia/Shanghai"
    assert (harmless("-1+2"), harmless("  =1"), harmless("1-2"), harmless(None)) == (
        "'-1+2", "'  =1", "1-2", "",
    )  # fmt: skip


def test_the_report_has_pages_and_the_font_that_chinese_needs() -> None:
    for language in ("zh", "en"):
        content = as_pdf(_trace(120), language, START + 700_000, "王工")
        assert content.startswith(b"%PDF-")
        assert b"STSong-Light" in content
        assert content.count(b"/Type /Page\n") >= 3
        assert len(content) < 400_000
