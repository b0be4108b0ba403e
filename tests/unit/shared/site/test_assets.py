"""The asset tree: what lies in what, and every mistake of `assets.yaml` where it stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shared.paths import demo_sites
from shared.site.assets import MAX_DEPTH, AssetSpec, AssetTree
from shared.site.loader import Site, SiteFaults, load_site
from shared.site.model import Names
from shared.site.version import site_stamp, site_version

SITE = """\
site: f9
name: {zh: 试验厂, en: Test site}
edges:
  - {id: e1, name: {zh: 一, en: One}}
"""
LISTED = """\
assets:
  - {id: F9, kind: site, name: {zh: 厂, en: Site}}
  - {id: HOT, parent: F9, kind: area, name: {zh: 热区, en: Hot area}}
  - {id: FUR-01, parent: HOT, kind: unit, name: {zh: 炉, en: Furnace}}
  - {id: FUR-01-BURNERS, parent: FUR-01, kind: equipment, name: {zh: 烧嘴, en: Burners}}
  - {id: COLD, kind: area, name: {zh: 冷区, en: Cold area}}
"""


def load(folder: Path, assets: str | None) -> Site:
    (folder / "site.yaml").write_text(SITE, encoding="utf-8")
    if assets is not None:
        (folder / "assets.yaml").write_text(assets, encoding="utf-8")
    return load_site(folder)


def test_everything_has_a_path_from_the_root(tmp_path: Path) -> None:
    tree = load(tmp_path, LISTED).assets
    assert tree.root == "F9"
    assert tree.path("F9") == ("F9",)
    assert tree.path("FUR-01") == ("F9", "HOT", "FUR-01")
    assert tree.path("COLD") == ("F9", "COLD")  # no parent written: below the root
    assert tree.path("") == ("F9",)


@pytest.mark.parametrize(
    ("asset", "parent"),
    [
        ("FUR-01-BURNERS-3", "FUR-01-BURNERS"),  # the longest beginning, not the first
        ("FUR-01-B", "FUR-01"),
        ("FUR-01.TT", "FUR-01"),
        ("FUR-011", "F9"),  # begins alike but is another furnace
        ("PUMP-1", "F9"),
    ],
)
def test_what_is_not_listed_hangs_below_its_longest_beginning(
    tmp_path: Path, asset: str, parent: str
) -> None:
    assert load(tmp_path, LISTED).assets.parent(asset) == parent


def test_an_area_holds_what_lies_in_it_and_the_empty_area_everything(tmp_path: Path) -> None:
    tree = load(tmp_path, LISTED).assets
    assert tree.within("FUR-01-B", "HOT")
    assert tree.within("HOT", "HOT")
    assert tree.within("FUR-01", "F9")
    assert tree.within("PUMP-1", "")
    assert not tree.within("HOT", "FUR-01")
    assert not tree.within("FUR-01", "COLD")
    assert not tree.within("FUR-011", "FUR-01")


def test_what_several_assets_have_in_common(tmp_path: Path) -> None:
    tree = load(tmp_path, LISTED).assets
    assert tree.common(["FUR-01-B", "FUR-01-C"]) == "FUR-01"
    assert tree.common(["FUR-01", "FUR-01-B"]) == "FUR-01"
    assert tree.common(["FUR-01", "COLD"]) == "F9"
    assert tree.common([]) == "F9"
    assert tree.distance("FUR-01-B", "FUR-01-C") == 2
    assert tree.distance("FUR-01", "FUR-01") == 0


def test_a_site_without_the_file_has_a_tree_of_one_level(tmp_path: Path) -> None:
    tree = load(tmp_path, None).assets
    assert tree.root == "f9"
    assert tree.path("FUR-01") == ("f9", "FUR-01")


def test_the_tree_follows_a_change_of_the_site_and_is_no_other_version(tmp_path: Path) -> None:
    site = load(tmp_path, LISTED)
    tree, version, stamp = site.assets, site_version(tmp_path), site_stamp(tmp_path)
    site.become(load(tmp_path, LISTED.replace("id: FUR-01, parent: HOT", "id: FUR-01")))
    assert tree.path("FUR-01") == ("F9", "FUR-01")
    assert site_version(tmp_path) == version  # no edge runs another version for it
    assert site_stamp(tmp_path) != stamp  # and the brain sees that there is something new


def test_whether_devices_are_simulators_follows_a_change_of_the_site(tmp_path: Path) -> None:
    real = load(tmp_path, None)
    site = replace(real, info=real.info.model_copy(update={"simulated": True}))
    assert (site.simulated, real.simulated) == (True, False)
    site.become(real)
    assert not site.simulated


def test_a_circle_ends(tmp_path: Path) -> None:
    names = Names(zh="一", en="x")
    round_ = {a: AssetSpec(id=a, parent=b, name=names, kind="unit") for a, b in ("AB", "BA")}
    assert len(AssetTree("f9", round_).path("A")) <= MAX_DEPTH


MISTAKES = [
    ("parent: HOT", "«parent: HOTT", "unknown asset 'HOTT'", "did you mean 'HOT'?"),
    ("id: HOT, parent: F9", "id: HOT, «parent: FUR-01", "lies in itself", "correct `parent`"),
    ("id: COLD, kind: area", "id: COLD, «kind: site", "second asset of kind", "make it an area"),
    ("id: F9, kind", "id: F9, «parent: HOT, kind", "lies in nothing", "leave `parent` out"),
    ("id: COLD, kind: area", "id: COLD, «kind: shed", "kind", "write one of 'site'"),
    ("id: COLD", "«id: HOT", "used twice", "an id of its own"),
    ("id: COLD", "«id: cold", "pattern", "correct"),
    ("id: COLD, kind", "id: COLD, «parrent: F9, kind", "unknown key", "did you mean 'parent'?"),
]


@pytest.mark.parametrize(("old", "planted", "message", "mend"), MISTAKES)
def test_a_planted_mistake_is_found_where_it_stands(
    tmp_path: Path, old: str, planted: str, message: str, mend: str
) -> None:
    text = LISTED.replace(old, planted, 1)
    line, column = next(
        (number, row.index("«") + 1)
        for number, row in enumerate(text.splitlines(), 1)
        if "«" in row
    )
    with pytest.raises(SiteFaults) as raised:
        load(tmp_path, text.replace("«", ""))
    faults = [f for f in raised.value.faults if f"assets.yaml:{line}:{column}" in str(f)]
    assert any(message in str(fault) and mend in str(fault) for fault in faults), raised.value


def test_the_demo_sites_say_where_their_alarms_are() -> None:
    for folder in sorted(path for path in demo_sites().iterdir() if path.is_dir()):
        site = load_site(folder)
        for alarm in site.alarms.values():
            assert alarm.asset in site.asset_specs, alarm.id
            assert len(site.assets.path(alarm.asset)) == 3
