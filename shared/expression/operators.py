"""Owns what each operator does to values, including errors and the third truth value.

Called by the interpreter and, off its fast paths, by generated code: one meaning for both.
Never raises for bad data (it returns Unknown); only an empty step budget is raised.
"""

import math
from collections.abc import Callable, Mapping
from typing import TypeGuard

from shared.expression.values import (
    INT_MAX,
    INT_MIN,
    MAX_DATA_DEPTH,
    MAX_ITEMS,
    MAX_STRING,
    BudgetExceededError,
    Unknown,
)

# The step budget of one evaluation: a one-element list, because it is the cheapest mutable cell.
Meter = list[int]


def charge(meter: Meter, steps: int) -> None:
    """Take steps from the budget."""
    meter[0] -= steps
    if meter[0] < 0:
        raise BudgetExceededError


def type_name(value: object) -> str:
    """Name a value's type as CEL does."""
    if value is None:
        return "null"
    for kinds, name in (
        (bool, "bool"), (int, "int"), (float, "double"), (str, "string"),
        ((list, tuple), "list"), (Mapping, "map"),
    ):  # fmt: skip
        if isinstance(value, kinds):
            return "int beyond 64 bits" if name == "int" and not is_number(value) else name
    return type(value).__name__


def merge(*values: object) -> Unknown | None:
    """Return the Unknown that decides a strict operation: quality before error, then the first."""
    first: Unknown | None = None
    for value in values:
        if type(value) is Unknown:
            if not value.is_error:
                return value
            if first is None:
                first = value
    return first


def wrong_type(operation: str, *values: object) -> Unknown:
    """Answer for operands the operation does not take, or the Unknown among them."""
    unknown = merge(*values)
    if unknown is not None:
        return unknown
    types = ", ".join(type_name(value) for value in values)
    return Unknown("wrong_type", {"operation": operation, "types": types})


def is_number(value: object) -> TypeGuard[int | float]:
    """True for a double or an int of 64 bits; a bool is not a number here.

    Data from outside may hold larger ints: mixed with a double they would raise in Python.
    """
    if isinstance(value, int):
        return not isinstance(value, bool) and INT_MIN <= value <= INT_MAX
    return isinstance(value, float)


def bounded(result: float) -> object:
    """Keep integers within 64 bits."""
    if isinstance(result, int) and not INT_MIN <= result <= INT_MAX:
        return Unknown("overflow")
    return result


