"""Andon's one expression language: CEL's syntax, three-valued, step-budgeted.

It serves alarm conditions, playbooks, triggers and webhook mapping:

    expression = compile_expression('tag("FT-7").value > inputs.limit', roots={"inputs"})
    expression.evaluate(env)          # a value, or Unknown(code, params)
    fast = expression.compile_to_python()
    fast(env)                         # the same answer from a generated Python function

Result: test `is True` / `is False`; Unknown refuses to be used as a truth value.

What differs from CEL (github.com/google/cel-spec), each on purpose:

1.  Ints and doubles mix in arithmetic and comparison (`2 > 1.5`, `1 + 0.5`); `%` takes doubles too.
    Whole-number division still truncates, as in CEL: write `/ 2.0` for a fraction.
2.  Division by zero is an error for doubles too (CEL: infinity), so no limit is compared with it.
3.  Errors are values: `evaluate` answers Unknown with `is_error` instead of raising. `&&` and `||`
    absorb them as CEL does; when neither side decides, tag quality is reported before errors.
4.  `tag("X").value|last|good|age_s`, `alarm("ID").active|acked` and windows
    `avg|min|max|stddev|sum|range|count|rate|first|last|lag|changed("X", "30s")` and
    `percentile("X", "30s", 95)` are added; a window may be of `"20 samples"` and of a shape
    (`"tumbling"`, `"hopping:10s"`, `"session:60s"`, a session's length being its gap). Names,
    lengths and shapes are literals, so what an expression reads is known at load.
    A tag that is bad, stale, missing, null or NaN has no `.value`: Unknown; `.last` is the last
    good value however old.
5.  `has(a.b.c)` is false when `a.b` itself is missing or null (CEL: an error).
6.  No uint (`1u`), bytes (`b'x'`), triple-quoted texts, timestamps, type values, messages, optional
    syntax or back-quoted members (write `a['b-c']`). `duration("90s")` is a number of seconds.
7.  A map literal may not hold a key twice, and `1` and `true` count as the same key there.
8.  Comprehensions do not nest (`a.filter(..).map(..)` in a row is fine), and a list or map they run
    over has at most 1,000 items.
9.  `matches` takes a subset of RE2 that runs in linear time: no back-references, look-around,
    flags, lazy repeats, `\\b`, Unicode classes; patterns <= 200 characters, texts <= 4,000.
10. `round` halves away from zero and takes digits; `string` of a whole double has no `.0`;
    `abs min max floor ceil lowerAscii upperAscii trim` are always there.
11. Limits: 2,000 characters (512 in playbooks), 200 nodes, depth 30, 10,000 steps an evaluation,
    texts of 10,000 characters and lists of 1,000 items as results.
12. An int and a double compare exactly, also where a double cannot hold the int (CEL: lossy).
13. Unknown names, functions and methods are refused at load, also behind `|| true`.
"""

from shared.expression.durations import parse_duration
from shared.expression.functions import WINDOWS, Function
from shared.expression.program import (
    Expression,
    WindowUse,
    compile_expression,
    constant_value,
    is_constant,
)
from shared.expression.template import (
    DataTemplate,
    Template,
    compile_data,
    compile_template,
)
from shared.expression.values import (
    MAX_CHARS,
    MAX_CHARS_PLAYBOOK,
    MAX_STEPS,
    AlarmView,
    Environment,
    ExpressionError,
    Reading,
    StaticEnvironment,
    TagReading,
    Unknown,
    is_unknown,
)

__all__ = [
    "MAX_CHARS", "MAX_CHARS_PLAYBOOK", "MAX_STEPS", "WINDOWS",
    "AlarmView", "DataTemplate", "Environment", "Expression", "ExpressionError", "Function",
    "Reading",
    "StaticEnvironment", "TagReading", "Template", "Unknown", "WindowUse",
    "compile_data", "compile_expression", "compile_template", "constant_value", "is_constant",
    "is_unknown", "parse_duration",
]  # fmt: skip
