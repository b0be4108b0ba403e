"""`incidents.yaml`: what it means for alarms, and every mistake where it stands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from factory_brain.application.incidents.rules import SiteRules, rules_of
from shared.paths import demo_sites
from shared.site.loader import Site, SiteFaults, load_site

HIHI, ZONE2, RUNAWAY = "FUR-01.TT-101.HIHI", "FUR-01.TT-102.HI", "FUR-01.RUNAWAY"
RULES = """\
parents:
  - id: heat
    parent: {alarms: [FUR-01.TT-102.HI]}
    children: {alarms: ["FUR-01.TT-101.H*"]}
causes:
  - {id: burner, name: {zh: 烧嘴, en: Burner}}
"""


def load(folder: Path, text: str | None) -> Site:
    site = folder / "f1"
    if not site.exists():
        shutil.copytree(demo_sites() / "f1", site)
    path = site / "incidents.yaml"
    path.unlink() if text is None else path.write_text(text, encoding="utf-8")
    return load_site(site)


def test_safety_and_priority_1_are_hidden_only_where_the_rule_says_so(tmp_path: Path) -> None:
    rules = rules_of(load(tmp_path, RULES))
    assert rules.hiding[0].below == {"FUR-01.TT-101.HI"}  # HIHI is safety and priority 1
    assert rules.related[0].then == {"FUR-01.TT-101.HI", HIHI}  # it is the same incident
    for also in ("[safety]", "[priority_1]"):  # one of the two is not enough
        some = rules_of(load(tmp_path, RULES.replace('H*"]}', f'H*"]}}\n    also: {also}')))
        assert HIHI not in some.hiding[0].below
    both = RULES.replace('H*"]}', 'H*"]}\n    also: [safety, priority_1]')
    assert HIHI in rules_of(load(tmp_path, both)).hiding[0].below


def test_what_is_written_must_all_hold(tmp_path: Path) -> None:
    def hidden(children: str) -> frozenset[str]:
        text = RULES.replace('{alarms: ["FUR-01.TT-101.H*"]}', children)
        return rules_of(load(tmp_path, text)).hiding[0].below

    assert RUNAWAY in hidden("{asset: REHEAT, priorities: [2]}")
    assert not any(name.startswith("CMP") for name in hidden("{asset: REHEAT, priorities: [2]}"))
    assert all(name.startswith("CMP") for name in hidden("{asset: UTILITIES}"))
    assert hidden("{kinds: [stale], asset: FUR-01}") == {"FUR-01.TT-101.STALE"}


def test_the_demo_furnace_puts_zone_2_behind_the_over_temperature() -> None:
    rules = rules_of(load_site(demo_sites() / "f1"))
    parent = next(rule for rule in rules.hiding if rule.kind == "parent")
    assert (parent.above, parent.below) == ({HIHI}, {ZONE2, RUNAWAY})
    assert rules.path("FUR-01") == ("F1", "REHEAT", "FUR-01")
    assert rules.path("FUR-01-X") == ("F1", "REHEAT", "FUR-01", "FUR-01-X")


def test_a_site_without_the_file_groups_by_asset_and_hides_nothing(tmp_path: Path) -> None:
    site = load(tmp_path, None)
    assert rules_of(site).hiding == ()
    assert {cause.id for cause in site.incidents.causes} >= {"equipment", "unknown"}


def test_the_rules_follow_the_site(tmp_path: Path) -> None:
    site = load(tmp_path, RULES)
    rules = SiteRules(site)
    assert len(rules.now(0).hiding) == 1
    site.become(load(tmp_path, "causes:\n  - {id: x, name: {zh: 甲, en: X}}\n"))
    assert rules.now(10_000).hiding == ()


MISTAKES = [
    ("alarms: [FUR-01.TT-102.HI]", "alarms: [FUR-01.TT-102.HIII]", "parent", "no alarm of this"),
    ("parent: {alarms: [FUR-01.TT-102.HI]}", "parent: {}", "parent", "names no alarm"),
    ("FUR-01.TT-101.H*", "FUR-01.TT-10*", "children", "hidden behind itself"),
    ("FUR-01.TT-101.H*", "FUR-01.TT-101.HIHI", "children", "hides nothing"),
    ("id: heat", "id: Heat", "id", "pattern"),
    ("parent:", "parrent:", "parrent", "unknown key"),
    ("id: burner, name", "id: burner, nam", "nam", "unknown key"),
]


@pytest.mark.parametrize(("old", "planted", "at", "message"), MISTAKES)
def test_a_planted_mistake_is_found_where_it_stands(
    tmp_path: Path, old: str, planted: str, at: str, message: str
) -> None:
    text = RULES.replace(old, planted, 1)
    with pytest.raises(SiteFaults) as raised:
        load(tmp_path, text)
    line = next(n for n, row in enumerate(text.splitlines(), 1) if f"{at}:" in row)
    column = text.splitlines()[line - 1].index(f"{at}:") + 1
    faults = [f for f in raised.value.faults if f"incidents.yaml:{line}:{column}" in str(f)]
    assert any(message in str(fault) for fault in faults), raised.value
