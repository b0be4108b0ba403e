"""Texts with ${...}: types, verbatim data, unknown parts, nested data."""

import pytest

from shared.expression import (
    ExpressionError,
    Reading,
    StaticEnvironment,
    Unknown,
    compile_data,
    compile_template,
)

ROOTS = {"alarm", "inputs"}
ENV = StaticEnvironment(
    {
        "alarm": {
            "asset": "FUR-02",
            "value": 1295.0,
            "note": "${inputs.limit} $${x}",
            "n": None,
        },
        "inputs": {"limit": 1280.5, "list": [1, {"a": "中"}], "big": ["x" * 900] * 20},
    },
    {"T": Reading(5.5), "BAD": Reading(1.0, good=False)},
)


def run(text: str) -> object:
    return compile_template(text, roots=ROOTS).evaluate(ENV)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${alarm.asset}: ${alarm.value} degC (limit ${inputs.limit})",
         "FUR-02: 1295 degC (limit 1280.5)"),
        ("${inputs.limit}", 1280.5),
        ("${inputs.list}", [1, {"a": "中"}]),
        ("${alarm.n}", None),
        (" ${alarm.n}", " null"),
        ("is ${inputs.list}", 'is [1, {"a": "中"}]'),
        ("${tag('T').value}", 5.5),
        ("${{'a': {'b': 1}}.a.b} ${'}'}", "1 }"),
        ("cost $5, $${alarm.asset}, 100%", "cost $5, ${alarm.asset}, 100%"),
        ("${alarm.note}", "${inputs.limit} $${x}"),
        ("note: ${alarm.note}", "note: ${inputs.limit} $${x}"),
    ],
)  # fmt: skip
def test_value(text: str, expected: object) -> None:
    result = run(text)
    assert type(result) is type(expected)
    assert result == expected


def test_an_unknown_part_makes_the_text_unknown_but_people_are_still_told() -> None:
    template = compile_template("${alarm.asset} at ${tag('BAD').value} degC", roots=ROOTS)
    assert template.evaluate(ENV) == Unknown("tag_bad", {"tag": "BAD"})
    assert template.render(ENV) == "FUR-02 at ? degC"
    assert template.render(ENV, unknown="未知") == "FUR-02 at 未知 degC"
    assert {tag for part in template.expressions for tag in part.tags} == {"BAD"}


def test_large_results_are_refused_or_cut() -> None:
    template = compile_template("data ${inputs.big}", roots=ROOTS)
    assert template.evaluate(ENV) == Unknown("too_large", {"limit": 10_000})
    long = compile_template("a" * 9_960 + "${alarm.asset}" * 2, roots=ROOTS)
    assert len(str(long.evaluate(ENV))) == 9_972
    edge = StaticEnvironment({"alarm": {"asset": "F" * 100}})
    assert long.evaluate(edge) == Unknown("too_large", {"limit": 10_000})
    assert len(long.render(edge)) == 10_000


@pytest.mark.parametrize(
    ("text", "code"),
    [("${", "unterminated_template"), ("${a", "unterminated_template"),
     ("${'a}", "unterminated_string"),
     ("${}", "empty"), ("${alarm} ${nope}", "unknown_root"), ("${alarm.asset ~}", "operator_hint"),
     ("${alarm}" * 33, "too_many_parts"), ("x" * 10_001, "too_long")],
)  # fmt: skip
def test_refused(text: str, code: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        run(text)
    assert caught.value.code == code


def test_nested_data_keeps_its_shape_and_its_types() -> None:
    data = {
        "speed": "${inputs.limit}",
        "to": ["${alarm.asset}", 3, True, None],
        "fixed": "a",
    }
    template = compile_data(data, roots=ROOTS)
    assert template.evaluate(ENV) == {
        "speed": 1280.5, "to": ["FUR-02", 3, True, None], "fixed": "a",
    }  # fmt: skip
    assert len(template.expressions) == 2
    bad = compile_data({"a": [{"b": "${tag('BAD').value}"}]}, roots=ROOTS)
    assert bad.evaluate(ENV) == Unknown("tag_bad", {"tag": "BAD"})


def test_data_that_is_not_plain_is_refused() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_data({"a": object()}, roots=ROOTS)
    assert caught.value.code == "unsupported_literal"
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ExpressionError) as caught:
        compile_data(loop, roots=ROOTS)
    assert caught.value.code == "too_deep"
