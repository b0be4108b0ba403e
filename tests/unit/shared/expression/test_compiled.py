"""The generated function: its bound form, and what the package may import."""

import ast
from dataclasses import dataclass
from pathlib import Path

import shared.expression
from shared.expression import Reading, StaticEnvironment, Unknown, compile_expression

TEXT = 'tag("A").good && tag("A").value > tag("B").value'


@dataclass
class LiveReading:
    value: object
    good: bool = True
    age_s: float = 0.0


def test_bound_readings_are_read_in_place() -> None:
    live = LiveReading(5.0)
    env = StaticEnvironment(tags={"A": live})
    run = compile_expression(TEXT).compile_to_python(live=env)
    assert run(env) == Unknown("tag_missing", {"tag": "B"})
    later = StaticEnvironment(tags={"A": Reading(None, good=False), "B": Reading(4.0)})
    assert run(later) is True
    live.value = 3.0
    assert run(later) is False
    live.value = float("nan")
    assert run(later) == Unknown("tag_no_value", {"tag": "A"})
    live.value, live.good = 9.0, False
    assert run(later) is False


def test_the_package_imports_nothing_that_does_io() -> None:
    allowed = {
        "ast", "collections", "dataclasses", "difflib", "functools", "json", "math", "re", "shared",
        "typing",
    }  # fmt: skip
    for path in Path(shared.expression.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
                assert not str(node.module).startswith("shared") or str(node.module).startswith(
                    "shared.expression"
                )
            assert {name.split(".")[0] for name in names} <= allowed, path.name


def test_arithmetic_on_texts_is_an_error_in_the_generated_function_too() -> None:
    env = StaticEnvironment({"r": {"a": "x"}})
    for text in ("'' - r.a", "r.a - ''", "'a' * r.a"):
        expression = compile_expression(text, roots={"r"})
        expected = expression.evaluate(env)
        assert isinstance(expected, Unknown), text
        assert expression.compile_to_python()(env) == expected, text
