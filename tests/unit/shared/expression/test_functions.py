"""Andon's own functions and deviations, where cel-spec has no expected value."""

import pytest

from shared.expression import (
    StaticEnvironment,
    compile_expression,
    is_unknown,
    parse_duration,
)

ENV = StaticEnvironment(
    {
        "steps": {
            "decide": {"answer": "vent", "note": None},
            "hold-heat": {"ok": True},
        },
        "n": None,
    }
)


def run(text: str) -> object:
    expression = compile_expression(text, roots={"steps", "n"})
    result = expression.evaluate(ENV)
    assert repr(expression.compile_to_python()(ENV)) == repr(result)
    return result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 > 1.5", True),
        ("1 + 0.5", 1.5),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("7 / 2.0", 3.5),
        ("-7 % 3", -1),
        ("7.5 % 2", 1.5),
        ("0x1F + 1", 32),
        (".5 + 1e1", 10.5),
        (r"r'\d' == '\\d'", True),
        (r"'中' == '\u4e2d'", True),
        ("abs(-3) + abs(-0.5)", 3.5),
        ("min(3, 1.5, 2)", 1.5),
        ("max([3, 1.5, 7])", 7),
        ("round(2.5)", 3.0),
        ("round(-2.5)", -3.0),
        ("round(1294.956, 1)", 1295.0),
        ("round(0.15, 1)", 0.2),
        ("floor(-1.5)", -2.0),
        ("ceil(1.2)", 2.0),
        ("duration('1h30m')", 5400.0),
        ("duration('250ms') < 0.3", True),
        ("duration(20)", 20.0),
        ("string(1295.0)", "1295"),
        ("string(12.75)", "12.75"),
        ("' Ab中 '.trim().lowerAscii()", "ab中"),
        ("'ab'.upperAscii()", "AB"),
        ("has(steps.decide.answer)", True),
        ("has(steps.decide.by)", False),
        ("has(steps.decide.note)", True),
        ("has(steps.never.answer)", False),
        ("has(steps.decide.note.text)", False),
        ("has(steps['hold-heat'].ok)", True),
        ("steps['hold-heat'].ok && steps.decide.answer in ['vent', 'keep']", True),
        ("has(steps.decide.answer) ? steps.decide.answer : 'none'", "vent"),
        ("steps.map(k, steps[k]).filter(s, has(s.ok)).size()", 1),
        ("n == null", True),
        ("{true: 1}[true]", 1),
        ("1 in {true: 1}", False),
        ("1 // comment\n + 1", 2),
    ],
)
def test_value(text: str, expected: object) -> None:
    result = run(text)
    assert type(result) is type(expected)
    assert result == expected


@pytest.mark.parametrize(
    "text",
    ["1.5 / 0.0", "'a' < 1", "true + 1", "-'a'", "{1: 2, 1: 3}", "{1.5: 2}", "[1][1]", "[1][0.5]",
     "has(1 .a)", "round(1.5, -1)", "duration('soon')", "int('1_0')", "double('nan')",
     "min([]) == 1",     "string(null)", "steps.never.answer == 'x'"],
)  # fmt: skip
def test_error_value(text: str) -> None:
    assert is_unknown(run(text))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("5m", 300.0), ("1h30m", 5400.0), ("1.5d", 129_600.0), ("-2s", -2.0),
     ("", None), ("s", None), ("5", None), ("5 s", None), ("1s1", None), ("1e3s", None),
     ("٣s", None)],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds
