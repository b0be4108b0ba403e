"""Owns the meaning of names: roots, tags, windows, macros and functions, all fixed at load.

Called by `program` and `template` on a freshly parsed tree; returns the tree that is evaluated.
Never leaves a name to be looked up by text at evaluation, except keys of data.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from shared.expression.functions import FUNCTIONS, MACROS, WINDOWS, Function
from shared.expression.regex import PatternError, compile_pattern
from shared.expression.tree import (
    AlarmMember,
    Binary,
    Call,
    Comprehension,
    Conditional,
    Has,
    Ident,
    Index,
    Invoke,
    ListOf,
    Literal,
    Local,
    Logic,
    MapOf,
    Node,
    Root,
    Select,
    TagMember,
    Unary,
    start_of,
    walk,
)
from shared.expression.values import ExpressionError, did_you_mean
from shared.expression.windows import window_of

TAG_MEMBERS = frozenset({"value", "last", "good", "age_s"})
ALARM_MEMBERS = frozenset({"active", "acked"})


@dataclass(frozen=True, slots=True)
class Names:
    """What an expression may name: roots (with their members when known), tags, own functions.

    `alarms` None: there are none to speak of here, `alarm` is no name.
    """

    roots: Mapping[str, Collection[str] | None]
    tags: Collection[str] | None = None
    functions: Mapping[str, Function] = field(default_factory=dict)
    alarms: Collection[str] | None = None

    def function(self, name: str) -> Function | None:
        """Look a function up; ours cannot be replaced."""
        return FUNCTIONS.get(name) or self.functions.get(name)


def resolve(node: Node, names: Names) -> Node:
    """Turn a parsed tree into one that can be evaluated."""
    return _Resolver(names).node(node, None)


class _Resolver:
    def __init__(self, names: Names) -> None:
        self.names = names

    def nodes(self, nodes: tuple[Node, ...], local: str | None) -> tuple[Node, ...]:
        return tuple(self.node(node, local) for node in nodes)

    def node(self, node: Node, local: str | None) -> Node:
        match node:
            case Ident():
                return self.ident(node, local)
            case Call():
                return self.call(node, local)
            case Select():
                return self.select(node, local)
            case Index(operand, key, column):
                return Index(self.node(operand, local), self.node(key, local), column)
            case Unary(op, operand, column):
                return Unary(op, self.node(operand, local), column)
            case Binary(op, left, right, column):
                return Binary(op, self.node(left, local), self.node(right, local), column)
            case Logic(op, items, column):
                return Logic(op, self.nodes(items, local), column)
            case Conditional(condition, then, otherwise, column):
                first = self.node(condition, local)
                return Conditional(
                    first, self.node(then, local), self.node(otherwise, local), column
                )
            case ListOf(items, column):
                return ListOf(self.nodes(items, local), column)
            case MapOf(keys, values, column):
                return MapOf(self.nodes(keys, local), self.nodes(values, local), column)
            case _:
                return node

    def ident(self, node: Ident, local: str | None) -> Node:
        if node.name == local:
            return Local(node.name, node.column)
        if node.name in self.names.roots:
            return Root(node.name, node.column)
        known = {*self.names.roots, *([local] if local else [])}
        params = {"name": node.name, **did_you_mean(node.name, known)}
        raise ExpressionError("unknown_root", params, node.column)

    def select(self, node: Select, local: str | None) -> Node:
        operand = node.operand
        if isinstance(operand, Call) and operand.target is None and operand.name == "tag":
            return self.tag(operand, node)
        if isinstance(operand, Call) and operand.target is None and operand.name == "alarm":
            return self.alarm(operand, node)
        resolved = self.node(operand, local)
        if isinstance(resolved, Root):
            self.check_member(resolved.name, node.member, node.column)
        return Select(resolved, node.member, node.column)

    def check_member(self, root: str, member: str, column: int) -> None:
        known = self.names.roots[root]
        if known is not None and member not in known:
            params = {"root": root, "name": member, **did_you_mean(member, set(known))}
            raise ExpressionError("unknown_member", params, column)

    def tag_name(self, node: Node, code: str, params: Mapping[str, object]) -> str:
        if not isinstance(node, Literal) or not isinstance(node.value, str) or not node.value:
            raise ExpressionError(code, params, start_of(node))
        known = self.names.tags
        if known is not None and node.value not in known:
            hint = did_you_mean(node.value, set(known))
            raise ExpressionError("unknown_tag", {"name": node.value, **hint}, node.column)
        return node.value

    def tag(self, call: Call, node: Select) -> Node:
        self.count("tag", len(call.args), 1, 1, call.column)
        name = self.tag_name(call.args[0], "tag_not_literal", {})
        if node.member not in TAG_MEMBERS:
            params = {"name": node.member, **did_you_mean(node.member, TAG_MEMBERS)}
            raise ExpressionError("tag_unknown_member", params, node.column)
        return TagMember(name, node.member, call.column)

    def alarm(self, call: Call, node: Select) -> Node:
        known = self.names.alarms
        if known is None:
            raise ExpressionError("alarms_not_here", {}, call.column)
        self.count("alarm", len(call.args), 1, 1, call.column)
        name = call.args[0].value if isinstance(call.args[0], Literal) else None
        if not isinstance(name, str):
            raise ExpressionError("alarm_not_literal", {}, start_of(call.args[0]))
        if name not in known:
            params = {"name": name, **did_you_mean(name, set(known))}
            raise ExpressionError("unknown_alarm", params, call.args[0].column)
        if node.member not in ALARM_MEMBERS:
            params = {"name": node.member, **did_you_mean(node.member, ALARM_MEMBERS)}
            raise ExpressionError("alarm_unknown_member", params, node.column)
        return AlarmMember(name, node.member, call.column)

    def count(self, name: str, given: int, least: int, most: int, column: int) -> None:
        if not least <= given <= most:
            expected = str(least) if least == most else f"{least}..{most}"
            params = {"name": name, "expected": expected, "given": given}
            raise ExpressionError("wrong_argument_count", params, column)

    def call(self, node: Call, local: str | None) -> Node:
        if node.target is not None:
            return self.method(node, node.target, local)
        first = node.args[0] if node.args else None
        texty = isinstance(first, Literal) and isinstance(first.value, str)
        if node.name in WINDOWS and (texty or self.names.function(node.name) is None):
            return self.window(node)
        if node.name == "tag":
            raise ExpressionError("tag_needs_member", {}, node.column)
        if node.name == "alarm":
            raise ExpressionError("alarm_not_literal", {}, node.column)
        if node.name == "has":
            return self.has(node, local)
        found = self.names.function(node.name)
        if found is None or not found.plain:
            known = {name for name in self.known_functions() if self.is_plain(name)}
            params = {"name": node.name, **did_you_mean(node.name, known)}
            raise ExpressionError("unknown_function", params, node.column)
        return self.invoke(node, found, self.nodes(node.args, local))

    def known_functions(self) -> set[str]:
        return {*FUNCTIONS, *self.names.functions, *WINDOWS, "tag", "has"}

    def is_plain(self, name: str) -> bool:
        found = self.names.function(name)
        return found is None or found.plain

    def method(self, node: Call, target: Node, local: str | None) -> Node:
        if node.name in MACROS:
            return self.comprehension(node, target, local)
        found = self.names.function(node.name)
        if found is None or not found.method:
            methods = {
                n for n in self.known_functions() if (f := self.names.function(n)) and f.method
            }
            params = {"name": node.name, **did_you_mean(node.name, methods | MACROS)}
            raise ExpressionError("unknown_method", params, node.column)
        return self.invoke(node, found, self.nodes((target, *node.args), local))

    def invoke(self, node: Call, found: Function, args: tuple[Node, ...]) -> Node:
        shift = 1 if node.target is not None else 0
        least, most = found.least - shift, found.most - shift
        self.count(node.name, len(node.args), least, most, node.column)
        pattern = args[1] if node.name == "matches" else None
        if isinstance(pattern, Literal) and isinstance(pattern.value, str):
            try:
                _ = compile_pattern(pattern.value)
            except PatternError as error:
                params = {"detail": error.detail, "detail_zh": error.detail_zh}
                raise ExpressionError("bad_pattern", params, pattern.column) from error
        return Invoke(node.name, found.strict, args, node.column)

    def window(self, node: Call) -> Node:
        self.count(node.name, len(node.args), 2, 4, node.column)
        name = self.tag_name(node.args[0], "window_not_literal", {"name": node.name})
        return window_of(node, name)

    def has(self, node: Call, local: str | None) -> Node:
        self.count("has", len(node.args), 1, 1, node.column)
        inner = node.args[0]
        selected = self.node(inner, local)
        if not isinstance(selected, Select):
            raise ExpressionError("has_argument", {}, start_of(inner))
        return Has(selected.operand, selected.member, node.column)

    def comprehension(self, node: Call, target: Node, local: str | None) -> Node:
        if local is not None:
            raise ExpressionError("nested_comprehension", {"name": node.name}, node.column)
        self.count(node.name, len(node.args), 2, 3 if node.name == "map" else 2, node.column)
        variable, *bodies = node.args
        if not isinstance(variable, Ident):
            raise ExpressionError("macro_variable", {"name": node.name}, start_of(variable))
        source = self.node(target, None)
        body = self.nodes(tuple(bodies), variable.name)
        cost = 1 + sum(1 for part in body for _ in walk(part))
        predicate = body[0] if node.name != "map" or len(body) == 2 else None
        transform = body[-1] if node.name == "map" else None
        name, column = variable.name, node.column
        return Comprehension(node.name, source, name, predicate, transform, cost, column)
