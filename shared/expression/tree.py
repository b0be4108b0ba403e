"""Owns the restricted syntax tree: the only shapes an expression can have.

Made by the parser (first group) and the resolver (second group); walked by the interpreter and the
code generator. Never holds anything a user could make callable.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, text, true, false or null."""

    value: str | int | float | bool | None
    column: int


@dataclass(frozen=True, slots=True)
class Ident:
    """A bare name, before it is known to be a root or a loop variable."""

    name: str
    column: int


@dataclass(frozen=True, slots=True)
class Call:
    """`name(args)` or `target.name(args)`, before the name is looked up."""

    name: str
    target: "Node | None"
    args: tuple["Node", ...]
    column: int


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.member`."""

    operand: "Node"
    member: str
    column: int


@dataclass(frozen=True, slots=True)
class Index:
    """`operand[key]`."""

    operand: "Node"
    key: "Node"
    column: int


@dataclass(frozen=True, slots=True)
class Unary:
    """`!operand` or `-operand`."""

    op: str
    operand: "Node"
    column: int


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic, comparison or `in`."""

    op: str
    left: "Node"
    right: "Node"
    column: int


@dataclass(frozen=True, slots=True)
class Logic:
    """A whole chain of one of `&&` and `||`, so that long chains stay flat."""

    op: str
    items: tuple["Node", ...]
    column: int


@dataclass(frozen=True, slots=True)
class Conditional:
    """`condition ? then : otherwise`."""

    condition: "Node"
    then: "Node"
    otherwise: "Node"
    column: int


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`."""

    items: tuple["Node", ...]
    column: int


@dataclass(frozen=True, slots=True)
class MapOf:
    """`{key: value}`; keys and values in step."""

    keys: tuple["Node", ...]
    values: tuple["Node", ...]
    column: int


@dataclass(frozen=True, slots=True)
class Root:
    """A root of the environment."""

    name: str
    column: int


@dataclass(frozen=True, slots=True)
class Local:
    """The variable of the enclosing comprehension (there is at most one)."""

    name: str
    column: int


@dataclass(frozen=True, slots=True)
class TagMember:
    """`tag("name").value`, `.last`, `.good` or `.age_s`."""

    tag: str
    member: str
    column: int


@dataclass(frozen=True, slots=True)
class Window:
    """`avg("name", "30s")` and its kin; `seconds` counts samples when the shape is `count`."""

    function: str
    tag: str
    seconds: float
    column: int
    shape: str = "sliding"
    step: float = 0.0
    argument: float | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it slides over time and needs no further number."""
        return self.shape == "sliding" and self.argument is None


@dataclass(frozen=True, slots=True)
class AlarmMember:
    """`alarm("id").active` or `.acked`."""

    alarm: str
    member: str
    column: int


@dataclass(frozen=True, slots=True)
class Has:
    """`has(operand.member)`."""

    operand: "Node"
    member: str
    column: int


@dataclass(frozen=True, slots=True)
class Invoke:
    """A call of a registered function; `call(meter, *args)` is ours, never the user's."""

    name: str
    call: Callable[..., object]
    args: tuple["Node", ...]
    column: int


@dataclass(frozen=True, slots=True)
class Comprehension:
    """all, exists, exists_one, map or filter; `cost` steps are charged for each item."""

    macro: str
    source: "Node"
    variable: str
    predicate: "Node | None"
    transform: "Node | None"
    cost: int
    column: int


type_names = (
    Literal, Ident, Call, Select, Index, Unary, Binary, Logic, Conditional, ListOf, MapOf,
    Root, Local, TagMember, AlarmMember, Window, Has, Invoke, Comprehension,
)  # fmt: skip
Node = (
    Literal | Ident | Call | Select | Index | Unary | Binary | Logic | Conditional | ListOf | MapOf
    | Root | Local | TagMember | AlarmMember | Window | Has | Invoke | Comprehension
)  # fmt: skip


def children(node: Node) -> Iterator[Node]:
    """Yield the direct children of a node, left to right."""
    for item in fields(node):
        value = getattr(node, item.name)
        if isinstance(value, type_names):
            yield value
        elif isinstance(value, tuple):
            yield from value


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(children(current))


def start_of(node: Node) -> int:
    """Return the column where a node's text begins (`column` points at its operator or member)."""
    return min(part.column for part in walk(node))


def depth_of(node: Node) -> int:
    """Return the number of levels of a tree (its own recursion is bounded by the parser)."""
    return 1 + max((depth_of(child) for child in children(node)), default=0)
