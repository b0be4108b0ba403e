"""Generated code equals the interpreter on random expressions over hostile data.

Also: whatever the linter calls constant is constant, and no random text raises anything but
ExpressionError.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.expression import (
    Expression,
    ExpressionError,
    Reading,
    StaticEnvironment,
    Unknown,
    compile_expression,
    constant_value,
    is_constant,
    is_unknown,
)

NUMBERS = [
    "0",
    "1",
    "-1",
    "2",
    "7",
    "0.0",
    "-0.5",
    "1.5",
    "2.0",
    "9223372036854775807",
    "1e308",
]
ATOMS = [
    *NUMBERS, "true", "false", "null", "''", "'a'", "'abc'", "'7'", "[]", "[1, 2.0, 'a']", "{}",
    "{'a': 1, 'b': [true]}", "{1: 2}", "r", "s", "r.a", "r.none", "r['list']", "s[0]", "r.big",
    "r.unknown", "tag('F').value", "tag('I').value", "tag('B').value", "tag('ON').value",
    "tag('NO').value", "tag('NAN').value", "tag('B').good", "tag('F').good", "tag('B').age_s",
    "tag('NO').age_s", "avg('F', '30s')", "min('NO', '5s')", "changed('F', '1m')",
    "tag('F').last", "tag('B').last", "avg('F', '30s', 'tumbling')", "percentile('F', '30s', 9)",
]  # fmt: skip
BINARY = ["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "in", "&&", "||"]
CALLS = [
    "size({0})", "int({0})", "double({0})", "string({0})", "bool({0})", "abs({0})", "round({0})",
    "round({0}, 1)", "floor({0})", "ceil({0})", "min({0}, {1})", "max({1})", "duration({0})",
    "has(({0}).a)", "({0}).a", "({0})[{1}]", "({0}).contains({1})", "({0}).startsWith({1})",
    "({0}).endsWith({1})", "({0}).matches('^a+|b$')", "({0}).lowerAscii()", "[{0}, {1}]",
    "{{'k': {0}, 'l': {1}}}", "{{{0}: {1}}}", "!({0})", "-({0})", "({0}) ? ({1}) : ({2})",
    "({0}) && ({1}) && ({2})", "({0}) || ({1}) || ({2})",
]  # fmt: skip
MACROS = [
    "({0}).all(x, {1})", "({0}).exists(x, {1})", "({0}).exists_one(x, {1})",
    "({0}).filter(x, {1})", "({0}).map(x, {1})", "({0}).map(x, {1}, {2})",
]  # fmt: skip


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.tuples(inner, st.sampled_from(BINARY), inner).map(
        lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
    )
    calls = st.tuples(st.sampled_from(CALLS), inner, inner, inner).map(
        lambda parts: parts[0].format(*parts[1:])
    )
    return binary | calls


def trees(atoms: list[str]) -> st.SearchStrategy[str]:
    return st.recursive(st.sampled_from(atoms), compound, max_leaves=8)


FLAT = trees(ATOMS)
BODIES = trees([*ATOMS, "x", "x", "x", "x.a", "x > 1", "x == 'a'", "tag('B').value > x"])
LISTS = FLAT | st.sampled_from(["r.list", "s", "[1, 2, 3]", "['a', 'b']", "{'a': 1}", "r.wide"])
LOOPS = st.tuples(st.sampled_from(MACROS), LISTS, BODIES, BODIES).map(
    lambda parts: parts[0].format(*parts[1:])
)
EXPRESSIONS = FLAT | LOOPS | compound(LOOPS)

DATA = {
    "a": 1, "b": 2.5, "list": [1, 2.5, "a", None, True], "big": 10**400, "wide": [0.5] * 700,
    "unknown": Unknown("tag_bad", {"tag": "Q"}), "deep": {"a": {"b": [1]}},
}  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.sampled_from(["", "a", "7"]),
)
READINGS = st.builds(
    Reading, SCALARS, st.booleans(), st.floats(0, 99), st.sampled_from(["", "stale"])
)


@st.composite
def environments(draw: st.DrawFn) -> StaticEnvironment:
    tags = {
        "F": Reading(draw(st.floats(-5, 5))), "I": Reading(draw(st.integers(-5, 5))),
        "B": draw(READINGS), "ON": Reading(draw(st.booleans())), "NAN": Reading(float("nan")),
    }  # fmt: skip
    windows = {
        ("avg", "F", 30.0): draw(SCALARS),
        ("changed", "F", 60.0): draw(st.booleans()),
    }
    roots = {"r": draw(st.sampled_from([DATA, DATA["deep"], {}])), "s": draw(SCALARS)}
    return StaticEnvironment(roots, tags, windows)


def compiled(text: str) -> Expression | None:
    try:
        return compile_expression(text, roots={"r", "s"}, max_steps=1_000)
    except ExpressionError as error:
        # The generator nests at random; only the size limits may refuse what it writes.
        assert error.code in (
            "too_deep", "too_long", "too_many_nodes", "nested_comprehension", "tag_needs_member",
            "has_argument", "wrong_argument_count", "window_not_literal", "bad_duration",
        ), text  # fmt: skip
        return None


def same(left: object, right: object) -> bool:
    """Equal in value and type, NaN included; repr tells 1, 1.0, true and -0.0 apart."""
    return type(left) is type(right) and repr(left) == repr(right)


@settings(max_examples=1_500, deadline=None)
@given(EXPRESSIONS, environments())
def test_generated_code_equals_the_interpreter(text: str, env: StaticEnvironment) -> None:
    expression = compiled(text)
    if expression is None:
        return
    expected = expression.evaluate(env)
    assert same(expression.compile_to_python()(env), expected), text


@settings(max_examples=600, deadline=None)
@given(EXPRESSIONS, environments())
def test_what_is_called_constant_never_changes(text: str, env: StaticEnvironment) -> None:
    expression = compiled(text)
    if expression is None or not is_constant(expression):
        return
    constant = constant_value(expression)
    result = expression.evaluate(env)
    assert same(result, constant) or (is_unknown(result) and is_unknown(constant)), text


ALPHABET = st.sampled_from(
    [*"()[]{}.,:?!-+*/%<>=&|'\"\\ \n1x0eE$", "tag(", "in", "has(", "中", "，"]
)


@settings(max_examples=800, deadline=None)
@given(st.lists(ALPHABET, max_size=40).map("".join) | st.text(max_size=40))
def test_no_text_does_worse_than_a_refusal(text: str) -> None:
    try:
        expression = compile_expression(text, roots={"x", "e"})
    except ExpressionError as error:
        assert 1 <= error.column <= len(text) + 1
        assert set(error.text) == {"zh", "en"}
        return
    env = StaticEnvironment({"x": DATA, "e": 1})
    assert same(expression.compile_to_python()(env), expression.evaluate(env))
