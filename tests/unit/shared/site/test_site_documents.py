"""Parsed files are kept by content; faults keep their places all the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shared.paths import demo_sites
from shared.site import documents as module
from shared.site.documents import Documents
from shared.site.loader import SiteFaults, load_site
from shared.site.version import site_stamp, site_version


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_sites() / "f1", tmp_path / "f1"))


def test_a_site_from_kept_documents_is_the_same(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Documents(tmp_path / "kept")
    first = load_site(site, kept)
    monkeypatch.setattr(module, "read_yaml", lambda path: pytest.fail(f"{path} parsed again"))
    assert load_site(site, kept) == first == load_site(site)


def test_a_fault_is_placed_although_the_document_was_kept(site: Path, tmp_path: Path) -> None:
    kept = Documents(tmp_path / "kept")
    load_site(site, kept)
    path = site / "alarms" / "furnace.yaml"
    path.write_text(path.read_text().replace("tag: TT-102", "tag: TT-1O2", 1))
    with pytest.raises(SiteFaults) as first:
        load_site(site, kept)
    with pytest.raises(SiteFaults) as again:
        load_site(site, kept)
    assert str(again.value) == str(first.value)
    assert "alarms/furnace.yaml:" in first.value.faults[0].where


def test_a_torn_document_is_read_again(site: Path, tmp_path: Path) -> None:
    kept = Documents(tmp_path / "kept")
    first = load_site(site, kept)
    for path in (tmp_path / "kept").iterdir():
        path.write_text(path.read_text()[:20])
    assert load_site(site, kept) == first


def test_the_version_follows_every_file_and_nothing_else(site: Path) -> None:
    before, stamp = site_version(site), site_stamp(site)
    (site / "notes.txt").write_text("not part of the site")
    assert (site_version(site), site_stamp(site)) == (before, stamp)
    for name in ("tags/furnace.yaml", "functions/f.py", "states/new.yaml"):
        path = site / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write("# changed\n")
        assert site_version(site) != before
        before = site_version(site)
