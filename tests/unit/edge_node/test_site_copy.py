"""A faulty file stops its own change and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_node.adapters.site_copy import compose, keep, last_good
from shared.errors import ConfigError
from shared.site.version import site_version


def check(folder: Path) -> list[ConfigError]:
    """A file that says `bad` is faulty; `use: X` needs a file of that name."""
    faults = []
    for path in sorted(folder.rglob("*.yaml")):
        name = path.relative_to(folder).as_posix()
        text = path.read_text()
        if "bad" in text:
            faults.append(ConfigError("bad", where=f"{name}:1:1"))
        if text.startswith("use: ") and not (folder / text[5:].strip()).is_file():
            faults.append(ConfigError(f"needs {text[5:]}", where=f"{name}:1:1"))
    return faults


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    for name, text in {
        "site.yaml": "one",
        "tags/a.yaml": "one",
        "alarms/a.yaml": "use: tags/a.yaml",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def state(tmp_path: Path, site: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    keep(site, folder)
    return folder


def test_a_good_change_runs_as_it_is(site: Path, state: Path) -> None:
    (site / "tags" / "a.yaml").write_text("two")
    found = compose(site, state, check)
    assert found.folder is not None
    assert found.runs == found.desired == site_version(site)
    assert (found.faults, found.held_back) == ((), ())


def test_a_faulty_file_is_held_back_and_the_other_changes_run(site: Path, state: Path) -> None:
    (site / "tags" / "a.yaml").write_text("bad")
    (site / "tags" / "b.yaml").write_text("new")
    (site / "tags" / "c.yaml").write_text("bad too")
    found = compose(site, state, check)
    assert found.folder is not None
    assert (found.folder / "tags" / "a.yaml").read_text() == "one"
    assert (found.folder / "tags" / "b.yaml").read_text() == "new"
    assert not (found.folder / "tags" / "c.yaml").exists()
    assert found.held_back == ("tags/a.yaml", "tags/c.yaml")
    assert [fault.where for fault in found.faults] == ["tags/a.yaml:1:1", "tags/c.yaml:1:1"]
    assert found.runs not in ("", found.desired)


def test_what_needs_a_file_held_back_is_held_back_too(site: Path, state: Path) -> None:
    (site / "tags" / "b.yaml").write_text("bad")
    (site / "alarms" / "b.yaml").write_text("use: tags/b.yaml")
    found = compose(site, state, check)
    assert found.folder is not None
    assert found.held_back == ("alarms/b.yaml", "tags/b.yaml")
    assert found.runs == site_version(last_good(state) or site)


def test_a_fault_in_what_has_not_changed_refuses_the_whole(site: Path, state: Path) -> None:
    (site / "tags" / "a.yaml").unlink()
    found = compose(site, state, check)
    assert (found.folder, found.runs) == (None, "")
    assert [fault.where for fault in found.faults] == ["alarms/a.yaml:1:1"]


def test_without_a_last_good_site_a_fault_refuses(site: Path, tmp_path: Path) -> None:
    (site / "tags" / "a.yaml").write_text("bad")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert compose(site, empty, check).folder is None


def test_the_kept_copy_is_replaced_and_survives_a_crash_between(site: Path, state: Path) -> None:
    before = site_version(last_good(state) or site)
    (site / "tags" / "a.yaml").write_text("two")
    keep(site, state)
    assert site_version(last_good(state) or site) == site_version(site) != before
    (state / "site-last-good").rename(state / "site-last-good.old")  # died between two renames
    assert last_good(state) == state / "site-last-good.old"
