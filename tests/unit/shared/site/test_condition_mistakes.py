"""Planted mistakes in alarm conditions: each is found at its file, line and column, with a mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.site.loader import load_site
from tests.unit.shared.site.test_site_mistakes import BASE, faults_of, places, write

ALARMS = "alarms/plant.yaml"
TAGS = (
    BASE["tags/plant.yaml"]
    + """\
  - id: SP1
    source: plc
    address: "input:1"
    asset: CMP-01
    name: {zh: 设定, en: Set-point}
  - id: MODE
    source: plc
    address: "input:2"
    asset: CMP-01
    name: {zh: 模式, en: Mode}
    type: string
  - id: RUN
    source: plc
    address: "discrete:0"
    asset: CMP-01
    name: {zh: 运行, en: Running}
    type: boolean
"""
)
HEAD = """\
alarms:
  - «id: P1.TRIAL
    edge: e1
    asset: CMP-01
    tag: P1
    name: {zh: 试, en: Trial}
    priority: 3
"""
EXPRESSION = "    kind: expression\n"
MISTAKES = [
    # fields, said, mend
    ("    kind: deviation\n    limit: 5\n", "needs `setpoint`", "correct"),
    ("    kind: deviation\n    limit: 5\n    setpoint: SP9\n", "unknown tag 'SP9'", "'SP1'"),
    ("    kind: deviation\n    limit: 5\n    «setpoint: MODE\n", "MODE is a string", "number"),
    ("    kind: deviation\n    limit: 5\n    «setpoint: P1\n", "own tag", "the other one"),
    ("    kind: deviation\n    limit: -5\n    setpoint: SP1\n", "not negative", "correct"),
    ("    kind: rate\n    limit: 5\n    «span: 10\n", "written with its unit", "correct"),
    ("    kind: rate\n    limit: 5\n    «span: 0s\n", "longer than nothing", "correct"),
    ("    kind: rate\n    limit: 5\n    «direction: up\n", "direction", "'high'"),
    ("    kind: stale\n    half_life: 5m\n", "`half_life` belongs to", "correct"),
    ("    kind: discrepancy\n", "needs `command`", "correct"),
    ("    kind: discrepancy\n    «command: MODE\n", "never agree", "`pairs`"),
    ("    kind: discrete\n    «any_of: [A, B]\n", "never the value of P1, a number", "number"),
    ("    kind: discrete\n    equals: 1\n    none_of: [2]\n", "write one of", "correct"),
    ("    kind: zscore\n", "needs `limit`", "correct"),
    ("    kind: zscore\n    limit: 6\n    «min_sample: 9\n", "unknown key", "'min_samples'"),
    ("    kind: model\n    limit: 1\n    «model: {type: linear, inputs: [P1, SP1], weights: [1]}\n",
     "`weights` has 1 numbers for 2 inputs", "correct"),
    ("    kind: model\n    limit: 1\n    model: {type: linear, inputs: [«P9], weights: [1]}\n",
     "model input 'P9'", "tag of this edge"),
    ("    kind: model\n    limit: 1\n    «model: {type: quantile, inputs: [P1], values: [1, 2],\n"
     "      probabilities: [0.9, 0.1]}\n", "rise between 0 and 1", "correct"),
    ("    side: HI\n    limit: 1\n    repeat_within: 10s\n", "need `repeats`", "correct"),
    ("    side: HI\n    limit: 1\n    repeats: 3\n    repeat_counts: episodes\n",
     "needs `repeat_within`", "correct"),
    ("    side: HI\n    limit: 1\n    schedule: [{«from: 8:00, to: \"17:00\"}]\n",
     "time of day is written in quotes", "correct"),
    ("    side: HI\n    limit: 1\n    schedule:\n"
     "    - {days: [«monday], from: \"08:00\", to: \"09:00\"}\n",
     "'mon'", "write one of"),
    ("    kind: expression\n    «when: 'avg(\"P1\", \"30s\", \"tumblin\") > 1'\n",
     "did you mean tumbling", "correct the expression"),
    ("    kind: expression\n    «when: 'percentile(\"P1\", \"30s\") > 1'\n",
     "percentile needs a number", "correct the expression"),
    ("    kind: expression\n    «when: 'alarm(\"P1.TRAIL\").active'\n",
     "unknown alarm P1.TRAIL; did you mean P1.TRIAL", "correct the expression"),
    ("    kind: expression\n    «when: '!alarm(\"P1.TRIAL\").active'\n",
     "depends on itself", "speak of tags"),
    ("    kind: expression\n    when: tag(\"P1\").good\n    factors: [«men]\n",
     "factors", "'material'"),
]  # fmt: skip


def plant(folder: Path, fields: str) -> str:
    planted = HEAD + fields
    write(folder, {ALARMS: planted.replace("«", ""), "tags/plant.yaml": TAGS,
                   "reflexes/plant.yaml": "reflexes: []\n"})  # fmt: skip
    return planted


@pytest.mark.parametrize(
    ("fields", "said", "mend"), MISTAKES, ids=[str(i) for i in range(len(MISTAKES))]
)
def test_a_planted_mistake_is_found_where_it_stands(
    tmp_path: Path, fields: str, said: str, mend: str
) -> None:
    marks = places(plant(tmp_path, fields))
    faults = faults_of(tmp_path)
    fault = next((f for f in faults if said in str(f)), None)
    assert fault is not None, [str(f) for f in faults]
    assert mend in fault.mend, fault.mend
    file, line, column = fault.where.rsplit(":", 2)
    assert file.endswith(ALARMS)
    assert (int(line), int(column)) in marks, (fault.where, marks)


def test_an_unknown_time_zone_is_a_fault(tmp_path: Path) -> None:
    plant(tmp_path, "    side: HI\n    limit: 1\n")
    site = (tmp_path / "site.yaml").read_text() + "timezone: Asia/Shanghia\n"
    (tmp_path / "site.yaml").write_text(site)
    (fault,) = faults_of(tmp_path)
    assert "Shanghia" in fault.message
    assert fault.mend


def test_what_is_right_loads(tmp_path: Path) -> None:
    plant(
        tmp_path,
        "    side: HI\n    limit: 5\n    inclusive: true\n    repeats: 3\n"
        '    repeat_within: 1m\n    schedule: [{days: [mon], from: "22:00", to: "06:00"}]\n',
    )
    alarm = load_site(tmp_path).alarms["P1.TRIAL"]
    assert alarm.condition is not None
    assert alarm.condition.schedule is not None
    assert alarm.condition.schedule.timezone == "Asia/Shanghai"
    assert alarm.setting.limit < 5


def test_every_number_tag_gets_a_z_score_alarm_where_the_site_asks_for_it(tmp_path: Path) -> None:
    plant(tmp_path, "    kind: zscore\n    limit: 6\n")
    site = (tmp_path / "site.yaml").read_text()
    (tmp_path / "site.yaml").write_text(site + "spread: {limit: 7, half_life: 1h}\n")
    alarms = load_site(tmp_path).alarms
    assert set(alarms) == {"P1.TRIAL", "SPREAD.SP1"}  # P1 has its own, the others are no numbers
    made = alarms["SPREAD.SP1"]
    assert made.condition is not None
    assert (made.setting.limit, made.condition.half_life_ms) == (7, 3_600_000)
    assert (made.priority, made.policy.ack_required) == (4, False)
    (tmp_path / "site.yaml").write_text(site + "spread: {limits: 7}\n")
    (fault,) = faults_of(tmp_path)
    assert "'limit'" in fault.mend
