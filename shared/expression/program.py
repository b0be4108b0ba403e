"""Owns the compiled expression: what it reads, how it is evaluated, whether it is constant.

Called by alarm definitions, playbooks, triggers and webhook mapping, at load and at evaluation.
Never evaluates anything while compiling.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from shared.expression.compile import Compiled, compile_tree
from shared.expression.evaluate import Interpreter, interpret
from shared.expression.functions import Function
from shared.expression.parser import parse
from shared.expression.resolve import Names, resolve
from shared.expression.tokens import Token, tokenize
from shared.expression.tree import (
    AlarmMember,
    Index,
    Literal,
    Node,
    Root,
    Select,
    TagMember,
    Window,
    walk,
)
from shared.expression.values import (
    MAX_CHARS,
    MAX_STEPS,
    BudgetExceededError,
    Environment,
    ExpressionError,
    StaticEnvironment,
    Unknown,
)

Roots = Collection[str] | Mapping[str, Collection[str] | None]
KEPT = 2048
"""So many texts are compiled once only: runs of one document ask for the same ones for ever."""


@dataclass(frozen=True, slots=True)
class WindowUse:
    """One windowed figure an expression needs its environment to keep."""

    function: str
    tag: str
    seconds: float
    """Samples, when the shape is `count`."""
    shape: str = "sliding"
    step: float = 0.0
    argument: float | None = None


@dataclass(frozen=True)
class Expression:
    """A compiled expression; immutable, shareable between threads."""

    text: str
    tree: Node
    nodes: int
    max_steps: int = MAX_STEPS

    def evaluate(self, env: Environment) -> object:
        """Return the value, or Unknown with its reason."""
        return interpret(self.tree, env, self.max_steps - self.nodes, self.max_steps)

    def compile_to_python(self, live: Environment | None = None) -> Compiled:
        """Return a function `(env) -> value | Unknown` that equals `evaluate`, for hot paths.

        With `live`, the readings it has now are bound once and read in place ever after: only for
        an environment whose `tag` always answers the same object and updates it.
        """
        return compile_tree(self.tree, self.max_steps - self.nodes, self.max_steps, live)

    @cached_property
    def tags(self) -> frozenset[str]:
        """The tags named by tag("...") and by windows."""
        return frozenset(n.tag for n in walk(self.tree) if isinstance(n, TagMember | Window))

    @cached_property
    def windows(self) -> tuple[WindowUse, ...]:
        """The windows named, each once, in a stable order."""
        found = {
            WindowUse(n.function, n.tag, n.seconds, n.shape, n.step, n.argument)
            for n in walk(self.tree)
            if isinstance(n, Window)
        }
        return tuple(
            sorted(found, key=lambda u: (u.tag, u.function, u.seconds, u.shape, u.argument or 0))
        )

    @cached_property
    def alarms(self) -> frozenset[str]:
        """The alarms named by alarm("...")."""
        return frozenset(n.alarm for n in walk(self.tree) if isinstance(n, AlarmMember))

    @cached_property
    def roots(self) -> frozenset[str]:
        """The roots named."""
        return frozenset(node.name for node in walk(self.tree) if isinstance(node, Root))

    @cached_property
    def references(self) -> frozenset[tuple[str, ...]]:
        """The longest literal paths below roots, e.g. ("steps", "decide", "answer")."""
        return frozenset(_paths(self.tree))


def compile_expression(
    text: str,
    *,
    roots: Roots = frozenset(),
    tags: Collection[str] | None = None,
    functions: Mapping[str, Function] | None = None,
    alarms: Collection[str] | None = None,
    max_chars: int = MAX_CHARS,
    max_steps: int = MAX_STEPS,
) -> Expression:
    """Compile text once; raises ExpressionError with the column and, for names, a suggestion.

    `roots` may map a root to its known members, `tags` lists the tags that exist (None: unchecked),
    `alarms` the alarms that may be spoken of (None: none may).
    """
    if not isinstance(text, str):
        raise ExpressionError("not_text", {}, 1)
    if tags is None and functions is None and alarms is None and isinstance(roots, frozenset):
        return _kept(text, roots, max_chars, max_steps)
    return _compiled(text, names_of(roots, tags, functions, alarms), max_chars, max_steps)


@lru_cache(maxsize=KEPT)
def _kept(text: str, roots: frozenset[str], max_chars: int, max_steps: int) -> Expression:
    return _compiled(text, names_of(roots, None, None), max_chars, max_steps)


def _compiled(text: str, names: Names, max_chars: int, max_steps: int) -> Expression:
    if len(text) > max_chars:
        raise ExpressionError("too_long", {"length": len(text), "limit": max_chars}, max_chars + 1)
    tokens, _ = tokenize(text)
    return from_tokens(text, tokens, names, max_steps)


def names_of(
    roots: Roots,
    tags: Collection[str] | None,
    functions: Mapping[str, Function] | None,
    alarms: Collection[str] | None = None,
) -> Names:
    """Gather what may be named."""
    known = roots if isinstance(roots, Mapping) else dict.fromkeys(roots)
    return Names(known, tags, functions or {}, alarms)


def from_tokens(text: str, tokens: list[Token], names: Names, max_steps: int) -> Expression:
    """Parse and resolve tokens that were already split."""
    tree = resolve(parse(tokens), names)
    return Expression(text, tree, sum(1 for _ in walk(tree)), max_steps)


def is_constant(expression: Expression) -> bool:
    """True when no tag, window or root can change the result (`true || x`, `1 > 2`, `1 / 0`)."""
    if not expression.tags and not expression.roots and not expression.alarms:
        return True
    return type(constant_value(expression)) is not Unknown


def constant_value(expression: Expression) -> object:
    """Return the value every environment gives, or Unknown when it depends on one.

    Three-valued logic decides it: whatever comes out although every input is unknown, always does.
    """
    try:
        steps = expression.max_steps - expression.nodes
        return _Blind(StaticEnvironment(), steps).run(expression.tree)
    except BudgetExceededError:
        return Unknown("budget_exceeded", {"limit": expression.max_steps})


class _Blind(Interpreter):
    """The interpreter with every input unknown, even `.good`."""

    def run(self, node: Node) -> object:
        if isinstance(node, Root | TagMember | AlarmMember | Window):
            return Unknown("not_evaluated")
        return super().run(node)


def _paths(node: Node) -> set[tuple[str, ...]]:
    found = {path for part in walk(node) if (path := _path(part)) is not None}
    return {p for p in found if not any(q[: len(p)] == p and len(q) > len(p) for q in found)}


def _path(node: Node) -> tuple[str, ...] | None:
    if isinstance(node, Root):
        return (node.name,)
    if isinstance(node, Select):
        above, name = _path(node.operand), node.member
    elif isinstance(node, Index) and isinstance(node.key, Literal):
        above, name = _path(node.operand), node.key.value
    else:
        return None
    return (*above, name) if above is not None and isinstance(name, str) else None
