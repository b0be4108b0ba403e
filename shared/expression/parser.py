"""Owns the grammar: tokens in, syntax tree out, by precedence climbing.

Called by `program` and `template`; names are looked up later, by `resolve`.
Never recurses deeper than the depth limit and never builds more nodes than the node limit.
"""

from typing import NoReturn

from shared.expression.tokens import Token
from shared.expression.tree import (
    Binary,
    Call,
    Conditional,
    Ident,
    Index,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Node,
    Select,
    Unary,
    depth_of,
)
from shared.expression.values import INT_MAX, MAX_DEPTH, MAX_NODES, ExpressionError

_BINDING = {
    "||": 1, "&&": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "in": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5,
}  # fmt: skip
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_WORDS = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}


def parse(tokens: list[Token]) -> Node:
    """Parse one whole expression; raises ExpressionError at the first fault."""
    if len(tokens) == 1:
        raise ExpressionError("empty", {}, tokens[0].column)
    parser = _Parser(tokens)
    node = parser.expression()
    if parser.current.kind != "end":
        parser.fail("an operator or the end", "运算符或结尾")
    if depth_of(node) > MAX_DEPTH:
        raise ExpressionError("too_deep", {"limit": MAX_DEPTH}, node.column)
    return node


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.nesting = 0
        self.nodes = 0
        self.current = tokens[0]

    def advance(self) -> Token:
        token = self.current
        self.position += 1
        self.current = self.tokens[self.position]
        return token

    def at(self, *operators: str) -> bool:
        return self.current.kind == "op" and self.current.value in operators

    def expect(self, operator: str) -> None:
        if not self.at(operator):
            self.fail(operator, f" {operator}")
        self.advance()

    def fail(self, expected: str, expected_zh: str) -> NoReturn:
        token = self.current
        params = {
            "expected": expected,
            "expected_zh": expected_zh,
            "found": token.shown,
        }
        if token.kind == "end":
            raise ExpressionError("unexpected_end", params, token.column)
        if token.kind == "name" and token.value in _WORDS:
            params["instead"] = _WORDS[str(token.value)]
            raise ExpressionError("operator_hint", params, token.column)
        raise ExpressionError("unexpected_token", params, token.column)

    def made(self, node: Node) -> Node:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ExpressionError("too_many_nodes", {"limit": MAX_NODES}, node.column)
        return node

    def expression(self) -> Node:
        # Bounding the recursion here bounds Python's stack whatever the text is.
        self.nesting += 1
        if self.nesting > MAX_DEPTH:
            raise ExpressionError("too_deep", {"limit": MAX_DEPTH}, self.current.column)
        node = self.binary(1)
        if self.at("?"):
            column = self.advance().column
            then = self.expression()
            self.expect(":")
            node = self.made(Conditional(node, then, self.expression(), column))
        self.nesting -= 1
        return node

    def binary(self, least: int) -> Node:
        left = self.unary()
        while True:
            operator = str(self.current.value) if self.current.kind in ("op", "name") else ""
            binding = _BINDING.get(operator, 0)
            if binding < least or binding == 0:
                return left
            column = self.advance().column
            if operator in ("&&", "||"):
                left = self.chain(operator, left, binding, column)
            else:
                left = self.made(Binary(operator, left, self.binary(binding + 1), column))

    def chain(self, operator: str, first: Node, binding: int, column: int) -> Node:
        items = [first, self.binary(binding + 1)]
        while self.at(operator):
            self.advance()
            items.append(self.binary(binding + 1))
        return self.made(Logic(operator, tuple(items), column))

    def unary(self) -> Node:
        signs: list[Token] = []
        while self.at("!", "-"):
            signs.append(self.advance())
            if len(signs) > MAX_DEPTH:
                raise ExpressionError("too_deep", {"limit": MAX_DEPTH}, signs[-1].column)
        negative = bool(signs) and signs[-1].value == "-" and self.current.kind in ("int", "float")
        if negative:
            signs.pop()
        node = self.postfix(self.primary(negative=negative))
        for sign in reversed(signs):
            node = self.made(Unary(str(sign.value), node, sign.column))
        return node

    def postfix(self, node: Node) -> Node:
        while True:
            if self.at("."):
                self.advance()
                if self.current.kind != "name" or self.current.value in (
                    *_CONSTANTS,
                    "in",
                ):
                    self.fail("a member name", "成员名称")
                word = self.advance()
                if self.at("("):
                    node = self.made(Call(str(word.value), node, self.arguments(), word.column))
                else:
                    node = self.made(Select(node, str(word.value), word.column))
            elif self.at("["):
                column = self.advance().column
                key = self.expression()
                self.expect("]")
                node = self.made(Index(node, key, column))
            else:
                return node

    def arguments(self) -> tuple[Node, ...]:
        self.expect("(")
        items = self.items(")", trailing=False)
        return tuple(items)

    def items(self, close: str, *, trailing: bool) -> list[Node]:
        """Read `a, b` up to and including the closing bracket."""
        found: list[Node] = []
        while not self.at(close):
            found.append(self.expression())
            if not self.at(","):
                break
            self.advance()
            if self.at(close) and not trailing:
                self.fail("an argument", "参数")
        self.expect(close)
        return found

    def primary(self, *, negative: bool = False) -> Node:
        token = self.current
        if token.kind in ("int", "float", "string"):
            self.advance()
            return self.made(self.literal(token, negative=negative))
        if token.kind == "name":
            return self.named()
        if self.at("("):
            self.advance()
            node = self.expression()
            self.expect(")")
            return node
        if self.at("["):
            self.advance()
            return self.made(ListOf(tuple(self.items("]", trailing=True)), token.column))
        if self.at("{"):
            return self.mapping()
        self.fail("a value", "一个值")

    def literal(self, token: Token, *, negative: bool) -> Literal:
        value = token.value
        if isinstance(value, int | float) and negative:
            value = -value
        if isinstance(value, int) and not -INT_MAX - 1 <= value <= INT_MAX:
            raise ExpressionError("int_out_of_range", {"number": value}, token.column)
        return Literal(value, token.column)

    def named(self) -> Node:
        word = str(self.current.value)
        if word in _WORDS:
            self.fail("a value", "一个值")
        if word in _RESERVED:
            raise ExpressionError("reserved_word", {"name": word}, self.current.column)
        token = self.advance()
        if word in _CONSTANTS:
            return self.made(Literal(_CONSTANTS[word], token.column))
        if self.at("("):
            return self.made(Call(word, None, self.arguments(), token.column))
        return self.made(Ident(word, token.column))

    def mapping(self) -> Node:
        column = self.advance().column
        keys: list[Node] = []
        values: list[Node] = []
        while not self.at("}"):
            keys.append(self.expression())
            self.expect(":")
            values.append(self.expression())
            if not self.at(","):
                break
            self.advance()
        self.expect("}")
        return self.made(MapOf(tuple(keys), tuple(values), column))
