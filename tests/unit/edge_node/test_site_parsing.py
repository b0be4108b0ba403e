"""A large site is parsed by processes of their own; the engine then only reads what they kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_node.adapters import site_parsing
from edge_node.adapters.site_parsing import parse_apart
from shared.paths import demo_sites
from shared.site import documents as documents_module
from shared.site.documents import Documents
from shared.site.loader import SiteFaults, load_site


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_sites() / "f1", tmp_path / "f1"))


def test_a_small_site_is_left_to_the_engine(site: Path, tmp_path: Path) -> None:
    assert parse_apart(site, tmp_path / "kept") == 0
    assert not (tmp_path / "kept").exists()
    assert parse_apart(tmp_path / "absent", tmp_path / "kept") == 0


def test_a_large_site_is_parsed_apart_once(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_parsing, "LARGE_BYTES", 1)
    wanted = load_site(site, brain=False)
    assert parse_apart(site, tmp_path / "kept") > 2
    assert parse_apart(site, tmp_path / "kept") == 0
    with monkeypatch.context() as patched:
        again = lambda path: pytest.fail(f"{path} parsed in the engine")  # noqa: E731
        patched.setattr(documents_module, "read_yaml", again)
        assert load_site(site, Documents(tmp_path / "kept"), brain=False) == wanted


def test_a_fault_in_what_only_a_brain_reads_stops_no_edge(site: Path) -> None:
    (site / "notify.yaml").write_text("people: 7\n")
    (site / "assets.yaml").write_text("assets: [\n")
    assert load_site(site, brain=False).alarms
    with pytest.raises(SiteFaults, match=r"notify\.yaml:1"):
        load_site(site)


def test_a_file_that_cannot_be_parsed_costs_only_itself(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_parsing, "LARGE_BYTES", 1)
    path = site / "alarms" / "furnace.yaml"
    path.write_text(path.read_text() + "\n  - [")
    parse_apart(site, tmp_path / "kept")
    kept = Documents(tmp_path / "kept")
    assert [each.name for each in sorted(site.rglob("*.yaml")) if _missing(kept, each)] == [
        "furnace.yaml"
    ]
    with pytest.raises(SiteFaults, match=r"alarms/furnace\.yaml:\d+"):
        load_site(site, kept)


def _missing(kept: Documents, path: Path) -> bool:
    return path.parent.name == "alarms" and not kept.holds(path)


def test_children_that_do_not_start_cost_nothing_but_time(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_parsing, "LARGE_BYTES", 1)
    monkeypatch.setattr(site_parsing.sys, "executable", str(tmp_path / "no-python"))
    assert parse_apart(site, tmp_path / "kept") > 2
    assert load_site(site, Documents(tmp_path / "kept")).alarms
