"""Hostile input stops early: steps, sizes, depth, patterns, and nothing of Python is reachable."""

import pytest

from shared.expression import (
    ExpressionError,
    Function,
    StaticEnvironment,
    Unknown,
    compile_expression,
    is_constant,
)
from shared.expression.operators import Meter, charge
from shared.expression.regex import PatternError, compile_pattern

NESTED: list[object] = []
for _ in range(500):
    NESTED = [NESTED]
ENV = StaticEnvironment(
    {
        "many": list(range(1_000)),
        "more": list(range(1_001)),
        "text": "x" * 9_000,
        "aaa": "a" * 3_000,
        "huge": ["y" * 100] * 200_000,
        "deep": NESTED,
        "big": 10**400,
        "obj": object(),
    }
)
ROOTS = frozenset(ENV.roots)


def code(text: str) -> str:
    expression = compile_expression(text, roots=ROOTS)
    result = expression.evaluate(ENV)
    assert repr(expression.compile_to_python()(ENV)) == repr(result)
    assert isinstance(result, Unknown), result
    return result.code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("many.map(x, many + [x]).size() > 0", "too_large"),
        ("many.map(x, [x] + [x] + [x] + [x] + [x]).size() > 0", "budget_exceeded"),
        ("many.all(x, many.size() > 0 && x in many)", "budget_exceeded"),
        ("many.map(x, text + 'y')", "budget_exceeded"),
        ("many.exists(x, text.contains('z'))", "budget_exceeded"),
        (
            "many.all(x, x >= 0 && x >= 0 && x >= 0 && x >= 0) || true",
            "budget_exceeded",
        ),
        ("huge == huge + []", "too_large"),
        ("'z' in huge", "budget_exceeded"),
        ("more.all(x, true)", "too_large"),
        ("text + text", "too_large"),
        ("many + many", "too_large"),
        ("deep == deep", "too_deep_value"),
        ("aaa.matches('(a*)*(a*)*(a*)*b')", "budget_exceeded"),
        ("text.matches('x')", "too_large"),
        ("big + 1.5", "wrong_type"),
        ("big > 1.5", "wrong_type"),
        ("double(big)", "wrong_type"),
        ("9223372036854775807 + 1", "overflow"),
        ("obj.__class__", "wrong_type"),
        ("many.__len__", "wrong_type"),
        ("text.format", "wrong_type"),
    ],
)
def test_stops_with_a_reason(text: str, expected: str) -> None:
    assert code(text) == expected


def test_the_budget_is_the_expression_s_own() -> None:
    text = "[1, 2, 3].map(x, x * 2)"
    cheap = compile_expression(text, max_steps=15)
    enough = compile_expression(text, max_steps=100)
    for run in (cheap.evaluate, cheap.compile_to_python()):
        assert run(ENV) == Unknown("budget_exceeded", {"limit": 15})
    assert enough.evaluate(ENV) == enough.compile_to_python()(ENV) == [2, 4, 6]
    tiny = compile_expression("1 + 1", max_steps=2)
    assert (
        tiny.evaluate(ENV)
        == tiny.compile_to_python()(ENV)
        == Unknown("budget_exceeded", {"limit": 2})
    )


def test_generated_source_holds_no_text_of_the_user() -> None:
    from shared.expression.compile import generate

    text = "text == '__import__(\"os\")' || {'evil': 1}.evil == 1 || has(deep.evil)"
    source, _ = generate(compile_expression(text, roots=ROOTS).tree, 100, 100)
    assert "evil" not in source
    assert "import" not in source


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True), ("a", "bab", True), ("^a", "ba", False), ("a$", "ba", True),
        ("^(ab|c)+$", "abcab", True), ("^(ab|c)+$", "abca", False), ("^a{2,3}$", "aa", True),
        ("^a{2,3}$", "aaaa", False), ("^a{2}$", "aaa", False), ("^a{2,}$", "aaaaa", True),
        ("^a{2,}$", "a", False), ("^(a?b?)*$", "abba", True), ("^[^a-c]+$", "xyz", True),
        ("^[^a-c]+$", "xaz", False), (r"^\d+\.\d$", "12.5", True), (r"^[\w-]+$", "TT-101", True),
        ("^.$", "\n", False), ("^[]a]$", "]", True), (r"\*", "a*b", True),
        ("^(?:x|y)z$", "yz", True),
        ("^()*$", "", True), ("温度", "一号温度高", True), ("^a*$", "aab", False),
    ],
)  # fmt: skip
def test_matches(pattern: str, text: str, expected: bool) -> None:
    assert compile_pattern(pattern).search([10_000], text) is expected


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "a**", "a*?", "*a", "[a", "a{2", "a{3,2}", "a{999}", r"\b", r"\1", "(?i)a", "[b-a]",
     "a" * 201, "((a{50}){50}){50}", "(" * 50 + ")" * 50, "\\"],
)  # fmt: skip
def test_patterns_outside_the_subset_are_refused(pattern: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern)
    assert caught.value.detail
    assert caught.value.detail_zh


def test_a_pattern_from_data_is_an_error_value() -> None:
    assert code("'x'.matches(aaa)") == "bad_pattern"


def twice(meter: Meter, value: object) -> object:
    charge(meter, 1)
    return value * 2 if isinstance(value, int | float) else Unknown("wrong_type", {})


def test_own_functions_are_strict_and_cannot_replace_ours() -> None:
    own = {"twice": Function(twice, 1, 1), "abs": Function(twice, 1, 1)}
    expression = compile_expression("twice(4) + abs(-1)", functions=own)
    assert expression.evaluate(ENV) == expression.compile_to_python()(ENV) == 9
    result = compile_expression("twice(1 / 0)", functions=own).evaluate(ENV)
    assert result == Unknown("division_by_zero")
    with pytest.raises(ExpressionError, match="twice"):
        compile_expression("twicee(1)", functions=own)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 > 2", True), ("1 / 0 > 2", True), ("true || text == ''", True),
        ("text == '' || true", True), ("tag('A').value > 1 && false", True),
        ("tag('A').good || !false", True), ("tag('A').good", False), ("text == ''", False),
        ("avg('A', '5s') > 1", False), ("true && text == ''", False), ("has(deep.x)", False),
        ("many.all(x, true)", False), ("[1, 2].exists(x, x > 1 || text == '')", True),
    ],
)  # fmt: skip
def test_constant_conditions(text: str, expected: bool) -> None:
    assert is_constant(compile_expression(text, roots=ROOTS)) is expected
