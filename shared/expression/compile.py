"""Owns the code generator: a resolved tree becomes one plain Python function for the hot path.

Called by `Expression.compile_to_python`. The source is made of our own names only: texts, tags and
functions are bound as constants, so no character of a user's expression is ever compiled.
Never differs from the interpreter: off its inlined fast paths it calls the same operators.
"""

from collections.abc import Callable

from shared.expression import operators
from shared.expression.access import (
    alarm_member,
    tag_age,
    tag_good,
    tag_last,
    tag_value,
    window_value,
)
from shared.expression.functions import absolute
from shared.expression.operators import METERED
from shared.expression.tree import (
    AlarmMember,
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
from shared.expression.values import BudgetExceededError, Environment, Unknown

_NAMES = {
    "+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo",
    "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal",
    "==": "equal", "!=": "unequal", "in": "contained",
}  # fmt: skip
# For these, two doubles need nothing but Python's own operator.
_INLINE = {"+", "-", "*", "<", "<=", ">", ">=", "==", "!="}
_OPERATORS = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "modulo",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "equal",
    "unequal",
    "contained",
    "both",
    "either",
    "invert",
    "negate",
    "member",
    "has_member",
    "index",
    "list_of",
    "map_of",
    "items_of",
    "wrong_type",
]
_SCOPE: dict[str, object] = {
    **{name: getattr(operators, name) for name in _OPERATORS},
    "tag_value": tag_value, "tag_good": tag_good, "tag_age": tag_age, "tag_last": tag_last,
    "alarm_member": alarm_member,
    "window_value": window_value, "absolute": absolute,
    "Unknown": Unknown, "Exceeded": BudgetExceededError,
}  # fmt: skip

Compiled = Callable[[Environment], object]


def generate(
    node: Node, steps: int, limit: int, live: Environment | None = None
) -> tuple[str, dict[str, object]]:
    """Return the function's source and the constants it is bound to."""
    writer = _Writer(steps, limit, live)
    return writer.function(node), writer.scope


def compile_tree(node: Node, steps: int, limit: int, live: Environment | None = None) -> Compiled:
    """Make the function `(env) -> value | Unknown`."""
    source, scope = generate(node, steps, limit, live)
    exec(compile(source, "<expression>", "exec"), scope)
    return scope["evaluate"]  # pyright: ignore[reportReturnType]


def _uses_meter(node: Node) -> bool:
    return any(
        isinstance(part, Comprehension | Index)
        or (isinstance(part, Invoke) and part.name != "abs")
        or (isinstance(part, Binary) and part.op in METERED)
        for part in walk(node)
    )


