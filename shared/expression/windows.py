"""Owns what a windowed figure may be: functions, lengths, shapes and their checks at load.

Called by the resolver; the environment is given the checked parts. Never keeps a sample.
"""

import re

from shared.expression.durations import parse_duration
from shared.expression.tree import Call, Literal, Node, Window, start_of
from shared.expression.values import ExpressionError, did_you_mean

SLIDING, TUMBLING, HOPPING, SESSION, COUNT = "sliding", "tumbling", "hopping", "session", "count"
SHAPES = frozenset({SLIDING, TUMBLING, HOPPING, SESSION})
MAX_SAMPLES = 1_000
MAX_SECONDS = 31 * 86_400.0
MAX_OVERLAP = 100
"""Hopping windows that one sample may belong to."""
_NEEDS_NUMBER = "percentile"
_SAMPLES = re.compile(r"(\d{1,6}) ?samples?", re.ASCII)


def window_of(call: Call, tag: str) -> Window:
    """`avg("TAG", "30s")`, `avg("TAG", "9 samples")`, `percentile("TAG", "5m", 95, "tumbling")`."""
    name, column = call.name, call.column
    seconds, shape = _span(call)
    step, argument = 0.0, None
    for extra in call.args[2:]:
        value = extra.value if isinstance(extra, Literal) else None
        if isinstance(value, str) and shape == SLIDING:
            shape, step = _shape(name, value, seconds, start_of(extra))
        elif _is_number(value) and argument is None and name == _NEEDS_NUMBER:
            argument = float(value)  # pyright: ignore[reportArgumentType]
        else:
            raise ExpressionError("window_argument", {"name": name}, start_of(extra))
    if name == _NEEDS_NUMBER and (argument is None or not 0 <= argument <= 100):
        raise ExpressionError("window_percentile", {}, column)
    if name == "lag" and shape not in (SLIDING, COUNT):
        raise ExpressionError("window_lag", {"shape": shape}, column)
    return Window(name, tag, seconds, column, shape, step, argument)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _span(call: Call) -> tuple[float, str]:
    """Seconds and sliding, or a number of samples and count."""
    span = call.args[1]
    value = span.value if isinstance(span, Literal) else None
    if not isinstance(value, str):  # a bare 30 is a forgotten unit, not thirty samples
        raise ExpressionError("window_not_literal", {"name": call.name}, start_of(span))
    if samples := _SAMPLES.fullmatch(value):
        number = int(samples[1])
        if not 1 <= number <= MAX_SAMPLES:
            raise ExpressionError("window_samples", {"limit": MAX_SAMPLES}, start_of(span))
        return float(number), COUNT
    return _seconds(value, span), SLIDING


def _seconds(text: str, node: Node) -> float:
    seconds = parse_duration(text)
    if seconds is None or not 0 < seconds <= MAX_SECONDS:
        raise ExpressionError("bad_duration", {"text": repr(text)}, start_of(node))
    return seconds


def _shape(function: str, text: str, seconds: float, column: int) -> tuple[str, float]:
    shape, _, rest = (part.strip() for part in text.partition(":"))
    if shape not in SHAPES:
        params = {"shape": shape, **did_you_mean(shape, SHAPES)}
        raise ExpressionError("window_shape", params, column)
    step = parse_duration(rest) if rest else None
    takes = shape in (HOPPING, SESSION)
    if (rest and not takes) or (shape == HOPPING and not rest) or (rest and not step):
        raise ExpressionError("window_step", {"shape": shape}, column)
    if step is not None and (step < 0 or step > MAX_SECONDS):
        raise ExpressionError("window_step", {"shape": shape}, column)
    if shape == HOPPING and seconds / (step or 1.0) > MAX_OVERLAP:
        raise ExpressionError("window_overlap", {"limit": MAX_OVERLAP}, column)
    return shape, step or 0.0
