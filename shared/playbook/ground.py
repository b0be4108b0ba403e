"""Grounds an expression for the edge: what the run knows becomes a literal, tags stay.

Called for a command's `require` and `verify`: the edge evaluates them on its own fresh data and
knows nothing of inputs, the alarm or earlier steps. Pure.
"""

from __future__ import annotations

import json

from shared.expression import Environment, Expression, Unknown
from shared.expression.functions import FUNCTIONS
from shared.expression.tree import (
    Binary,
    Comprehension,
    Conditional,
    Has,
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
    Window,
    walk,
)


class NotGroundError(ValueError):
    """A part that the run should know is unknown, or cannot be written as a literal."""


def ground(expression: Expression, env: Environment) -> str:
    """The expression's text without roots; raises NotGroundError."""
    return _Writer(env, expression.max_steps).write(expression.tree)


class _Writer:
    def __init__(self, env: Environment, max_steps: int) -> None:
        self.env, self.max_steps = env, max_steps

    def write(self, node: Node) -> str:
        parts = list(walk(node))
        rooted = any(isinstance(part, Root) for part in parts)
        free = any(isinstance(part, TagMember | Window | Local) for part in parts)
        return self.known(node, len(parts)) if rooted and not free else self.text(node)

    def known(self, node: Node, nodes: int) -> str:
        value = Expression("", node, nodes, self.max_steps).evaluate(self.env)
        if isinstance(value, Unknown):
            raise NotGroundError(value.reason)
        if value is not None and not isinstance(value, bool | int | float | str | list | dict):
            raise NotGroundError(f"{type(value).__name__} has no literal")
        return json.dumps(value, ensure_ascii=False)

    def text(self, node: Node) -> str:
        write = self.write
        match node:
            case Literal(value):
                return json.dumps(value, ensure_ascii=False)
            case TagMember(tag, member):
                return f"tag({json.dumps(tag, ensure_ascii=False)}).{member}"
            case Window() if node.is_plain:
                name = json.dumps(node.tag, ensure_ascii=False)
                return f'{node.function}({name}, "{node.seconds:g}s")'
            case Local(name):
                return name
            case Select(operand, member):
                return f"{write(operand)}.{member}"
            case Index(operand, key):
                return f"{write(operand)}[{write(key)}]"
            case Has(operand, member):
                return f"has({write(operand)}.{member})"
            case Unary(op, operand):
                return f"{op}({write(operand)})"
            case Binary(op, left, right):
                return f"({write(left)} {op} {write(right)})"
            case Logic(op, items):
                return "(" + f" {op} ".join(write(item) for item in items) + ")"
            case Conditional(condition, then, otherwise):
                return f"({write(condition)} ? {write(then)} : {write(otherwise)})"
            case ListOf(items):
                return "[" + ", ".join(write(item) for item in items) + "]"
            case MapOf(keys, values):
                pairs = zip(keys, values, strict=True)
                return "{" + ", ".join(f"{write(k)}: {write(v)}" for k, v in pairs) + "}"
            case Invoke(name, _, args):
                return self.invoke(name, [write(arg) for arg in args])
            case Comprehension():
                return self.comprehension(node)
            case _:
                raise NotGroundError(f"{type(node).__name__} cannot be sent to an edge")

    @staticmethod
    def invoke(name: str, args: list[str]) -> str:
        found = FUNCTIONS.get(name)
        if found is not None and found.plain:
            return f"{name}({', '.join(args)})"
        return f"{args[0]}.{name}({', '.join(args[1:])})"

    def comprehension(self, node: Comprehension) -> str:
        bodies = [self.write(part) for part in (node.predicate, node.transform) if part is not None]
        inside = ", ".join([node.variable, *bodies])
        return f"{self.write(node.source)}.{node.macro}({inside})"