def add(meter: Meter, left: object, right: object) -> object:
    """`+` on numbers, texts and lists; results are bounded in size."""
    if is_number(left) and is_number(right):
        return bounded(left + right)
    if isinstance(left, str) and isinstance(right, str):
        size = len(left) + len(right)
        charge(meter, 1 + size // 64)
        if size > MAX_STRING:
            return Unknown("too_large", {"limit": MAX_STRING})
        return left + right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        size = len(left) + len(right)
        if size > MAX_ITEMS:
            return Unknown("too_large", {"limit": MAX_ITEMS})
        charge(meter, 1 + size)
        return [*left, *right]
    return wrong_type("+", left, right)


def subtract(left: object, right: object) -> object:
    """`-` on numbers."""
    if is_number(left) and is_number(right):
        return bounded(left - right)
    return wrong_type("-", left, right)


def multiply(left: object, right: object) -> object:
    """`*` on numbers."""
    if is_number(left) and is_number(right):
        return bounded(left * right)
    return wrong_type("*", left, right)


def divide(left: object, right: object) -> object:
    """`/`: whole numbers truncate toward zero, as in CEL; zero is an error for doubles too."""
    if not (is_number(left) and is_number(right)):
        return wrong_type("/", left, right)
    if right == 0:
        return Unknown("division_by_zero")
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return bounded(quotient if (left < 0) == (right < 0) else -quotient)
    return float(left) / float(right)


def modulo(left: object, right: object) -> object:
    """`%` with the sign of the left operand."""
    if not (is_number(left) and is_number(right)):
        return wrong_type("%", left, right)
    if right == 0:
        return Unknown("division_by_zero")
    if isinstance(left, int) and isinstance(right, int):
        if left == INT_MIN and right == -1:
            return Unknown("overflow")
        rest = abs(left) % abs(right)
        return -rest if left < 0 else rest
    if math.isinf(left):
        return math.nan
    return math.fmod(left, right)


def negate(value: object) -> object:
    """Unary `-`."""
    if is_number(value):
        return bounded(-value)
    return wrong_type("-", value)


def invert(value: object) -> object:
    """`!`."""
    if value is True:
        return False
    if value is False:
        return True
    return wrong_type("!", value)


def _ordered(left: object, right: object) -> bool:
    return (
        (is_number(left) and is_number(right))
        or (isinstance(left, str) and isinstance(right, str))
        or (isinstance(left, bool) and isinstance(right, bool))
    )


def less(left: object, right: object) -> object:
    """`<`."""
    if _ordered(left, right):
        return bool(left < right)  # pyright: ignore[reportOperatorIssue]
    return wrong_type("<", left, right)


def less_equal(left: object, right: object) -> object:
    """`<=`."""
    if _ordered(left, right):
        return bool(left <= right)  # pyright: ignore[reportOperatorIssue]
    return wrong_type("<=", left, right)


def greater(left: object, right: object) -> object:
    """`>`."""
    if _ordered(left, right):
        return bool(left > right)  # pyright: ignore[reportOperatorIssue]
    return wrong_type(">", left, right)


def greater_equal(left: object, right: object) -> object:
    """`>=`."""
    if _ordered(left, right):
        return bool(left >= right)  # pyright: ignore[reportOperatorIssue]
    return wrong_type(">=", left, right)


def equal(meter: Meter, left: object, right: object, depth: int = 0) -> object:
    """`==`: never an error for unlike types, numbers compare across int and double."""
    unknown = merge(left, right)
    if unknown is not None:
        return unknown
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return _equal_lists(meter, left, right, depth + 1)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return _equal_maps(meter, left, right, depth + 1)
    if (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str)):
        return bool(left == right)
    return left is None and right is None


def _equal_lists(
    meter: Meter, left: list[object] | tuple[object, ...], right: object, depth: int
) -> object:
    assert isinstance(right, list | tuple)
    if depth > MAX_DATA_DEPTH:
        return Unknown("too_deep_value", {"limit": MAX_DATA_DEPTH})
    if len(left) != len(right):
        return False
    result: object = True
    for one, other in zip(left, right, strict=True):
        charge(meter, 1)
        result = both(result, equal(meter, one, other, depth))
        if result is False:
            break
    return result


def _equal_maps(
    meter: Meter,
    left: Mapping[object, object],
    right: Mapping[object, object],
    depth: int,
) -> object:
    if depth > MAX_DATA_DEPTH:
        return Unknown("too_deep_value", {"limit": MAX_DATA_DEPTH})
    if len(left) != len(right):
        return False
    result: object = True
    for key, value in left.items():
        charge(meter, 1)
        found, other = lookup(meter, right, key)
        result = both(result, equal(meter, value, other, depth) if found else False)
        if result is False:
            break
    return result


def unequal(meter: Meter, left: object, right: object) -> object:
    """`!=`."""
    return invert(equal(meter, left, right))


def lookup(meter: Meter, mapping: Mapping[object, object], key: object) -> tuple[bool, object]:
    """Find a key as CEL does: 1 and 1.0 are one key, 1 and true are not (in Python they are)."""
    if isinstance(key, str):
        return (True, mapping[key]) if key in mapping else (False, None)
    if not (isinstance(key, bool) or is_number(key)) or key not in mapping:
        return False, None
    charge(meter, len(mapping))
    for candidate, value in mapping.items():
        if candidate == key and isinstance(candidate, bool) == isinstance(key, bool):
            return True, value
    return False, None


