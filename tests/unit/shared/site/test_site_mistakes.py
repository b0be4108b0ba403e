"""Planted mistakes in a site folder: each is found at its file, line and column, with a mend.

The place expected is marked with « in the planted text, so that it is not taken from the loader.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import ConfigError
from shared.paths import demo_sites
from shared.site.loader import SiteFaults, load_site
from shared.site.model import parse_duration

BASE = {
    "site.yaml": """\
site: f9
name: {zh: 试验厂, en: Test site}
edges:
  - id: e1
    name: {zh: 边缘, en: Edge}
""",
    "tags/plant.yaml": """\
sources:
  - id: plc
    edge: e1
    driver: modbus
    url: tcp://127.0.0.1:5020
    interval: 500ms
tags:
  - id: P1
    source: plc
    address: "input:0"
    asset: CMP-01
    name: {zh: 压力, en: Pressure}
    unit: kPa
""",
    "alarms/plant.yaml": """\
alarms:
  - id: P1.HI
    edge: e1
    asset: CMP-01
    tag: P1
    name: {zh: 压力高, en: Pressure high}
    side: HI
    limit: 800
    on_delay: 2s
    priority: 2
    bounds: {limit_min: 700, limit_max: 900}
""",
    "reflexes/plant.yaml": """\
reflexes:
  - id: unload
    alarm: P1.HI
    device: valve
    operation: open
""",
    "bindings.yaml": """\
devices:
  valve:
    type: valve
    edge: e1
    source: plc
    tags: {pressure: P1}
    operations:
      open: {write: "holding:1", value: 100}
endpoints:
  mes: {url: "http://127.0.0.1:1/hook", secret: mes}
""",
}
TAGS, ALARMS, REFLEXES, BINDINGS = (
    "tags/plant.yaml", "alarms/plant.yaml", "reflexes/plant.yaml", "bindings.yaml",
)  # fmt: skip
MISTAKES = [
    # file, what is replaced, by what, said, mend
    ("site.yaml", "site: f9", "«site: F9", "must be 1-32 of a-z", "correct"),
    ("site.yaml", "- id: e1", "- «id: edge_1", "must be 1-32 of a-z", "correct"),
    ("site.yaml", "edges:", "«edgs:", "unknown key 'edgs'", "did you mean 'edges'?"),
    ("site.yaml", "name: {zh: 试验厂, en: Test site}", "«name: 试验厂", "name", "correct"),
    (TAGS, "interval: 500ms", "«interval: 20ms", "30ms or longer", "correct"),
    (TAGS, "    unit: kPa\n", "    «group: fast\n", "has no group 'fast'", "define it"),
    (TAGS, "    unit: kPa\n", "    «min: 9\n    max: 1\n", "is not below max", "swap"),
    (TAGS, "    unit: kPa\n", "    access: [«raed]\n", "access", "write one of 'read'"),
    (TAGS, "    unit: kPa\n", "    deadband: 1\n    «deadbnad: 1\n", "unknown key", "'deadband'"),
    (TAGS, "interval: 500ms", "«interval: 500", "with its unit", "correct"),
    (TAGS, "interval: 500ms", "«interval: soon", "'soon' is not a duration", "correct"),
    (TAGS, "- id: plc\n    edge: e1", "- id: plc\n    «edge: e7", "unknown edge 'e7'", "'e1'"),
    (TAGS, "- id: P1\n    source: plc", "- id: P1\n    «source: pcl", "source 'pcl'", "'plc'"),
    (TAGS, "asset: CMP-01", "«asset: cmp-01", "pattern", "correct"),
    (TAGS, "    unit: kPa\n", "    «untis: kPa\n", "unknown key", "did you mean 'unit'?"),
    (TAGS, '    address: "input:0"\n', "", "is missing", "add the key 'address'"),
    (TAGS, "    unit: kPa\n", "    unit: kPa\n    «unit: bar\n", "duplicate key", "mend"),
    (TAGS, "    unit: kPa\n", "    unit: &u kPa\n    type: «*u\n", "aliases", "write the value"),
    (ALARMS, "priority: 2", "«priority: 7", "at most 4", "correct"),
    (ALARMS, "side: HI", "«side: HIGH", "side", "write one of 'HIHI'"),
    (ALARMS, "- id: P1.HI", "- «id: P1.HI\n    «limits: 3", "unknown key", "did you mean 'limit'?"),
    (ALARMS, "- id: P1.HI\n    edge: e1\n    asset: CMP-01\n    tag: P1",
     "- id: P1.HI\n    edge: e1\n    asset: CMP-01\n    «tag: P2", "unknown tag 'P2'", "'P1'"),
    (ALARMS, "- id: P1.HI\n    edge: e1", "- id: P1.HI\n    «edge: e2", "edge 'e2'", "'e1'"),
    (ALARMS, "- id: P1.HI", "- id: P1.HI\n    suppressed_by: [«P1.HIHI]", "'P1.HIHI'", "'P1.HI'"),
    (ALARMS, "- id: P1.HI\n    edge: e1\n    asset: CMP-01\n    tag: P1\n"
     "    name: {zh: 压力高, en: Pressure high}\n    side: HI\n    limit: 800",
     "- id: P1.HI\n    edge: e1\n    asset: CMP-01\n    tag: P1\n"
     "    name: {zh: 压力高, en: Pressure high}\n    side: HI\n    «limit: 950",
     "outside its own bounds", "widen"),
    (TAGS, "    unit: kPa\n", "    unit: kPa\n    «deadband: no\n", "P1: deadband: 须为数字",
     "correct"),
    (TAGS, "    unit: kPa\n", "    unit: kPa\n    «report: 7\n", "P1: report", "'raw'"),
    (ALARMS, "    side: HI\n    limit: 800\n", "", "needs `side`", "correct"),
    (ALARMS, "on_delay: 2s", "«on_delay: -2s", "not a duration", "correct"),
    (REFLEXES, "- id: unload\n    alarm: P1.HI", "- id: unload\n    «alarm: P1.LO",
     "unknown alarm 'P1.LO'", "'P1.HI'"),
    (REFLEXES, "- id: unload\n    alarm: P1.HI\n    device: valve",
     "- id: unload\n    alarm: P1.HI\n    «device: valv", "unknown device 'valv'", "'valve'"),
    (REFLEXES, "- id: unload\n    alarm: P1.HI\n    device: valve\n    operation: open",
     "- id: unload\n    alarm: P1.HI\n    device: valve\n    «operation: opn",
     "unknown operation 'opn'", "'open'"),
    (BINDINGS, "  valve:\n    type: valve\n    edge: e1\n    source: plc",
     "  valve:\n    type: valve\n    edge: e1\n    «source: plcs", "source 'plcs'", "'plc'"),
    (BINDINGS, "{pressure: P1}", "{«pressure: P9}", "unknown tag 'P9'", "'P1'"),
    (BINDINGS, 'open: {write: "holding:1"', 'open: {«wriet: "holding:1"', "unknown key", "'write'"),
    (BINDINGS, '{url: "http://127.0.0.1:1/hook", ', "{", "is missing", "add the key 'url'"),
    (BINDINGS, "tags: {pressure: P1}", "tags: {pressure: P1", None, "mend the YAML"),
]  # fmt: skip


def write(folder: Path, changed: dict[str, str]) -> None:
    for name, text in {**BASE, **changed}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def places(text: str) -> list[tuple[int, int]]:
    """Line and column of every mark, counted as if no mark stood there."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        before = 0
        while (at := line.find("«", before)) >= 0:
            found.append((number, at + 1 - line[:at].count("«")))
            before = at + 1
    return found


