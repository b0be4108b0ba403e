"""Quality in the language: what bad, stale, missing tags and empty windows do to a result."""

import itertools

import pytest

from shared.expression import (
    Expression,
    Reading,
    StaticEnvironment,
    Unknown,
    WindowUse,
    compile_expression,
    is_unknown,
)

READINGS = {
    "GOOD": Reading(7.0, age_s=0.5),
    "BAD": Reading(7.0, good=False, age_s=1.0),
    "STALE": Reading(7.0, good=False, age_s=90.0, reason="stale"),
    "NAN": Reading(float("nan")),
    "NULL": Reading(None),
    "ON": Reading(True),
}
ENV = StaticEnvironment(
    {"inputs": {"limit": 5}, "late": Unknown("tag_bad", {"tag": "X"})},
    READINGS,
    {("avg", "GOOD", 30.0): 85.0, ("rate", "NAN", 60.0): float("nan")},
)


def run(text: str) -> object:
    expression = compile_expression(text, roots={"inputs", "late", "absent"})
    result = expression.evaluate(ENV)
    assert repr(expression.compile_to_python()(ENV)) == repr(result)
    return result


def code(text: str) -> str:
    result = run(text)
    assert isinstance(result, Unknown), result
    return result.code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('tag("GOOD").value > 5', True),
        ('tag("GOOD").value > inputs.limit', True),
        ('tag("GOOD").good', True),
        ('tag("GOOD").age_s', 0.5),
        ('tag("BAD").good', False),
        ('tag("BAD").age_s', 1.0),
        ('tag("NONE").good', False),
        ('tag("NAN").good', True),
        ("tag('ON').value", True),
        ("!tag('ON').value", False),
        ('tag("BAD").good && tag("BAD").value > 5', False),
        ('tag("BAD").value > 5 && tag("BAD").good', False),
        ('tag("BAD").value > 5 || tag("ON").value', True),
        ('tag("GOOD").value > 5 || tag("BAD").value > 5', True),
        ('avg("GOOD", "30s") > 80', True),
        ("[1, 2].exists(x, x == 2 || tag('BAD').value > x)", True),
        ("[1, 2].all(x, x == 2 && tag('BAD').value > x)", False),
        ("true ? 1 : tag('BAD').value", 1),
    ],
)
def test_known(text: str, expected: object) -> None:
    result = run(text)
    assert type(result) is type(expected)
    assert result == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('tag("BAD").value > 5', "tag_bad"),
        ('tag("STALE").value > 5', "tag_stale"),
        ('tag("NONE").value > 5', "tag_missing"),
        ('tag("NONE").age_s < 5', "tag_missing"),
        ('tag("NAN").value > 5', "tag_no_value"),
        ('tag("NULL").value == null', "tag_no_value"),
        ('!(tag("BAD").value > 5)', "tag_bad"),
        ('tag("BAD").value == tag("BAD").value', "tag_bad"),
        ('tag("BAD").value > 5 && tag("ON").value', "tag_bad"),
        ('tag("BAD").value > 5 || tag("BAD").good', "tag_bad"),
        ('tag("BAD").value > 5 ? 1 : 2', "tag_bad"),
        ('avg("GOOD", "31s") > 80', "window_empty"),
        ('rate("NAN", "1m") > 0', "window_empty"),
        ("[tag('BAD').value]", "tag_bad"),
        ("{'a': tag('BAD').value}", "tag_bad"),
        ("abs(tag('BAD').value)", "tag_bad"),
        ("max(1, tag('BAD').value, 3)", "tag_bad"),
        ("late", "tag_bad"),
        ("late.deeper['x'] + 1", "tag_bad"),
        ("absent", "missing_root"),
        # Quality outranks error, whichever side each is on: it is what a person can mend.
        ('1 / 0 > tag("BAD").value', "tag_bad"),
        ('1 / 0 > 1 && tag("BAD").value > 1', "tag_bad"),
        ('1 / 0 > 1 || "x"', "division_by_zero"),
    ],
)
def test_unknown(text: str, expected: str) -> None:
    assert code(text) == expected


STATES = {"true": True, "false": False, "tag('BAD').value": None}


@pytest.mark.parametrize(("left", "right"), list(itertools.product(STATES, STATES)))
def test_kleene_tables(left: str, right: str) -> None:
    one, other = STATES[left], STATES[right]
    conjunction = False if False in (one, other) else None if None in (one, other) else True
    disjunction = True if True in (one, other) else None if None in (one, other) else False
    for operator, expected in (("&&", conjunction), ("||", disjunction)):
        result = run(f"{left} {operator} {right}")
        assert is_unknown(result) if expected is None else result is expected


def test_unknown_is_no_truth_value_and_explains_itself() -> None:
    unknown = Unknown("tag_stale", {"tag": "TT-1"})
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(unknown)
    assert unknown.text == {"zh": "测点 TT-1 数据过期", "en": "tag TT-1 is stale"}
    assert unknown.reason == "tag TT-1 is stale"
    assert not unknown.is_error
    assert Unknown("division_by_zero").is_error
    assert hash(unknown) == hash(Unknown("tag_stale"))


def test_an_expression_says_what_it_reads() -> None:
    text = (
        'avg("TT-101", "30s") > 80 && max("TT-101","5m") < 9 && tag("P").value'
        " && steps['hold-heat'].before.output > inputs.x && avg('TT-101', '0.5m') > 1"
    )
    expression: Expression = compile_expression(text, roots={"steps", "inputs", "unused"})
    assert expression.tags == {"TT-101", "P"}
    assert expression.roots == {"steps", "inputs"}
    assert expression.windows == (
        WindowUse("avg", "TT-101", 30.0),
        WindowUse("max", "TT-101", 300.0),
    )
    assert expression.references == {
        ("steps", "hold-heat", "before", "output"),
        ("inputs", "x"),
    }
