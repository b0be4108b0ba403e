"""A rehearsal answers an alarm behind a run that is ending as the brain does: behind it."""

from __future__ import annotations

from pathlib import Path

from shared.cli.playbook_rehearse import run_file

BOOK = """\
schema: playbook/v1
playbook: slow-end
version: 1
name: {zh: 慢, en: slow}
triggers: [{id: hot, alarm: zone.overtemp}]
concurrency: {key: alarm.asset, mode: single}
deadline: 45m
steps:
  - {id: said, log: hello}
finally:
  - {id: cool, wait: 5m}
"""
TEST = """\
schema: playbook-test/v1
playbook: slow-end
defaults:
  given:
    alarm: {asset: FUR-02, value: 1295.0}
tests:
  - name: two
    when:
      - raise: zone.overtemp
      - {at: 1m, raise: zone.overtemp}
    then: {attached: 0}
"""


def test_an_alarm_behind_a_run_that_is_ending_gets_its_own(tmp_path: Path) -> None:
    (tmp_path / "slow-end.yaml").write_text(BOOK)
    (tmp_path / "slow-end.test.yaml").write_text(TEST)
    (played,) = run_file(tmp_path / "slow-end.test.yaml").played
    assert not played.misses
    assert len(played.told.runs) == 2