def contained(meter: Meter, item: object, container: object) -> object:
    """`in` on lists (any equal item) and maps (a key)."""
    unknown = merge(item, container)
    if unknown is not None:
        return unknown
    if isinstance(container, Mapping):
        return lookup(meter, container, item)[0]
    if not isinstance(container, list | tuple):
        return wrong_type("in", item, container)
    result: object = False
    for candidate in container:
        charge(meter, 1)
        result = either(result, equal(meter, item, candidate))
        if result is True:
            break
    return result


def both(left: object, right: object) -> object:
    """`&&`, commutative: false decides whatever the other side is."""
    if left is False or right is False:
        return False
    if left is True and right is True:
        return True
    return _undecided("&&", left, right)


def either(left: object, right: object) -> object:
    """`||`, commutative: true decides whatever the other side is."""
    if left is True or right is True:
        return True
    if left is False and right is False:
        return False
    return _undecided("||", left, right)


def _undecided(operation: str, left: object, right: object) -> Unknown:
    unknown = merge(left, right)
    if unknown is not None:
        return unknown
    odd = [value for value in (left, right) if not isinstance(value, bool)]
    return wrong_type(operation, *odd)


def member(operand: object, name: str) -> object:
    """`operand.name`: maps only, so no attribute of any Python object is reachable."""
    if isinstance(operand, Mapping):
        if name in operand:
            return operand[name]
        return Unknown("missing_key", {"key": name})
    return wrong_type(f".{name}", operand)


def has_member(operand: object, name: str) -> object:
    """`has(operand.name)`; a missing or null link earlier in the chain also means "no"."""
    if isinstance(operand, Mapping):
        return name in operand
    if operand is None or (type(operand) is Unknown and operand.code == "missing_key"):
        return False
    return wrong_type("has", operand)


def index(meter: Meter, operand: object, key: object) -> object:
    """`operand[key]` on maps and lists."""
    unknown = merge(operand, key)
    if unknown is not None:
        return unknown
    if isinstance(operand, Mapping):
        found, value = lookup(meter, operand, key)
        return value if found else Unknown("missing_key", {"key": key})
    if not isinstance(operand, list | tuple) or not is_number(key) or key != key // 1:
        return wrong_type("[]", operand, key)
    if not 0 <= key < len(operand):
        return Unknown("index_out_of_range", {"index": key, "size": len(operand)})
    return operand[int(key)]


def list_of(items: list[object]) -> object:
    """`[a, b]`: Unknown when any item is."""
    unknown = merge(*items)
    return items if unknown is None else unknown


def map_of(keys: list[object], values: list[object]) -> object:
    """`{key: value}`: keys are texts, whole numbers or bools, each once."""
    unknown = merge(*keys, *values)
    if unknown is not None:
        return unknown
    result: dict[object, object] = {}
    for key, value in zip(keys, values, strict=True):
        if not isinstance(key, str | int):
            return Unknown("bad_key", {"types": type_name(key)})
        # Python takes 1 and true for the same key; refusing the pair is safer than losing one.
        if key in result:
            return Unknown("duplicate_key", {"key": key})
        result[key] = value
    return result


def items_of(macro: str, source: object) -> object:
    """Return the list a comprehension runs over (a map's keys), or Unknown."""
    if not isinstance(source, list | tuple | Mapping):
        return wrong_type(macro, source)
    if len(source) > MAX_ITEMS:
        return Unknown("too_large", {"limit": MAX_ITEMS})
    return list(source)


METERED: dict[str, Callable[[Meter, object, object], object]] = {
    "+": add, "==": equal, "!=": unequal, "in": contained,
}  # fmt: skip
PLAIN: dict[str, Callable[[object, object], object]] = {
    "-": subtract, "*": multiply, "/": divide, "%": modulo,
    "<": less, "<=": less_equal, ">": greater, ">=": greater_equal,
}  # fmt: skip
