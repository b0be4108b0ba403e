"""The life cycle in a site's files: choices, priorities, groups, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.alarm.machine import Policy
from shared.alarm.priority import DEFAULT_MATRIX, PriorityMatrix
from shared.site.loader import Site, SiteFaults, load_site

SITE = """\
site: f9
name: {zh: 试验厂, en: Test site}
edges:
  - {id: e1, name: {zh: 一, en: One}}
  - {id: e2, name: {zh: 二, en: Two}}
"""
TAGS = """\
sources:
  - {id: a, edge: e1, driver: modbus, url: "tcp://127.0.0.1:1", interval: 1s}
  - {id: b, edge: e2, driver: modbus, url: "tcp://127.0.0.1:1", interval: 1s}
tags:
  - {id: P1, source: a, address: "input:0", asset: X-1, name: {zh: 压力, en: Pressure}}
  - {id: P2, source: b, address: "input:0", asset: X-1, name: {zh: 压力, en: Pressure}}
"""
STATES = """\
charts:
  - id: M
    edge: e1
    asset: X-1
    name: {zh: 机, en: Machine}
    initial: run
    states: [{id: run, name: {zh: 运行, en: Run}}, {id: idle, name: {zh: 停, en: Idle}}]
    transitions:
      - {from: run, to: idle, when: 'tag("P1").value < 1'}
      - {from: idle, to: run, when: 'tag("P1").value > 1'}
"""


def alarm(name: str, more: str = "priority: 2", tag: str = "P1", edge: str = "e1") -> str:
    return (
        f"  - id: {name}\n    edge: {edge}\n    asset: X-1\n    tag: {tag}\n"
        f"    name: {{zh: 高, en: High}}\n    side: HI\n    limit: 1\n    {more}\n"
    )


def load(folder: Path, alarms: str, site: str = "", rest: str = "") -> Site:
    files = {
        "site.yaml": SITE + site, "tags/x.yaml": TAGS, "states/x.yaml": STATES,
        "alarms/x.yaml": "alarms:\n" + alarms + rest,
    }  # fmt: skip
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return load_site(folder)


CHOICES = """\
alarm_policy: {leave: keep, max_shelve: 30m, latching: true, re_alarm: 5m, hidden_ack: accept,
               clear_unacked: auto, reshelve: reject, latched_raise: same, re_alarm_on: unacked,
               confirm: true}
"""


def test_an_alarm_chooses_else_the_site_else_the_standard(tmp_path: Path) -> None:
    own = (
        "priority: 1\n    leave: rearm\n    latching: false\n    re_alarm: 10s\n    confirm: false"
    )
    found = load(tmp_path, alarm("A") + alarm("B", own), CHOICES).alarms
    chosen = Policy(
        leave="keep", max_shelve_ms=1_800_000, latching=True, hidden_ack="accept",
        clear_unacked="auto", reshelve="reject", latched_raise="same", re_alarm_on="unacked",
        confirm_used=True,
    )  # fmt: skip
    assert (found["A"].policy, found["A"].re_alarm_ms) == (chosen, 300_000)
    b = found["B"]
    assert (b.policy.leave, b.policy.latching, b.policy.confirm_used) == ("rearm", False, False)
    assert (b.policy.max_shelve_ms, b.re_alarm_ms) == (1_800_000, 10_000)
    plain = load(tmp_path, alarm("A")).alarms["A"]
    assert (plain.policy, plain.re_alarm_ms) == (Policy(), None)


SHEET = "response: {cause: {zh: 因, en: c}, consequence: {zh: 果, en: d}, action: {zh: 做, en: a}"


def test_priority_follows_from_consequence_and_time_unless_it_is_written(tmp_path: Path) -> None:
    def rated(consequence: str, time: str, more: str = "") -> str:
        return f"consequence: {consequence}\n    {SHEET}, time_to_respond: {time}}}\n    {more}"

    text = (
        alarm("A", rated("severe", "3m")) + alarm("B", rated("minor", "1h"))
        + alarm("C", rated("severe", "3m", "priority: 4"))
    )  # fmt: skip
    found = load(tmp_path, text).alarms
    assert [found[name].priority for name in "ABC"] == [1, 4, 4]
    site = "priority_matrix: {times: [1m], rows: {severe: [2, 3], minor: [3, 4]}}\n"
    found = load(tmp_path, text, site).alarms
    assert [found[name].priority for name in "ABC"] == [3, 4, 4]


def test_the_default_matrix_is_a_matrix_and_a_bad_one_is_none() -> None:
    assert DEFAULT_MATRIX.faults() == []
    assert DEFAULT_MATRIX.priority("major", 3 * 60_000) == 1  # up to and including
    assert DEFAULT_MATRIX.priority("major", 3 * 60_000 + 1) == 2
    bad = PriorityMatrix((10, 5), {"x": (1, 2), "y": (3, 2, 1), "z": (0, 5, 5)})
    assert len(bad.faults()) == 4


GROUPS = """\
suppression_groups:
  - {id: TRIP, when: [A, C], suppresses: [B, C]}