class _Writer:
    def __init__(self, steps: int, limit: int, live: Environment | None) -> None:
        self.steps, self.limit, self.live = steps, limit, live
        self.scope = dict(_SCOPE)
        self.lines: list[str] = []
        self.indent = 1
        self.serial = 0
        self.local = ""

    def put(self, line: str) -> None:
        self.lines.append(" " * self.indent + line)

    def fresh(self, prefix: str = "v") -> str:
        self.serial += 1
        return f"{prefix}{self.serial}"

    def assign(self, expression: str) -> str:
        name = self.fresh()
        self.put(f"{name} = {expression}")
        return name

    def constant(self, value: object) -> str:
        name = self.fresh("k")
        self.scope[name] = value
        return name

    def function(self, node: Node) -> str:
        metered = _uses_meter(node)
        over = self.constant(Unknown("budget_exceeded", {"limit": self.limit}))
        if self.steps < 0:
            return f"def evaluate(env):\n return {over}\n"
        for attribute, kind in (("tag", TagMember), ("window", Window), ("root", Root)):
            if sum(isinstance(part, kind) for part in walk(node)) > 1:
                self.put(f"{attribute} = env.{attribute}")
                self.scope[f"door_{attribute}"] = attribute
        if metered:
            self.put(f"m = [{self.steps}]")
            self.put("try:")
            self.indent += 1
        self.put(f"return {self.value(node)}")
        if metered:
            self.indent -= 1
            self.put("except Exceeded:")
            self.put(f" return {over}")
        return "\n".join(["def evaluate(env):", *self.lines, ""])

    def door(self, attribute: str) -> str:
        """The environment's method, as a local name when it is called more than once."""
        return attribute if f"door_{attribute}" in self.scope else f"env.{attribute}"

    def value(self, node: Node) -> str:
        """Write the statements of a node; returns the name (or literal) that holds its value."""
        match node:
            case Literal():
                return self.literal(node)
            case Local():
                return self.local
            case Root(name):
                return self.assign(f"{self.door('root')}({self.constant(name)})")
            case TagMember():
                return self.tag(node)
            case AlarmMember(alarm, name):
                return self.assign(
                    f"alarm_member(env, {self.constant(alarm)}, {self.constant(name)})"
                )
            case Window():
                return self.window(node)
            case Select(operand, name):
                return self.assign(f"member({self.value(operand)}, {self.constant(name)})")
            case Has(operand, name):
                return self.assign(f"has_member({self.value(operand)}, {self.constant(name)})")
            case Index(operand, key):
                return self.assign(f"index(m, {self.value(operand)}, {self.value(key)})")
            case Unary(op, operand):
                verb = "invert" if op == "!" else "negate"
                return self.assign(f"{verb}({self.value(operand)})")
            case Binary():
                return self.binary(node)
            case Logic():
                return self.logic(node)
            case Conditional():
                return self.conditional(node)
            case ListOf(items):
                return self.assign(f"list_of({self.row(items)})")
            case MapOf(keys, values):
                row = self.row(keys)
                return self.assign(f"map_of({row}, {self.row(values)})")
            case Invoke():
                return self.invoke(node)
            case Comprehension():
                return self.comprehension(node)
            case _:
                raise TypeError(f"unresolved node {type(node).__name__}")

    def tested(self, node: Node) -> str:
        """A value about to be compared by identity: Python warns about `5 is True`."""
        value = self.value(node)
        return self.assign(value) if value.startswith("(") else value

    def row(self, nodes: tuple[Node, ...]) -> str:
        return f"[{', '.join([self.value(node) for node in nodes])}]"

    def literal(self, node: Literal) -> str:
        if node.value is None or isinstance(node.value, bool):
            return repr(node.value)
        return self.constant(node.value) if isinstance(node.value, str) else self.number(node.value)

    def number(self, value: float) -> str:
        shown = repr(value)  # inf (1e999) has no literal in Python
        return f"({shown})" if shown[-1].isdigit() else self.constant(value)

    def tag(self, node: TagMember) -> str:
        name = self.constant(node.tag)
        bound = self.live.tag(node.tag) if self.live is not None else None
        if bound is not None:
            reading = self.constant(bound)
        else:
            reading = self.assign(f"{self.door('tag')}({name})")
        if node.member == "good":
            return self.assign(f"{reading} is not None and {reading}.good is True")
        if node.member == "age_s":
            return self.assign(f"tag_age({name}, {reading})")
        if node.member == "last":
            return self.assign(f"tag_last({name}, {reading})")
        value = self.fresh()
        present = "" if bound is not None else f"{reading} is not None and "
        self.put(f"if {present}{reading}.good is True:")
        self.put(f" {value} = {reading}.value")
        self.put(
            f" if {value} is None or {value} != {value}: {value} = tag_value({name}, {reading})"
        )
        self.put(f"else: {value} = tag_value({name}, {reading})")
        return value

    def window(self, node: Window) -> str:
        function, tag = self.constant(node.function), self.constant(node.tag)
        seconds = self.number(node.seconds)
        more = "" if node.is_plain else f", {node.shape!r}, {node.step!r}, {node.argument!r}"
        value = self.assign(f"{self.door('window')}({function}, {tag}, {seconds}{more})")
        self.put(f"if {value} is None or {value} != {value}:")
        self.put(f" {value} = window_value({function}, {tag}, {seconds}, {value})")
        return value

    def binary(self, node: Binary) -> str:
        left, right = self.value(node.left), self.value(node.right)
        result, name = self.fresh(), _NAMES[node.op]
        meter = "m, " if node.op in METERED else ""
        slow = f"{result} = {name}({meter}{left}, {right})"
        tests = self.fast_tests(node, left, right)
        if tests is None:
            self.put(slow)
        else:
            self.put(f"if {tests}: {result} = {left} {node.op} {right}")
            self.put(f"else: {slow}")
        return result

    def fast_tests(self, node: Binary, left: str, right: str) -> str | None:
        """The type tests under which Python's own operator means the same, or None."""
        sides = ((node.left, left), (node.right, right))
        literals = [side.value for side, _ in sides if isinstance(side, Literal)]
        if node.op not in _INLINE or len(literals) == 2:
            return None
        kind = "float"
        if literals:
            if isinstance(literals[0], str) and node.op not in ("+", "-", "*"):
                kind = "str"  # texts compare; their arithmetic is an error that the function words
            elif isinstance(literals[0], bool) or not isinstance(literals[0], int | float):
                return None
        names = [name for side, name in sides if not isinstance(side, Literal)]
        return " and ".join(f"type({name}) is {kind}" for name in names)

    def logic(self, node: Logic) -> str:
        decisive, join = ("False", "both") if node.op == "&&" else ("True", "either")
        neutral = "True" if decisive == "False" else "False"
        result = self.assign(self.value(node.items[0]))
        for item in node.items[1:]:
            self.put(f"if {result} is not {decisive}:")
            self.indent += 1
            value = self.tested(item)
            self.put(f"if {result} is {neutral} and ({value} is True or {value} is False):")
            self.put(f" {result} = {value}")
            self.put(f"else: {result} = {join}({result}, {value})")
            self.indent -= 1
        return result

    def conditional(self, node: Conditional) -> str:
        condition, result = self.tested(node.condition), self.fresh()
        for test, branch in (("if", node.then), ("elif", node.otherwise)):
            self.put(f"{test} {condition} is {'True' if test == 'if' else 'False'}:")
            self.indent += 1
            self.put(f"{result} = {self.value(branch)}")
            self.indent -= 1
        self.put(f"else: {result} = wrong_type('?:', {condition})")
        return result

    def invoke(self, node: Invoke) -> str:
        args = [self.value(arg) for arg in node.args]
        if node.name == "abs":
            value = args[0]
            return self.assign(
                f"abs({value}) if type({value}) is float else absolute(None, {value})"
            )
        return self.assign(f"{self.constant(node.call)}({', '.join(['m', *args])})")

    def comprehension(self, node: Comprehension) -> str:
        macro, item, result = self.constant(node.macro), self.fresh("x"), self.fresh()
        items = self.assign(f"items_of({macro}, {self.value(node.source)})")
        folds = node.macro in ("all", "exists")
        self.put(f"if type({items}) is list:")
        self.indent += 1
        self.put(f"{result} = {('True' if node.macro == 'all' else 'False') if folds else '[]'}")
        self.put(f"for {item} in {items}:")
        self.indent += 1
        self.put(f"m[0] -= {node.cost}")
        self.put("if m[0] < 0: raise Exceeded")
        self.local = item
        if folds:
            self.fold_body(node, result)
        else:
            self.collect_body(node, macro, item, result)
        self.indent -= 1
        if node.macro == "exists_one":
            self.put(f"else: {result} = len({result}) == 1")
        self.indent -= 1
        self.put(f"else: {result} = {items}")
        return result

    def fold_body(self, node: Comprehension, result: str) -> None:
        decisive, join = ("False", "both") if node.macro == "all" else ("True", "either")
        assert node.predicate is not None
        self.put(f"{result} = {join}({result}, {self.value(node.predicate)})")
        self.put(f"if {result} is {decisive}: break")

    def collect_body(self, node: Comprehension, macro: str, item: str, result: str) -> None:
        if node.predicate is not None:
            keep = self.tested(node.predicate)
            self.put(f"if {keep} is False: continue")
            self.put(f"if {keep} is not True:")
            self.put(f" {result} = wrong_type({macro}, {keep})")
            self.put(" break")
        kept = item if node.transform is None else self.value(node.transform)
        self.put(f"if type({kept}) is Unknown:")
        self.put(f" {result} = {kept}")
        self.put(" break")
        self.put(f"{result}.append({kept})")
