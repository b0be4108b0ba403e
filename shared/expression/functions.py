"""Owns the functions and methods an expression may call, each with its number of arguments.

Called by the resolver (lookup at load) and through `Invoke.call` at evaluation.
Never raises for bad data: every function answers Unknown; all work is charged to the step budget.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.expression.durations import parse_duration
from shared.expression.operators import (
    Meter,
    bounded,
    charge,
    is_number,
    merge,
    type_name,
    wrong_type,
)
from shared.expression.regex import MAX_TEXT, PatternError, compile_pattern
from shared.expression.values import INT_MAX, INT_MIN, MAX_STRING, Unknown

_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d{1,400}\.?\d{0,400}|\.\d{1,400})(?:[eE][+-]?\d{1,4})?", re.ASCII)
_SPECIAL = {
    "NaN": math.nan,
    "Infinity": math.inf,
    "+Infinity": math.inf,
    "-Infinity": -math.inf,
}
_BOOLS = {text: True for text in ("1", "t", "true", "TRUE", "True")} | {
    text: False for text in ("0", "f", "false", "FALSE", "False")
}


@dataclass(frozen=True, slots=True)
class Function:
    """One callable name: `call(meter, *args)` on known values, and how many arguments it takes."""

    call: Callable[..., object]
    least: int
    most: int
    method: bool = False  # may be written x.name(...)
    plain: bool = True  # may be written name(x, ...)

    def strict(self, meter: Meter, *args: object) -> object:
        """Call it unless an argument is Unknown."""
        unknown = merge(*args)
        return self.call(meter, *args) if unknown is None else unknown


def _size(_: Meter, value: object) -> object:
    if isinstance(value, str | list | tuple | Mapping):
        return len(value)
    return wrong_type("size", value)


def _failed(value: object, to: str) -> Unknown:
    shown = str(value)[:40] if isinstance(value, str | int | float) else type_name(value)
    return Unknown("bad_conversion", {"value": shown, "to": to})


def _int(_: Meter, value: object) -> object:
    if isinstance(value, bool):
        return wrong_type("int", value)
    if isinstance(value, float):
        # The bounds themselves are excluded: 2**63 as a double is already outside.
        return int(value) if INT_MIN < value < INT_MAX else _failed(value, "int")
    if isinstance(value, int):
        return bounded(value)
    if isinstance(value, str):
        number = int(value) if _INTEGER.fullmatch(value) else INT_MAX + 1
        return number if INT_MIN <= number <= INT_MAX else _failed(value, "int")
    return wrong_type("int", value)


def _double(_: Meter, value: object) -> object:
    if is_number(value):
        return float(value)
    if isinstance(value, str):
        if value in _SPECIAL:
            return _SPECIAL[value]
        return float(value) if _DECIMAL.fullmatch(value) else _failed(value, "double")
    return wrong_type("double", value)


def _bool(_: Meter, value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _BOOLS[value] if value in _BOOLS else _failed(value, "bool")
    return wrong_type("bool", value)


def text_of(meter: Meter, value: object) -> object:
    """Write a scalar as text: whole doubles without `.0`, as CEL does."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "+Inf" if value > 0 else "-Inf"
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value) if is_number(value) else Unknown("overflow")
    return wrong_type("string", value)


def display(meter: Meter, value: object) -> object:
    """Write any value as text, for templates: null as null, lists and maps as JSON."""
    if value is None:
        return "null"
    if not isinstance(value, list | tuple | Mapping):
        return text_of(meter, value)
    shown = ""
    try:
        for piece in _JSON.iterencode(value):  # piece by piece, to stop early on large data
            charge(meter, 1)
            shown += piece
            if len(shown) > MAX_STRING:
                return Unknown("too_large", {"limit": MAX_STRING})
    except (TypeError, ValueError, RecursionError):
        return _failed(value, "string")
    return shown


def _plain_mapping(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type_name(value))


_JSON = json.JSONEncoder(ensure_ascii=False, default=_plain_mapping)