def faults_of(folder: Path) -> list[ConfigError]:
    with pytest.raises(SiteFaults) as caught:
        load_site(folder)
    return caught.value.faults


def test_the_base_and_the_demo_sites_hold(tmp_path: Path) -> None:
    write(tmp_path, {})
    assert set(load_site(tmp_path).alarms) == {"P1.HI"}
    assert load_site(demo_sites() / "f1").info.site == "f1"
    assert load_site(demo_sites() / "f2").info.site == "f2"


@pytest.mark.parametrize(
    ("name", "old", "new", "said", "mend"), MISTAKES, ids=[str(i) for i in range(len(MISTAKES))]
)
def test_a_planted_mistake_is_found_where_it_stands(
    tmp_path: Path, name: str, old: str, new: str, said: str | None, mend: str
) -> None:
    assert BASE[name].count(old) >= 1, old
    planted = BASE[name].replace(old, new, 1)
    write(tmp_path, {name: planted.replace("«", "")})
    faults = faults_of(tmp_path)
    fault = next((f for f in faults if said is None or said in f.message), None)
    assert fault is not None, [str(f) for f in faults]
    assert mend in fault.mend, fault.mend
    file, line, column = fault.where.rsplit(":", 2)
    assert file.endswith(name)
    if marks := places(planted):
        assert (int(line), int(column)) in marks, fault.where
    else:
        assert int(line) >= 1
        assert int(column) >= 1


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            ALARMS: BASE[ALARMS].replace("priority: 2", "priority: 9").replace("HI\n", "HX\n"),
            TAGS: BASE[TAGS].replace("500ms", "x"),
        },
    )
    files = {fault.where.split(":")[0] for fault in faults_of(tmp_path)}
    assert files == {TAGS, ALARMS}


def test_an_id_used_twice_names_both_places(tmp_path: Path) -> None:
    second = "".join(BASE[TAGS].partition("tags:\n")[2])
    write(tmp_path, {TAGS: BASE[TAGS] + second})
    (fault,) = faults_of(tmp_path)
    assert "used twice" in fault.message
    assert f"{TAGS}:8:5" in fault.message
    assert fault.where == f"{TAGS}:14:5"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"site: [", b"- 1\n", b"", b"just text"])
