"""What late data and people do to incidents that exist: nothing that was said is lost."""

from __future__ import annotations

from dataclasses import replace

from factory_brain.application.incidents.changes import Change, united_rows
from factory_brain.application.incidents.ports import MERGED, Entry, Incident, Member, Shown
from factory_brain.domain.incidents.seen import Seen

NOW = 1_000


def member(name: str, at: int, incident: str) -> Member:
    return Member(Seen(name, name, "FUR", "e1", at), None, incident, Shown())


def run(
    rows: list[Incident], moved: dict[Member, str], left: list[Member]
) -> tuple[dict[str, Incident], list[tuple[str, str, object]], list[tuple[str, str]]]:
    """Rows afterwards, notes (incident, kind, other), time lines that move."""
    known = {row.id: row for row in rows}
    after = {each.seen.occurrence: where for each, where in moved.items()}
    members: dict[str, list[Member]] = {}
    for each in left:
        members.setdefault(each.incident, []).append(each)
    for each, where in moved.items():
        members.setdefault(where, []).append(each)
    entries: list[Entry] = []
    before = {each.seen.occurrence: each for each in moved}
    gone = united_rows(Change(before, after), members, known, NOW, entries)
    return known, [(e.incident, e.kind, e.params.get("other")) for e in entries], gone


SEEN = Incident("X", status="acknowledged", owner="anna", opened_at=5, acknowledged_by="anna")


def test_an_incident_under_a_new_name_is_the_same_incident() -> None:
    rows, notes, gone = run([SEEN], {member("b", 5, "X"): "N"}, [])
    assert rows["N"] == replace(SEEN, id="N")
    assert (rows["X"].status, rows["X"].merged_into) == (MERGED, "N")
    assert notes == [("N", "incident_renamed", "X")]
    assert gone == [("X", "N")]


def test_a_merged_one_is_no_further_than_the_least_and_keeps_an_owner() -> None:
    other = Incident("N", status="open", opened_at=9)
    rows, notes, _ = run([SEEN, other], {member("b", 5, "X"): "N"}, [member("a", 1, "N")])
    assert (rows["N"].status, rows["N"].owner, rows["N"].opened_at) == ("open", "anna", 5)
    assert notes == [("N", "incident_merged", "X")]


def test_what_is_closed_opens_again_with_what_is_open_in_it() -> None:
    closed = Incident("N", status="closed", closed_at=7, closed_by="bert", opened_at=1)
    rows, _, _ = run([SEEN, closed], {member("b", 5, "X"): "N"}, [member("a", 1, "N")])
    assert (rows["N"].status, rows["N"].closed_at) == ("acknowledged", None)
    both = replace(SEEN, status="closed", closed_at=6)
    rows, _, _ = run([both, closed], {member("b", 5, "X"): "N"}, [member("a", 1, "N")])
    assert (rows["N"].status, rows["N"].closed_at) == ("closed", 7)


def test_a_split_is_told_on_both_sides_and_leaves_the_first_as_it_was() -> None:
    rows, notes, gone = run([SEEN], {member("c", 9, "X"): "N"}, [member("b", 5, "X")])
    assert rows == {"X": SEEN}
    assert notes == [("X", "incident_split", "N"), ("N", "incident_split_from", "X")]
    assert gone == []


def test_one_that_falls_apart_goes_on_where_its_first_alarm_went() -> None:
    moved = {member("b", 5, "X"): "N", member("c", 9, "X"): "M"}
    rows, notes, gone = run([SEEN], moved, [])
    assert rows["N"].owner == "anna"
    assert "M" not in rows  # a new one, opened with its figures
    assert ("X", "incident_split", "M") in notes
    assert gone == [("X", "N")]


def test_one_that_was_part_of_another_may_be_by_itself_again() -> None:
    past = Incident("N", status=MERGED, merged_into="X")
    rows, _, _ = run([SEEN, past], {member("b", 5, "X"): "N"}, [])
    assert (rows["N"].status, rows["N"].merged_into) == ("acknowledged", None)
    assert rows["X"].merged_into == "N"
