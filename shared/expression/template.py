"""Owns `${...}` inside texts, and inside the texts of nested data.

Called by playbooks (messages, command arguments, webhook bodies) at load and at evaluation.
Never evaluates what a value contains: a value that reads "${x}" arrives exactly so.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from shared.expression.functions import Function, display
from shared.expression.operators import merge
from shared.expression.program import KEPT, Expression, Roots, from_tokens, names_of
from shared.expression.resolve import Names
from shared.expression.tokens import tokenize
from shared.expression.values import (
    MAX_CHARS,
    MAX_DEPTH,
    MAX_STEPS,
    MAX_STRING,
    BudgetExceededError,
    Environment,
    ExpressionError,
    Unknown,
)

MAX_PARTS = 32
MAX_TEMPLATE = 10_000


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled text: literal pieces and expressions in order."""

    text: str
    parts: tuple[str | Expression, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions inside, for linting."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    def evaluate(self, env: Environment) -> object:
        """Return the text; a lone `${...}` keeps its type; Unknown when any part is."""
        if len(self.parts) == 1:
            part = self.parts[0]
            return part.evaluate(env) if isinstance(part, Expression) else part
        shown = [_shown(part, env) for part in self.parts]
        unknown = merge(*shown)
        return unknown if unknown is not None else _joined(shown)

    def render(self, env: Environment, unknown: str = "?") -> str:
        """Return a text for people, who must be told even when a part is unknown."""
        shown = [_shown(part, env) for part in self.parts]
        text = "".join(unknown if type(piece) is Unknown else str(piece) for piece in shown)
        return text if len(text) <= MAX_STRING else text[: MAX_STRING - 1] + "…"


@dataclass(frozen=True, slots=True)
class DataTemplate:
    """Nested data whose texts are templates; keys are plain texts."""

    node: "Template | list[DataTemplate] | dict[str, DataTemplate] | int | float | bool | None"

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions inside, for linting."""
        node = self.node
        if isinstance(node, Template):
            return node.expressions
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        return tuple(found for item in inner for found in item.expressions)

    def evaluate(self, env: Environment) -> object:
        """Return the data with every text evaluated; Unknown when any part is."""
        node = self.node
        if isinstance(node, Template):
            return node.evaluate(env)
        if isinstance(node, list):
            items = [item.evaluate(env) for item in node]
            unknown = merge(*items)
            return items if unknown is None else unknown
        if isinstance(node, dict):
            entries = {key: item.evaluate(env) for key, item in node.items()}
            unknown = merge(*entries.values())
            return entries if unknown is None else unknown
        return node


def compile_template(
    text: str,
    *,
    roots: Roots = frozenset(),
    tags: Collection[str] | None = None,
    functions: Mapping[str, Function] | None = None,
    max_chars: int = MAX_CHARS,
    max_steps: int = MAX_STEPS,
) -> Template:
    """Compile a text with `${...}`; `$${` stands for a literal `${`. Columns count in the text."""
    if tags is None and functions is None and isinstance(roots, frozenset):
        return _kept(text, roots, max_chars, max_steps)
    return _compiled(text, names_of(roots, tags, functions), max_chars, max_steps)


@lru_cache(maxsize=KEPT)
def _kept(text: str, roots: frozenset[str], max_chars: int, max_steps: int) -> Template:
    return _compiled(text, names_of(roots, None, None), max_chars, max_steps)


def _compiled(text: str, names: Names, max_chars: int, max_steps: int) -> Template:
    if len(text) > MAX_TEMPLATE:
        params = {"length": len(text), "limit": MAX_TEMPLATE}
        raise ExpressionError("too_long", params, MAX_TEMPLATE + 1)
    parts: list[str | Expression] = []
    plain, position, count = "", 0, 0
    while (begin := text.find("${", position)) >= 0:
        if begin > position and text[begin - 1] == "$":
            plain += text[position : begin - 1] + "${"
            position = begin + 2
            continue
        plain += text[position:begin]
        tokens, position = tokenize(text, begin + 2, until_brace=True)
        inside = text[begin + 2 : position - 1]
        count += 1
        if len(inside) > max_chars:
            raise ExpressionError(
                "too_long", {"length": len(inside), "limit": max_chars}, begin + 3
            )
        if count > MAX_PARTS:
            raise ExpressionError("too_many_parts", {"limit": MAX_PARTS}, begin + 1)
        parts += [plain] if plain else []
        parts.append(from_tokens(inside, tokens, names, max_steps))
        plain = ""
    plain += text[position:]
    return Template(text, tuple([*parts, plain] if plain or not parts else parts))


def compile_data(
    data: object,
    *,
    roots: Roots = frozenset(),
    tags: Collection[str] | None = None,
    functions: Mapping[str, Function] | None = None,
    max_chars: int = MAX_CHARS,
    _depth: int = 0,
) -> DataTemplate:
    """Compile data of texts, numbers, lists and maps (a command's args, a webhook's body)."""
    if _depth > MAX_DEPTH:
        raise ExpressionError("too_deep", {"limit": MAX_DEPTH}, 1)

    def inner(item: object) -> DataTemplate:
        return compile_data(
            item,
            roots=roots,
            tags=tags,
            functions=functions,
            max_chars=max_chars,
            _depth=_depth + 1,
        )

    if isinstance(data, str):
        template = compile_template(
            data, roots=roots, tags=tags, functions=functions, max_chars=max_chars
        )
        return DataTemplate(template)
    if isinstance(data, list | tuple):
        return DataTemplate([inner(item) for item in data])
    if isinstance(data, Mapping):
        return DataTemplate({str(key): inner(item) for key, item in data.items()})
    if data is None or isinstance(data, int | float):
        return DataTemplate(data)
    raise ExpressionError("unsupported_literal", {"literal": type(data).__name__}, 1)


def _shown(part: str | Expression, env: Environment) -> object:
    if isinstance(part, str):
        return part
    value = part.evaluate(env)
    if type(value) is Unknown:
        return value
    try:
        return display([part.max_steps], value)
    except BudgetExceededError:
        return Unknown("budget_exceeded", {"limit": part.max_steps})


def _joined(pieces: list[object]) -> object:
    text = "".join(str(piece) for piece in pieces)
    return text if len(text) <= MAX_STRING else Unknown("too_large", {"limit": MAX_STRING})
