"""Planted mistakes in state charts and expressions: each is found where it stands, with a mend."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shared.paths import demo_sites
from shared.site.loader import SiteFaults, load_site

CHART = """charts:
  - id: FUR-01.MODE
    edge: e1
    asset: FUR-01
    name: {zh: 炉况, en: mode}
    initial: idle
    states:
      - {id: idle, name: {zh: 停, en: idle}}
      - {id: firing, name: {zh: 开, en: firing}}
    transitions:
      - {from: idle, to: firing, when: 'tag("BURNER-01.OUT").value > 5', after: 5s}
      - {from: firing, to: idle, when: 'tag("BURNER-01.OUT").value < 1'}
"""
DEVICES = "bindings.yaml"
REFLEXES = "reflexes/furnace.yaml"
STATES, ALARMS = "states/m.yaml", "alarms/furnace.yaml"
OUT, SP = 'tag("BURNER-01.OUT").value', 'tag("BURNER-01.SP").value <='
MISTAKES = [
    (STATES, "edge: e1", "edge: e7", "states/m.yaml:3", "e1"),
    (STATES, "initial: idle", "initial: off", "states/m.yaml:2", ""),
    (STATES, "to: firing, when", "to: fring, when", "states/m.yaml:2", ""),
    (STATES, "after: 5s", "after: 5", "states/m.yaml:11", ""),
    (STATES, f"{OUT} > 5", 'tag("BURNER-1.OUT").value > 5', "states/m.yaml:11", ""),
    (STATES, "value < 1'", "value < '", "states/m.yaml:12", ""),
    (STATES, "{id: firing, name", "{id: idle, name", "states/m.yaml:2", ""),
    (STATES, "asset: FUR-01", "aset: FUR-01", "states/m.yaml:4", "asset"),
    (DEVICES, "tag('ESD-01').good &&", "tag('ESD-1').good &&", f"{DEVICES}:", ""),
    (REFLEXES, f"{SP} 40.5", f"{SP} ", f"{REFLEXES}:", ""),
    (ALARMS, 'avg("TT-101", "10s")', 'avrg("TT-101", "10s")', "alarms/furnace.yaml:", "avg"),
]  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(demo_sites() / "f1", tmp_path / "f1"))
    (folder / "states").mkdir(exist_ok=True)
    (folder / "states" / "m.yaml").write_text(CHART, encoding="utf-8")
    return folder


def test_the_chart_itself_is_right(site: Path) -> None:
    assert load_site(site).charts["FUR-01.MODE"].transitions[0].after == 5000


@pytest.mark.parametrize(("name", "right", "wrong", "where", "hint"), MISTAKES)
def test_a_planted_mistake_is_found(
    site: Path, name: str, right: str, wrong: str, where: str, hint: str
) -> None:
    path = site / name
    text = path.read_text(encoding="utf-8")
    assert right in text
    path.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    with pytest.raises(SiteFaults) as caught:
        load_site(site)
    places = [fault.where for fault in caught.value.faults]
    assert any(place.startswith(where) for place in places), (places, str(caught.value))
    told = str(caught.value)
    assert hint in told
    assert all(fault.mend for fault in caught.value.faults), told
