"""Filters of limit alarms in a site's files: what is wrong is said, what is right runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import ConfigError
from shared.site.loader import load_site

SITE = """site: f1
name: {zh: 一厂, en: One}
edges: [{id: e1, name: {zh: 边, en: Edge}}]
"""
ASSETS = "assets: [{id: X-1, kind: equipment, name: {zh: 机, en: X}}]\n"
TAGS = """sources:
  - {{id: s1, edge: e1, driver: opcua, url: "opc.tcp://127.0.0.1:1", interval: {interval}}}
tags:
  - {{id: T, source: s1, address: "ns=2;s=T", asset: X-1, name: {{zh: 温, en: T}},
     access: {access}}}
"""
ALARM = """  - id: {id}
    edge: e1
    asset: X-1
    tag: T
    name: {{zh: 高, en: High}}
    side: HI
    limit: 50
    priority: 2
"""


def _load(tmp_path: Path, *alarms: str, interval: str = "1s", access: str = "[read]") -> object:
    for folder in ("alarms", "tags"):
        (tmp_path / folder).mkdir()
    (tmp_path / "site.yaml").write_text(SITE, "utf-8")
    (tmp_path / "assets.yaml").write_text(ASSETS, "utf-8")
    (tmp_path / "tags" / "x.yaml").write_text(
        TAGS.format(interval=interval, access=access), "utf-8"
    )
    text = "alarms:\n" + "".join(
        ALARM.format(id=f"X.{n}") + "".join(f"    {line}\n" for line in more.split("|") if line)
        for n, more in enumerate(alarms)
    )
    (tmp_path / "alarms" / "x.yaml").write_text(text, "utf-8")
    return load_site(tmp_path, brain=False)


def test_a_filter_runs_as_written(tmp_path: Path) -> None:
    site = _load(tmp_path, "filter: mean5min|bounds: {filters: [raw, day], centre: 40}", "")
    alarm = site.alarms["X.0"]  # type: ignore[attr-defined]
    assert alarm.setting.filter == "mean5min"
    assert alarm.filters == ("mean5min", "day")
    assert alarm.fallback.filter == "raw"
    assert alarm.centre == 40.0
    assert site.alarms["X.1"].filters == ()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("alarms", "interval", "told"),
    [
        (("filter: median",), "1s", "mean5min"),
        (("filter: mean5min|safety: true",), "1s", "stays on raw"),
        (("bounds: {filters: [mean5min], locked: true}",), "1s", "stays on raw"),
        (("filter: mean5min|repeats: 3",), "1s", "without `repeats`"),
        (("filter: day", ""), "1s", "bounds.centre"),
        (("filter: mean5min",), "90s", "too seldom"),
        (("bounds: {filters: [day], centre: 40}",), "1s", "the new normal"),
        (
            ("bounds: {filters: [day], centre: 40}", "bounds: {filters: [day], centre: 40}"),
            "1s", "the new normal",
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_or_could_hide_an_alarm_is_refused(
    tmp_path: Path, alarms: tuple[str, ...], interval: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        _load(tmp_path, *alarms, interval=interval)


@pytest.mark.parametrize("access", ["subscribe", "subscribe, write"])
def test_a_tag_that_tells_its_changes_only_has_no_mean(tmp_path: Path, access: str) -> None:
    """Samples weigh the same: of a value that flaps a mean would be one of its flaps."""
    with pytest.raises(ConfigError, match="brings its changes only"):
        _load(tmp_path, "filter: mean5min", access=f"[{access}]")


def test_a_day_is_allowed_where_another_limit_stays_on_samples(tmp_path: Path) -> None:
    assert _load(tmp_path, "bounds: {filters: [day], centre: 40}", "")
