"""Subjects: built and parsed, and what a node may send and receive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.memory_bus import matches
from shared.errors import ContractError
from shared.messages.subjects import BRAIN, Node, any_node, check_token, device_topic, parse

TOKENS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)
KINDS = ("hello", "health", "command", "fact", "directive", "lease", "committed")


@given(TOKENS, TOKENS)
def test_what_is_built_is_parsed(site: str, name: str) -> None:
    node = Node(site, name)
    for kind in KINDS:
        subject = getattr(node, kind)
        parsed, _, _ = parse(subject)
        assert parsed == node
        assert matches(any_node(site, "*", ">"), subject)
    assert parse(node.lane("live")) == (node, "outcome" if name == BRAIN else "alarm", "live")
    assert parse(node.lane("history"))[1:] == ("sample", "history")
    assert parse(node.reply("c.1"))[1:] == ("reply", "c.1")


@given(TOKENS, TOKENS, TOKENS)
def test_nobody_may_publish_or_receive_what_is_another_ones(site: str, a: str, b: str) -> None:
    one, other = Node(site, a), Node(site, b)
    if one == other:
        return
    theirs = [other.lane("live"), other.lane("history"), other.health, other.hello, other.command,
              other.reply("x.y"), f"{other.inbox}.x", other.directive]  # fmt: skip
    for pattern in (*one.may_publish, *one.may_receive):
        assert not any(matches(pattern, subject) for subject in theirs), pattern


def test_a_node_may_do_what_it_needs() -> None:
    for node in (Node("f1", "e1"), Node("f1", BRAIN)):
        sends = [node.lane("live"), node.lane("replay"), node.health, node.hello, node.reply("c.1")]
        for subject in sends:
            assert any(matches(pattern, subject) for pattern in node.may_publish), subject
        takes = [node.command, node.fact, node.directive, node.committed, node.lease,
                 f"{node.inbox}.x"]  # fmt: skip
        for subject in takes:
            assert any(matches(pattern, subject) for pattern in node.may_receive), subject
        # Nobody below may steer: what comes from above cannot be published by the node itself.
        for subject in (node.command, node.fact, node.lease, node.committed):
            assert not any(matches(pattern, subject) for pattern in node.may_publish), subject


@pytest.mark.parametrize("name", ["", "F1", "f_1", "f.1", "f*", ">", "f 1", "-f", "x" * 33, "f1\n"])
def test_a_name_that_could_escape_its_place_is_refused(name: str) -> None:
    with pytest.raises(ContractError):
        check_token(name)
    with pytest.raises(ContractError):
        Node("f1", name)


@pytest.mark.parametrize(
    "subject", ["", "andon", "andon.f1.e1", "other.f1.e1.health", "andon.F.e.h"]
)
def test_a_subject_that_is_not_ours_is_refused(subject: str) -> None:
    with pytest.raises(ContractError):
        parse(subject)


def test_domains_follow_the_tiers() -> None:
    edge, brain = Node("f1", "e1"), Node("f1", BRAIN)
    assert (edge.domain, edge.upstream_domain) == ("f1-e1", "f1")
    assert (brain.domain, brain.upstream_domain) == ("f1", "cloud")
    assert device_topic("line1", "telemetry") == "dev.line1.telemetry"
