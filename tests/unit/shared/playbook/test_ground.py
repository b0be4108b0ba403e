"""Grounded conditions: what the run knows is written out, tags stay, meaning is kept."""

from __future__ import annotations

import pytest

from shared.expression import Reading, StaticEnvironment, compile_expression
from shared.playbook.ground import NotGroundError, ground

ROOTS = {"inputs", "steps"}
KNOWN = {"inputs": {"limit": 35.5, "name": 'a"b', "list": [1, 2]}, "steps": {"a-b": {"x": 4}}}
TAGS = {"t": Reading(36.0), "mode": Reading("AUTO"), "on": Reading(True)}

CASES = {
    "tag('t').good && tag('t').value <= inputs.limit + 2.0": "37.5",
    "tag('t').value > steps['a-b'].x || tag('mode').value == inputs.name": '"a\\"b"',
    "tag('mode').value.startsWith('AU') ? tag('on').value : inputs.limit > 1": "true",
    "inputs.list.exists(i, tag('t').value > i)": ".exists(i, ",
    "!(tag('on').value) || -tag('t').value < 0 && has(inputs.limit)": "true",
    "abs(tag('t').value - inputs.limit) in [0.5, 1.5]": "abs(",
}


@pytest.mark.parametrize("text", CASES)
def test_meaning_is_kept_without_roots(text: str) -> None:
    env = StaticEnvironment(KNOWN, TAGS)
    expression = compile_expression(text, roots=ROOTS)
    written = ground(expression, env)
    assert CASES[text] in written
    again = compile_expression(written)  # refuses any root
    assert again.evaluate(StaticEnvironment(tags=TAGS)) == expression.evaluate(env)


def test_what_the_run_does_not_know_is_not_sent() -> None:
    expression = compile_expression("tag('t').value < inputs.none", roots=ROOTS)
    with pytest.raises(NotGroundError):
        ground(expression, StaticEnvironment(KNOWN, TAGS))
