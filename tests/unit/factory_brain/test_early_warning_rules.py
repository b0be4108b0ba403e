"""Which windows people have judged, when a warning stands, and what counts as commissioning."""

from __future__ import annotations

from factory_brain.domain.shadow import DAY_MS, HOUR_MS
from factory_brain.domain.warning import (
    NORMAL_A_DAY,
    Happened,
    Heard,
    Plant,
    Record,
    changes,
    commissioning,
    labelled,
    moved,
    plants_of,
)
from factory_brain.domain.warning_words import is_own, is_warning, name_of
from shared.alarm.warning_schema import WINDOW_MS, schema_hash
from shared.paths import demo_sites
from shared.site.loader import load_site

TAGS = ("A", "B", "C")
PLANT = Plant(schema_hash(TAGS), "L", TAGS)
DAY = 20_000 * DAY_MS


def fault(start_h: float, end_h: float, name: str = "f") -> Happened:
    return Happened(name, "X", DAY + round(start_h * HOUR_MS), DAY + round(end_h * HOUR_MS))


def labels(record: Record, until: int = DAY + 3 * DAY_MS) -> dict[int, tuple[int, str]]:
    return labelled(PLANT, "f1", record, DAY - DAY_MS, until)


def test_nothing_is_labelled_where_nobody_said_anything() -> None:
    assert labels(Record()) == {}


def test_windows_of_a_fault_are_faulty_and_those_around_it_are_nothing() -> None:
    found = labels(Record(faults=(fault(10, 12),)))
    faulty = sorted(at for at, (label, _) in found.items() if label == 1)
    assert faulty == [DAY + 10 * HOUR_MS + n * WINDOW_MS for n in range(1, 5)]
    assert {found[at] for at in faulty} == {(1, "f")}
    normal = [at for at, (label, _) in found.items() if label == 0]
    assert len(normal) == NORMAL_A_DAY
    # Two hours before it and four hours after it nobody knows.
    assert not [at for at in normal if DAY + 8 * HOUR_MS < at < DAY + 16 * HOUR_MS]


def test_the_sample_of_normal_windows_is_the_same_every_time_and_no_more() -> None:
    said = Record(said=(Happened("o", "X", DAY + HOUR_MS, DAY + HOUR_MS + 1, "nuisance"),))
    first = labels(said)
    assert labels(said) == first
    assert len(first) == NORMAL_A_DAY
    assert {at - 1 >= DAY and at - 1 < DAY + DAY_MS for at in first} == {True}


def test_a_drill_is_no_label_and_a_verdict_is_one() -> None:
    drill = Happened("o", "X", DAY + HOUR_MS, DAY + 23 * HOUR_MS, "drill")
    assert all(
        at <= DAY + HOUR_MS or at > DAY + 23 * HOUR_MS for at in labels(Record(said=(drill,)))
    )
    true = Happened("early_warning.L#1", "L", DAY + 3 * HOUR_MS, DAY + 4 * HOUR_MS, "true")
    found = labels(Record(verdicts=(true,)))
    at = DAY + 4 * HOUR_MS
    assert found[at] == (1, "early_warning.L#1")
    nuisance = Happened("early_warning.L#1", "L", true.start, true.end, "nuisance")
    assert labels(Record(verdicts=(nuisance,)))[at] == (0, "")
    # The record of faults goes before it.
    assert labels(Record((fault(2, 6),), (), (nuisance,)))[at] == (1, "f")


def test_late_moved_and_withdrawn_faults_send_their_windows_again() -> None:
    sent = labels(Record(faults=(fault(10, 12),)))
    assert changes(sent, sent) == {}
    longer = labels(Record(faults=(fault(10, 13),)))
    due = changes(longer, sent)
    assert due[DAY + 12 * HOUR_MS + WINDOW_MS] == (1, "f")
    assert DAY + 11 * HOUR_MS not in due
    gone = changes(labels(Record()), sent)
    assert gone == {at: (-1, "") for at in sent}
    assert changes({}, gone) == {}  # said once


def heard(*marks: str, gap: int = 0) -> list[Heard]:
    """h: hit, l: low, m: between, s: silent."""
    return [
        Heard((n + (gap if n else 0)) * WINDOW_MS, 0.5, mark == "h", mark == "l", mark == "s")
        for n, mark in enumerate(marks)
    ]