def _text_test(name: str, test: Callable[[str, str], bool]) -> Callable[..., object]:
    def call(meter: Meter, text: object, part: object) -> object:
        if not (isinstance(text, str) and isinstance(part, str)):
            return wrong_type(name, text, part)
        charge(meter, 1 + len(text) // 64)
        return test(text, part)

    return call


def _text_change(name: str, change: Callable[[str], str]) -> Callable[..., object]:
    def call(meter: Meter, text: object) -> object:
        if not isinstance(text, str):
            return wrong_type(name, text)
        charge(meter, 1 + len(text) // 64)
        if len(text) > MAX_STRING:
            return Unknown("too_large", {"limit": MAX_STRING})
        return change(text)

    return call


def _ascii(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(change(c) if c.isascii() else c for c in text)


def _matches(meter: Meter, text: object, pattern: object) -> object:
    if not (isinstance(text, str) and isinstance(pattern, str)):
        return wrong_type("matches", text, pattern)
    if len(text) > MAX_TEXT:
        return Unknown("too_large", {"limit": MAX_TEXT})
    try:
        compiled = compile_pattern(pattern)
    except PatternError as error:
        return Unknown("bad_pattern", {"detail": error.detail, "detail_zh": error.detail_zh})
    return compiled.search(meter, text)


def absolute(_: Meter, value: object) -> object:
    """`abs`."""
    if is_number(value):
        return bounded(abs(value))
    return wrong_type("abs", value)


def _extreme(name: str, choose: Callable[..., object]) -> Callable[..., object]:
    def call(meter: Meter, *args: object) -> object:
        one = args[0]
        values = list(one) if len(args) == 1 and isinstance(one, list | tuple) else list(args)
        charge(meter, len(values))
        if not values or not all(is_number(value) for value in values):
            return wrong_type(name, *values) if values else wrong_type(name, one)
        # NaN makes min and max depend on the order of their arguments, so it wins outright.
        spoilt = [value for value in values if isinstance(value, float) and math.isnan(value)]
        return spoilt[0] if spoilt else choose(values)

    return call


def _rounded(name: str, change: Callable[[float], float]) -> Callable[..., object]:
    def call(_: Meter, value: object) -> object:
        if not is_number(value):
            return wrong_type(name, value)
        if isinstance(value, int) or not math.isfinite(value):
            return value
        return float(change(value))

    return call


def _round(_: Meter, value: object, digits: object = 0) -> object:
    """Round half away from zero, as people and PLCs do (Python rounds half to even)."""
    if not is_number(value) or not isinstance(digits, int) or isinstance(digits, bool):
        return wrong_type("round", value, digits)
    if not 0 <= digits <= 12:
        return wrong_type("round", value, digits)
    if isinstance(value, int) or not math.isfinite(value):
        return value
    scaled = abs(value) * 10**digits
    if scaled >= 2**52:  # such a double has no fraction left to round
        return value
    whole = math.floor(scaled)
    nearest = whole + 1 if scaled - whole >= 0.5 else whole
    return math.copysign(nearest / 10**digits, value)


def _duration(_: Meter, value: object) -> object:
    if is_number(value):
        return float(value)
    if not isinstance(value, str):
        return wrong_type("duration", value)
    seconds = parse_duration(value)
    return _failed(value, "duration") if seconds is None else seconds


FUNCTIONS: dict[str, Function] = {
    "size": Function(_size, 1, 1, method=True),
    "int": Function(_int, 1, 1),
    "double": Function(_double, 1, 1),
    "string": Function(text_of, 1, 1),
    "bool": Function(_bool, 1, 1),
    "dyn": Function(lambda _, value: value, 1, 1),
    "abs": Function(absolute, 1, 1),
    "min": Function(_extreme("min", min), 1, 16),
    "max": Function(_extreme("max", max), 1, 16),
    "round": Function(_round, 1, 2),
    "floor": Function(_rounded("floor", math.floor), 1, 1),
    "ceil": Function(_rounded("ceil", math.ceil), 1, 1),
    "duration": Function(_duration, 1, 1),
    "matches": Function(_matches, 2, 2, method=True),
    "contains": Function(_text_test("contains", lambda a, b: b in a), 2, 2, True, False),
    "startsWith": Function(_text_test("startsWith", str.startswith), 2, 2, True, False),
    "endsWith": Function(_text_test("endsWith", str.endswith), 2, 2, True, False),
    "lowerAscii": Function(_text_change("lowerAscii", _ascii(str.lower)), 1, 1, True, False),
    "upperAscii": Function(_text_change("upperAscii", _ascii(str.upper)), 1, 1, True, False),
    "trim": Function(_text_change("trim", str.strip), 1, 1, True, False),
}
WINDOWS = frozenset(
    {
        "avg", "min", "max", "stddev", "count", "rate", "lag", "changed",
        "sum", "range", "first", "last", "percentile",
    }
)  # fmt: skip
MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
