"""cel-spec's own expected values, run on the interpreter and on generated code.

The tables are transcribed from github.com/google/cel-spec (Apache-2.0), commit 508bd98e, files
tests/simple/testdata/*.textproto: every case without bindings, containers or protobuf messages.
`cel_spec_deviations.jsonl` holds those that differ, each with its number in `shared.expression`'s
docstring and what Andon answers instead.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import shared.expression
from shared.expression import (
    ExpressionError,
    StaticEnvironment,
    Unknown,
    compile_expression,
    is_unknown,
)

HERE = Path(__file__).parent
EMPTY = StaticEnvironment()


def rows(name: str) -> list[dict[str, object]]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def case_id(row: Mapping[str, object]) -> str:
    return f"{row['file']}/{row['section']}/{row['name']}"


def plain(value: object) -> object:
    """A result in the table's notation, so that 1, 1.0 and true stay different."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"double": str(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {"map": {key: plain(item) for key, item in value.items()}}
    return value


def noted(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("row", rows("cel_spec.jsonl"), ids=case_id)
def test_agrees_with_cel_spec(row: dict[str, object]) -> None:
    expression = compile_expression(str(row["expr"]))
    for result in (expression.evaluate(EMPTY), expression.compile_to_python()(EMPTY)):
        if row.get("error"):
            assert isinstance(result, Unknown)
            assert result.is_error
        else:
            assert not is_unknown(result)
            assert noted(plain(result)) == noted(row["value"])


@pytest.mark.parametrize("row", rows("cel_spec_deviations.jsonl"), ids=case_id)
def test_deviates_from_cel_spec_only_as_listed(row: dict[str, object]) -> None:
    ours = row["ours"]
    assert isinstance(ours, dict)
    assert re.search(rf"^{row['deviation']}\.\s", shared.expression.__doc__ or "", re.MULTILINE)
    try:
        result = compile_expression(str(row["expr"])).evaluate(EMPTY)
    except ExpressionError as error:
        assert ours == {"compile": error.code}
    else:
        got = {"error": result.code} if isinstance(result, Unknown) else {"value": plain(result)}
        assert got == ours


def test_the_table_is_large_enough_to_mean_something() -> None:
    found = rows("cel_spec.jsonl")
    assert len(found) > 500
    assert {row["file"] for row in found} >= {
        "comparisons",
        "logic",
        "string",
        "lists",
        "macros",
    }
