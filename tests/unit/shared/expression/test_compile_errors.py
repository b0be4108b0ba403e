"""Refusals at load: the code, the column and the mend, in both languages."""

import pytest

from shared.expression import ExpressionError, compile_expression, compile_template
from shared.expression.messages import COMPILE_TEXTS, UNKNOWN_TEXTS

ROOTS = {"alarm": {"asset", "value", "quality"}, "inputs": None, "steps": None}
TAGS = {"TT-101", "PUMP-1.running"}


def refused(text: str, max_chars: int = 2_000) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, roots=ROOTS, tags=TAGS, max_chars=max_chars)
    error = caught.value
    assert set(error.text) == {"zh", "en"}
    assert "{" not in error.text["zh"].replace("${", "").replace("{ ", "")
    return error


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("", "empty", 1),
        ("  // only a comment", "empty", 20),
        ("1 +", "unexpected_end", 4),
        ("(1", "unexpected_end", 3),
        ("1 2", "unexpected_token", 3),
        ("[1,,2]", "unexpected_token", 4),
        ("size(1,)", "unexpected_token", 8),
        ("1 # 2", "unexpected_character", 3),
        ("inputs.a = 1", "operator_hint", 10),
        ("true and false", "operator_hint", 6),
        ("not true", "operator_hint", 1),
        ("true & false", "operator_hint", 6),
        ("inputs.a ＞ 1", "fullwidth_character", 10),
        ("inputs.a == “x”", "fullwidth_character", 13),
        ("'abc", "unterminated_string", 1),
        ("'a\nb'", "unterminated_string", 1),
        ("'''a'''", "unsupported_literal", 1),
        ("b'a'", "unsupported_literal", 1),
        ("5u", "unsupported_literal", 1),
        ("12abc", "bad_number", 1),
        ("9223372036854775808", "int_out_of_range", 1),
        (r"'\q'", "bad_escape", 2),
        (r"'\ud800'", "bad_escape", 2),
        ("for", "reserved_word", 1),
        ("alarms.value > 1", "unknown_root", 1),
        ("true || nothing", "unknown_root", 9),
        ("alarm.valeu > 1", "unknown_member", 7),
        ("sise([1])", "unknown_function", 1),
        ("contains('a', 'b')", "unknown_function", 1),
        ("'a'.startWith('b')", "unknown_method", 5),
        ("'a'.abs()", "unknown_method", 5),
        ("tag('TT-10').value", "unknown_tag", 5),
        ("avg('TT-102', '1s') > 1", "unknown_tag", 5),
        ("size()", "wrong_argument_count", 1),
        ("'a'.contains()", "wrong_argument_count", 5),
        ("avg('TT-101') > 1", "wrong_argument_count", 1),
        ("tag(inputs.name).value", "tag_not_literal", 5),
        ("tag('TT-101') > 1", "tag_needs_member", 1),
        ("tag('TT-101').valu > 1", "tag_unknown_member", 15),
        ("avg('TT-101', 30)", "window_not_literal", 15),
        ("avg(inputs.t, '30s')", "window_not_literal", 5),
        ("avg('TT-101', '30 seconds')", "bad_duration", 15),
        ("avg('TT-101', '0s')", "bad_duration", 15),
        ("has(alarm)", "has_argument", 5),
        ("has(tag('TT-101').value)", "has_argument", 5),
        ("[1].all(1, true)", "macro_variable", 9),
        ("[1].all(x, [2].all(y, true))", "nested_comprehension", 16),
        ("[1].map(x, inputs.a.filter(y, true))", "nested_comprehension", 21),
        ("'a'.matches('(')", "bad_pattern", 13),
        ("'a'.matches('a**')", "bad_pattern", 13),
        ("'a'.matches('(?=a)')", "bad_pattern", 13),
    ],
)
def test_code_and_column(text: str, code: str, column: int) -> None:
    error = refused(text)
    assert (error.code, error.column) == (code, column)


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("alarn.value", "alarm"),
        ("alarm.valeu", "value"),
        ("sise([1])", "size"),
        ("avgg('TT-101', '30s')", "avg"),
        ("'a'.startWith('b')", "startsWith"),
        ("tag('tt-101').value", "TT-101"),
        ("tag('PUMP-1.runing').value", "PUMP-1.running"),
        ("tag('TT-101').valu", "value"),
        ("[1].exist(x, x > 1)", "exists"),
    ],
)
def test_did_you_mean(text: str, suggestion: str) -> None:
    error = refused(text)
    assert error.params["suggestion"] == suggestion
    assert suggestion in str(error)
    assert suggestion in error.text["zh"]


def test_limits_are_refused_with_the_limit_named() -> None:
    assert refused("1 + " * 200 + "1", max_chars=512).code == "too_long"
    assert refused(" + ".join(["1"] * 120)).code == "too_many_nodes"
    assert refused(" + ".join(["1"] * 40)).code == "too_deep"
    assert refused("(" * 900 + "1" + ")" * 900).code == "too_deep"
    assert refused("!" * 1_500 + "true").code == "too_deep"
    assert refused("[" * 1_000).code == "too_deep"
    assert refused("1?" * 900).code == "too_deep"
    assert compile_expression(" && ".join(["true"] * 150)).nodes == 151


def test_template_columns_count_in_the_whole_text() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template("limit ${inputs.a + alarn.value} degC", roots=ROOTS)
    assert (caught.value.code, caught.value.column) == ("unknown_root", 20)
    with pytest.raises(ExpressionError) as caught:
        compile_template("limit ${inputs.a", roots=ROOTS)
    assert (caught.value.code, caught.value.column) == ("unterminated_template", 7)
    with pytest.raises(ExpressionError) as caught:
        compile_template("limit ${ }", roots=ROOTS)
    assert caught.value.code == "empty"


def test_every_code_is_worded_in_both_languages() -> None:
    for table in (COMPILE_TEXTS, UNKNOWN_TEXTS):
        for code, (zh, en) in table.items():
            assert any("\u4e00" <= character <= "\u9fff" for character in zh), code
            assert en.isascii(), code