def test_two_windows_in_a_row_raise_and_two_clear() -> None:
    assert not moved(False, heard("h"))
    assert moved(False, heard("h", "h"))
    assert not moved(False, heard("h", "m"))
    assert not moved(False, heard("h", "h", gap=1))  # not in a row
    assert not moved(False, heard("h", "s"))
    assert moved(True, heard("h", "l"))
    assert moved(True, heard("l", "m"))
    assert moved(True, heard("m", "m"))
    assert not moved(True, heard("l", "l"))
    assert moved(True, heard("s", "s", "s"))
    assert not moved(True, heard("s", "s", "s", "s"))
    assert moved(True, [])


def test_commissioning_days_are_free_of_faults_and_mostly_of_alarms() -> None:
    day = DAY // DAY_MS
    near = (fault(24 + 25, 24 + 26),)  # in the first hour of the third day
    alarms = [(DAY, DAY + 6 * HOUR_MS), (DAY + 3 * DAY_MS, DAY + 3 * DAY_MS + 13 * HOUR_MS)]
    found = commissioning(range(day, day + 5), near, alarms)
    # The second day ends within two hours of the fault; most of the fourth is an alarm.
    assert sorted(found) == [day, day + 4]
    assert len(found[day]) == 36
    assert min(found[day]) == DAY + 6 * HOUR_MS + WINDOW_MS


def test_a_plant_is_a_line_with_numeric_tags_enough() -> None:
    site = load_site(demo_sites() / "f1")
    found = plants_of(site.tags, site.assets)
    assert [each.line for each in found] == ["REHEAT", "UTILITIES"]
    assert all(each.key == schema_hash(each.tags) for each in found)
    assert list(found[0].tags) == sorted(found[0].tags)


def test_the_text_is_honest_about_what_it_never_saw() -> None:
    plain, outside = name_of("L", 0.634, ["A"], 0, 6), name_of("L", 0.634, ["A"], 2, 6)
    assert "63 %" in plain.en
    assert "63%" in plain.zh
    assert "not to be relied on" not in plain.en
    assert "2 of 6 tags" in outside.en
    assert "超出训练范围" in outside.zh
    assert is_warning("early_warning.L")
    assert is_own("early_warning.L")
    assert not is_own("FUR-01.TT-101.HI")


def said(start_h: float, end_h: float, label: str) -> Happened:
    return Happened("o", "X", DAY + round(start_h * HOUR_MS), DAY + round(end_h * HOUR_MS), label)


def within(found: dict[int, tuple[int, str]], start_h: float, end_h: float) -> list[int]:
    """Labelled windows that touch these hours."""
    first, last = DAY + start_h * HOUR_MS, DAY + end_h * HOUR_MS
    return [at for at in found if at - WINDOW_MS < last and first < at]


def test_a_confirmed_alarm_is_not_taught_as_normal() -> None:
    # Six hours of an alarm that somebody called real; nobody has recorded its fault yet.
    looked = said(0, 0.1, "nuisance")
    found = labels(Record(said=(looked, said(12, 18, "true"))))
    assert len(found) == NORMAL_A_DAY
    assert within(found, 10, 22) == []
    # Nor by a verdict on a warning at that time, while a confirmed warning stays faulty.
    verdict = said(13, 14, "nuisance")
    assert within(labels(Record(said=(said(12, 18, "true"),), verdicts=(verdict,))), 10, 22) == []
    confirmed = Record(verdicts=(said(13, 14, "true"),))
    assert {label for _, (label, _) in labels(confirmed).items()} == {0, 1}
    assert {labels(confirmed)[at] for at in within(labels(confirmed), 11, 18)} == {(1, "o")}


def test_what_stood_and_nobody_judged_is_not_taught_as_normal() -> None:
    looked = said(0, 0.1, "nuisance")
    stood = ((DAY + 2 * HOUR_MS, DAY + 24 * HOUR_MS),)
    assert within(labels(Record(said=(looked,))), 2, 24)
    assert within(labels(Record(said=(looked,), unjudged=stood)), 2, 24) == []
    # A recorded fault says what it was.
    assert within(labels(Record(faults=(fault(10, 12),), unjudged=stood)), 10, 12)


def test_the_hours_after_a_drill_say_nothing() -> None:
    looked = said(0, 0.1, "nuisance")
    ran = ((DAY + 2 * HOUR_MS, DAY + 22 * HOUR_MS),)
    assert within(labels(Record(said=(looked,), drills=ran)), 2, 24) == []
    assert within(labels(Record(said=(looked, said(2, 22, "drill")))), 2, 24) == []
