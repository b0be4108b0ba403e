"""Which statements of the Sparkplug 3.0 specification the tests of the host application cover.

What a host must do itself, and the sequence numbers that it checks of others.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]
SESSION = "unit/edge_node/test_sparkplug_session.py"
LIVE = "integration/test_sparkplug.py"
HOST = "operational-behavior-host"
APP = f"{HOST}-application"
FLOW = "message-flow-phid-sparkplug"
TERMINATION = "operational-behavior-edge-node-termination-host-action"
COMMANDS = "operational-behavior-data-commands"
COVERED: dict[tuple[str, str], tuple[str, ...]] = {
    (LIVE, "test_the_hosts_own_state_is_told_as_the_specification_wants"): (
        "conformance-primary-host", "intro-sparkplug-host-state", "components-ph-state",
        "host-topic-phid-birth-message", "host-topic-phid-birth-qos",
        "host-topic-phid-birth-retain", "host-topic-phid-birth-topic",
        "host-topic-phid-birth-sub-required", "host-topic-phid-birth-required",
        "host-topic-phid-birth-payload", "host-topic-phid-birth-payload-timestamp",
        "host-topic-phid-death-qos", "host-topic-phid-death-retain",
        "host-topic-phid-death-topic", "host-topic-phid-death-required",
        "host-topic-phid-death-payload", f"{FLOW}-clean-session-50", f"{FLOW}-subscription",
        f"{FLOW}-state-publish", f"{FLOW}-state-publish-payload",
        f"{FLOW}-state-publish-payload-timestamp",
        "message-flow-hid-sparkplug-state-message-delivered", f"{APP}-connect-will",
        f"{APP}-connect-will-topic", f"{APP}-connect-will-payload", f"{APP}-connect-birth",
        f"{APP}-connect-birth-topic", f"{APP}-connect-birth-payload",
        f"{APP}-connect-birth-retained", f"{APP}-connect-birth-qos", f"{APP}-connect-will-qos",
        f"{APP}-connect-will-retained", "payloads-state-will-message",
        "payloads-state-will-message-qos", "payloads-state-will-message-retain",
        "payloads-state-will-message-payload", "payloads-state-subscribe", "payloads-state-birth",
        "payloads-state-birth-payload",
    ),
    (LIVE, "test_a_host_that_leaves_says_so_before"): (
        f"{FLOW}-clean-session-311", f"{APP}-termination", f"{APP}-death-topic",
        f"{APP}-death-payload", f"{APP}-death-qos", f"{APP}-death-retained",
        f"{APP}-disconnect-intentional",
    ),
    (LIVE, "test_commands_are_done_when_reported_and_checked_against_the_birth"): (
        "topics-dcmd-topic", "topics-dcmd-mqtt", "topics-dcmd-timestamp", "topics-dcmd-payload",
        f"{COMMANDS}-dcmd-verb", f"{COMMANDS}-dcmd-metric-value",
        "payloads-alias-data-cmd-requirement", "payloads-dcmd-timestamp", "payloads-dcmd-seq",
        "payloads-dcmd-qos", "payloads-dcmd-retain",
    ),
    (LIVE, "test_a_host_that_comes_late_gets_births_gaps_are_mended_and_deaths_are_bad"): (
        "topics-ncmd-topic", "topics-ncmd-mqtt", "topics-ncmd-timestamp", "topics-ncmd-payload",
        f"{COMMANDS}-ncmd-verb", f"{COMMANDS}-ncmd-rebirth-verb", f"{COMMANDS}-ncmd-rebirth-name",
        f"{COMMANDS}-ncmd-rebirth-value", "payloads-ncmd-timestamp", "payloads-ncmd-seq",
        "payloads-ncmd-qos", "payloads-ncmd-retain", f"{TERMINATION}-ndeath-node-tags-stale",
        f"{TERMINATION}-ndeath-devices-tags-stale", f"{TERMINATION}-ddeath-devices-tags-stale",
    ),
    (SESSION, "test_the_sequence_goes_from_255_to_0"): (
        "topics-ndata-seq-num", "topics-ddata-seq-num", "payloads-sequence-num-incrementing",
    ),
    (SESSION, "test_messages_out_of_order_wait_for_the_missing_one"): (
        f"{HOST}-reordering-param", f"{HOST}-reordering-start", f"{HOST}-reordering-success",
    ),
    (SESSION, "test_a_missing_message_brings_doubt_and_a_rebirth"): (
        f"{HOST}-reordering-rebirth",
    ),
    (SESSION, "test_a_nodes_death_takes_its_devices_along"): (
        f"{TERMINATION}-ndeath-node-offline", f"{TERMINATION}-ndeath-devices-offline",
    ),
    (SESSION, "test_a_devices_death_is_told_with_its_own_time_and_data_after_it_asks"): (
        f"{TERMINATION}-ddeath-devices-offline",
    ),
}  # fmt: skip
"""(file, test) -> the statements' ids, without their `tck-id-`."""


def test_the_tests_that_the_table_names_exist() -> None:
    for file, test in COVERED:
        assert f"def {test}(" in (TESTS / file).read_text(encoding="utf-8"), test


@pytest.mark.oracle
def test_the_statements_that_the_table_names_exist(outside_data: Path) -> None:
    known = json.loads((outside_data / "oracles" / "sparkplug_assertions.json").read_text())
    named = [f"tck-id-{tail}" for tails in COVERED.values() for tail in tails]
    assert sorted(set(named) - set(known)) == []
    assert len(set(named)) == len(named) >= 60


def test_the_documentation_counts_them() -> None:
    page = TESTS.parent / "docs" / "howto" / "connect-your-plant.md"
    count = sum(map(len, COVERED.values()))
    assert f"{count} of its statements" in page.read_text(encoding="utf-8")
