"""Faults of `sinks.yaml`: where they are, and how to mend them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shared.paths import demo_sites
from shared.site.loader import SiteFaults, load_site

GOOD = """sinks:
- id: mes
  kind: sql
  url: mysql+pymysql://andon@db/plant
  secret: mes
  events: "event.priority <= 2"
  samples: {tags: ["TT-*"], areas: [FUR-01]}
"""


def _site(folder: Path, text: str) -> Path:
    site = folder / "site"
    shutil.copytree(demo_sites() / "f1", site)
    (site / "sinks.yaml").write_text(text)
    return site


def test_a_sink_takes_what_its_patterns_and_areas_name(tmp_path: Path) -> None:
    site = load_site(_site(tmp_path, GOOD))
    sink = site.sinks["mes"]
    assert sink.takes("TT-101", site)
    other = next(t.id for t in site.tags.values() if not t.id.startswith("TT-") and not
                 site.assets.within(t.asset, "FUR-01"))  # fmt: skip
    assert not sink.takes(other, site)
    inside = next(t.id for t in site.tags.values() if not t.id.startswith("TT-") and
                  site.assets.within(t.asset, "FUR-01"))  # fmt: skip
    assert sink.takes(inside, site)


@pytest.mark.parametrize(
    ("was", "now", "place", "words"),
    [
        ("andon@db", "andon:geheim@db", "sinks.yaml:4", "secrets"),
        ("event.priority <= 2", "event.prio <= 2", "sinks.yaml:6", "correct the expression"),
        ("[FUR-01]", "[FUR-1]", "sinks.yaml:7:37", "did you mean 'FUR-01'"),
        ('"TT-*"', '"TX-*"', "sinks.yaml:7:20", "TX-*"),
        ("  secret: mes\n", "  secret: ../mes\n", "sinks.yaml:5", "secret"),
    ],
)
def test_faults_are_told_with_their_place(
    tmp_path: Path, was: str, now: str, place: str, words: str
) -> None:
    with pytest.raises(SiteFaults) as told:
        load_site(_site(tmp_path, GOOD.replace(was, now)))
    assert place in str(told.value)
    assert words in str(told.value)
    assert "geheim" not in str(told.value)