first_out_groups:
  - {id: LINE, alarms: [A, B], tie: 20ms}
"""


def test_groups_states_and_conditions_reach_the_definitions(tmp_path: Path) -> None:
    gates = (
        "priority: 3\n    suppressed_in: [{chart: M, in: [idle, run]}]\n"
        "    suppressed_when: 'tag(\"P1\").value > 5'"
    )
    found = load(tmp_path, alarm("A") + alarm("B", gates) + alarm("C"), rest=GROUPS).alarms
    assert (found["B"].suppressed_by, found["C"].suppressed_by) == (("A", "C"), ("A",))
    assert found["B"].suppressed_in == ("M:idle", "M:run")
    assert found["B"].suppressed_when == 'tag("P1").value > 5'
    assert (found["A"].first_out, found["A"].first_out_tie_ms) == ("LINE", 20)
    assert found["C"].first_out == ""


MISTAKES = [
    ("priority: 2\n    leave: kept", "", "", "x.yaml:10:", "keep"),
    ("priority: 2\n    re_alarm: 1ms", "", "", "x.yaml:10:", "1000"),
    ("priority: 2\n    max_shelve: 0", "", "", "x.yaml:10:", "must be more than 0"),
    ("safety: false", "", "", "x.yaml:2:", "needs `priority`"),
    ("consequence: major", "", "", "x.yaml:2:", "time_to_respond"),
    ("priority: 2\n    consequence: sever", "", "", "x.yaml:10:", "did you mean 'severe'?"),
    ("priority: 2\n    suppressed_in: [{chart: N, in: [idle]}]", "", "", "x.yaml:10:", "chart 'N'"),
    ("priority: 2\n    suppressed_in: [{chart: M, in: [idel]}]", "", "", "x.yaml:10:", "'idle'"),
    ("priority: 2\n    suppressed_when: 'tag(\"P9\").value > 1'", "", "", "x.yaml:10:", "P9"),
    ("priority: 2\n    suppressed_by: [B]", "", "", "x.yaml:10:", "edge 'e2'"),
    ("priority: 2\n    suppressed_by: [C]", "", "", "x.yaml:10:", "suppress each other"),
    ("priority: 2", "", "suppression_groups: [{id: G, when: [A], suppresses: [Q]}]\n",
     "x.yaml:", "unknown alarm 'Q'"),
    ("priority: 2", "", "first_out_groups: [{id: G, alarms: [A, B]}]\n", "x.yaml:", "different ed"),
    ("priority: 2", "",
     "first_out_groups: [{id: G, alarms: [A, C]}, {id: H, alarms: [A, C]}]\n",
     "x.yaml:", "in first-out group 'G' already"),
    ("priority: 2", "priority_matrix: {times: [1m], rows: {severe: [1]}}\n", "", "site.yaml:6:",
     "needs 2 priorities"),
    ("priority: 2", "priority_matrix: {times: [1m], rows: {severe: [3, 1]}}\n", "",
     "site.yaml:6:", "must not raise the priority"),
    ("priority: 2", "alarm_policy: {leave: never}\n", "", "site.yaml:6:", "rearm"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "site", "rest", "where", "word"), MISTAKES)
def test_a_mistake_says_where_and_how_to_mend(
    tmp_path: Path, more: str, site: str, rest: str, where: str, word: str
) -> None:
    others = alarm("B", tag="P2", edge="e2") + alarm("C", "priority: 2\n    suppressed_by: [A]")
    with pytest.raises(SiteFaults) as caught:
        load(tmp_path, alarm("A", more) + others, site, rest)
    said = str(caught.value)
    assert where in said
    assert word in said
