"""What `andon site check` says of a recording that does not fit its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_node.adapters.sources.site_check import check
from shared.errors import ConfigError
from shared.site.loader import SiteFaults, load_site

SITE = """\
site: f9
name: {zh: 试验厂, en: Test site}
edges:
  - {id: e1, name: {zh: 边缘, en: Edge}}
"""
TAGS = """\
sources:
  - id: past
    edge: e1
    driver: replay
    url: file:day.csv
    options: {period: 1s, time: time}
tags:
  - {id: A, source: past, address: a, asset: X-1, name: {zh: 甲, en: A}}
  - {id: B, source: past, address: b, asset: X-1, name: {zh: 乙, en: B}}
"""
ROWS = "time,a,b\n2026-01-01T00:00:00Z,1,\n2026-01-01T00:00:01Z,,2\n"


def faults(
    folder: Path, tags: str = TAGS, rows: bytes = ROWS.encode(), *, thorough: bool = True
) -> list[ConfigError]:
    (folder / "tags").mkdir(exist_ok=True)
    (folder / "site.yaml").write_text(SITE, encoding="utf-8")
    (folder / "tags" / "t.yaml").write_text(tags, encoding="utf-8")
    (folder / "day.csv").write_bytes(rows)
    try:
        load_site(folder, checks=(check,), thorough=thorough)
    except SiteFaults as error:
        return error.faults
    return []


def test_one_that_fits_is_no_fault(tmp_path: Path) -> None:
    assert faults(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "rows", "said"),
    [
        ("day.csv", "dya.csv", ROWS, "there is no file"),
        ("address: b", "address: bb", ROWS, "tag B: nothing in the recording is called 'bb'"),
        ("time: time", "time: at", ROWS, "there is no column 'at', only time, a, b"),
        ("", "", "time,a,b\nsoon,1,2\n", "'soon' is no time"),
        ("", "", "time,a,b\n", "no row in the recording"),
        ("", "", "time,a,b\n2026-01-01T00:00:00Z,\udcff,2\n", "cannot be read"),
    ],
)
def test_one_that_does_not_fit_is_said(
    tmp_path: Path, old: str, new: str, rows: str, said: str
) -> None:
    tags, raw = TAGS.replace(old, new, 1) if old else TAGS, rows.encode(errors="surrogateescape")
    (fault,) = faults(tmp_path, tags, raw)
    assert said in fault.message
    assert (fault.where.partition(":")[0], bool(fault.mend)) == ("tags/t.yaml", True)
    # An edge checks its own copy of the site's files, and recordings are not copied.
    assert faults(tmp_path, tags, raw, thorough=False) == []
