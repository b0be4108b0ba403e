"""Faults of notify.yaml: where they are, and how to mend them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shared.paths import demo_sites
from shared.site.loader import SiteFaults, load_site

GOOD = (demo_sites() / "f1" / "notify.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("notify: [thermal-engineer]", "notify: [thermal-enginer]", "'thermal-engineer'"),
        ("ladder: ordinary}", "ladder: ordnary}", "did you mean 'ordinary'?"),
        ("people: [shift-lead-a,", "people: [shift-lead-x,", "did you mean 'shift-lead-"),
        ("area: REHEAT", "area: REHEATS", "did you mean 'REHEAT'?"),
        ("channels: [{kind: log}]", "channels: [{kind: email, target: a@b}]", "needs `url`"),
        ("channels: [{kind: log}]", "channels: [{kind: webhook}]", "needs `endpoint`"),
        ("channels: [{kind: log}]", "channels: [{kind: webhook, endpoint: cms}]", "'cmms'"),
        ("    language: en\n", "    timezone: Asia/Shangai\n", "is no time zone"),
        ("    language: en\n", "    langage: en\n", "did you mean 'language'?"),
        ("after: 2m", "after: 20m", "no step comes before the one above it"),
        ("id: critical, priorities: [1],", "id: critical, when: 'event.prio == 1',", "prio"),
        (
            "summaries:",
            "console_url: 'http://0.0.0.0:8080'\nsummaries:",
            "no telephone can open it",
        ),
        ("summaries:", "console_url: andon.example\nsummaries:", "is no address of a console"),
        ("- id: shift-leads\n", "- id: shift-lead-a\n", "a person has this id too"),
    ],
)
def test_a_fault_says_where_and_what_to_do(
    tmp_path: Path, before: str, after: str, told: str
) -> None:
    assert before in GOOD
    site = tmp_path / "f1"
    shutil.copytree(demo_sites() / "f1", site)
    (site / "notify.yaml").write_text(GOOD.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(SiteFaults) as raised:
        load_site(site)
    text = str(raised.value)
    assert told in text, text
    assert "notify.yaml:" in text


def test_the_examination_says_that_telephones_may_not_open_the_links(tmp_path: Path) -> None:
    site = tmp_path / "f1"
    shutil.copytree(demo_sites() / "f1", site)
    out = GOOD.replace("channels: [{kind: log}]", "channels: [{kind: email, url: mail}]", 1)
    (site / "notify.yaml").write_text(out, encoding="utf-8")
    assert load_site(site).notify.reaches_out  # a brain starts with it
    with pytest.raises(SiteFaults, match="no `console_url`") as raised:
        load_site(site, thorough=True)
    assert "notify.yaml:" in str(raised.value)
    given = out + "console_url: https://andon.example\n"
    (site / "notify.yaml").write_text(given, encoding="utf-8")
    load_site(site, thorough=True)