def test_no_content_of_a_file_is_a_traceback(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, {})
    (tmp_path / "site.yaml").write_bytes(content)
    assert faults_of(tmp_path)


def test_a_file_that_is_too_large_or_missing_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path, {ALARMS: BASE[ALARMS] + "#" * 300_000})
    assert "256 KiB" in str(faults_of(tmp_path)[0])
    (tmp_path / "site.yaml").unlink()
    assert any("no such file" in fault.message for fault in faults_of(tmp_path))
    with pytest.raises(ConfigError, match="no such site folder"):
        load_site(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "ms"),
    [("250ms", 250), ("10s", 10_000), ("1h30m", 5_400_000), ("1.5s", 1500), ("2d", 172_800_000),
     (0, 0)],
)  # fmt: skip
def test_durations(text: object, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize("text", ["", "10", "s", "10 s", "-1s", "1s1", 5, True, None, "1x", "1s "])
def test_what_is_not_a_duration(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_an_operation_cannot_write_a_tag_that_has_no_write(tmp_path: Path) -> None:
    """The place is that of the operation's address."""
    tags = BASE[TAGS].replace('"input:0"', '"holding:1"')
    write(tmp_path, {TAGS: tags})
    assert load_site(tmp_path).tags["P1"].access == ["read", "write"]
    write(tmp_path, {TAGS: tags.replace("    unit: kPa\n", "    access: [read]\n")})
    (fault,) = faults_of(tmp_path)
    assert "valve.open writes 'holding:1', which is the tag P1" in fault.message
    assert fault.where == "bindings.yaml:8:14"
    assert fault.mend.startswith("add write to the access of P1")


@pytest.mark.parametrize(("side", "limit"), [("HI", 650), ("LO", -1)])
def test_a_limit_that_its_tag_never_reaches_is_a_fault(
    tmp_path: Path, side: str, limit: int
) -> None:
    tags = BASE[TAGS].replace("    unit: kPa\n", "    min: 0\n    max: 600\n")
    alarm = BASE[ALARMS].replace("side: HI", f"side: {side}").replace("800", str(limit))
    write(tmp_path, {TAGS: tags, ALARMS: alarm.replace("limit_min: 700", "limit_min: -9")})
    (fault,) = faults_of(tmp_path)
    assert f"limit {limit} lies outside 0 to 600, the range of P1" in fault.message
    assert fault.where.endswith("alarms/plant.yaml:8:5")


def test_a_faulty_file_hides_no_fault_of_another_and_makes_none(tmp_path: Path) -> None:
    tags = BASE[TAGS] + BASE[TAGS].split("tags:\n")[1].replace("P1", "P2").replace(":0", ":2")
    alarm = BASE[ALARMS].split("alarms:\n")[1]
    second = alarm.replace("P1.HI", "P2.HI").replace("tag: P1", "tag: P2").replace("800", "x")
    changed = {
        TAGS: tags.replace("    unit: kPa\n", "    unit: [kPa]\n", 1),  # P1 is lost
        ALARMS: BASE[ALARMS] + second,
        "alarms/more.yaml": "alarms: [\n  {id: M.HI\n",  # M.HI as well
        REFLEXES: BASE[REFLEXES]
        + "  - {id: a, alarm: M.HI, device: valve, operation: open}\n"
        + "  - {id: b, alarm: M.HI, device: valve, operation: shut}\n",
        BINDINGS: BASE[BINDINGS].replace("source: plc", "source: plx"),
    }
    write(tmp_path, changed)
    with pytest.raises(SiteFaults) as caught:
        load_site(tmp_path, thorough=True)
    said = [fault.message.partition(" /")[0] for fault in caught.value.faults]
    assert len(said) == 5, said
    assert said[0].startswith("P1: unit")
    assert said[2].startswith("P2.HI: limit")
    assert {"valve: 未定义", "b: 未定义"} == set(said[3:])
    with pytest.raises(SiteFaults) as caught:  # an edge holds back files by the faults of each
        load_site(tmp_path)
    assert len(caught.value.faults) == 3


def test_no_word_of_the_schema_library_is_left(tmp_path: Path) -> None:
    wrong = {
        "name": "x", "side": 1, "limit": "[1]", "priority": "2.5", "safety": "maybe",
        "on_delay": "[1s]", "tag": "12", "bounds": "{locked: 2, limit_min: a}", "consequence": "7",
        "response": "[]", "suppressed_by": "P1", "snippet": "1s", "kind": "limt", "id": "p p",
    }  # fmt: skip
    for key, value in wrong.items():
        lines = BASE[ALARMS].splitlines()
        lines = [li for li in lines if not li.startswith(f"    {key}:")] + [f"    {key}: {value}"]
        write(tmp_path, {ALARMS: "\n".join(lines) + "\n"})
        for fault in faults_of(tmp_path):
            for leaked in ("Input", "Value error", "should", "valid ", "Field", "type="):
                assert leaked not in fault.message, (key, fault.message)
