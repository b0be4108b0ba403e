"""Owns the interpreter: the reference meaning of every node of the tree.

Called by `Expression.evaluate` and by the linter's constant check; generated code must equal it.
Never runs past its step budget and never touches an attribute of a Python object.
"""

from collections.abc import Callable, Mapping

from shared.expression.access import alarm_member, tag_member, window_value
from shared.expression.operators import (
    METERED,
    PLAIN,
    both,
    charge,
    either,
    has_member,
    index,
    invert,
    items_of,
    list_of,
    map_of,
    member,
    negate,
    wrong_type,
)
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
)
from shared.expression.values import BudgetExceededError, Environment, Unknown


def interpret(node: Node, env: Environment, steps: int, limit: int) -> object:
    """Evaluate a resolved tree with `steps` left of a budget of `limit`."""
    if steps < 0:
        return Unknown("budget_exceeded", {"limit": limit})
    try:
        return Interpreter(env, steps).run(node)
    except BudgetExceededError:
        return Unknown("budget_exceeded", {"limit": limit})


class Interpreter:
    """One evaluation: the environment, the remaining steps and the one loop variable."""

    def __init__(self, env: Environment, steps: int) -> None:
        self.env = env
        self.meter = [steps]
        self.local: object = None

    def run(self, node: Node) -> object:
        """Evaluate one node."""
        return _DISPATCH[type(node)](self, node)

    def literal(self, node: Literal) -> object:
        return node.value

    def root(self, node: Root) -> object:
        return self.env.root(node.name)

    def loop_variable(self, node: Local) -> object:
        return self.local

    def tag(self, node: TagMember) -> object:
        return tag_member(self.env, node.tag, node.member)

    def alarm(self, node: AlarmMember) -> object:
        return alarm_member(self.env, node.alarm, node.member)

    def window(self, node: Window) -> object:
        # The further parts go along only when they say something: most environments know none.
        more = () if node.is_plain else (node.shape, node.step, node.argument)
        answer = self.env.window(node.function, node.tag, node.seconds, *more)
        return window_value(node.function, node.tag, node.seconds, answer)

    def select(self, node: Select) -> object:
        return member(self.run(node.operand), node.member)

    def has(self, node: Has) -> object:
        return has_member(self.run(node.operand), node.member)

    def index(self, node: Index) -> object:
        operand = self.run(node.operand)
        return index(self.meter, operand, self.run(node.key))

    def unary(self, node: Unary) -> object:
        value = self.run(node.operand)
        return invert(value) if node.op == "!" else negate(value)

    def binary(self, node: Binary) -> object:
        left, right = self.run(node.left), self.run(node.right)
        if node.op in METERED:
            return METERED[node.op](self.meter, left, right)
        return PLAIN[node.op](left, right)

    def logic(self, node: Logic) -> object:
        decisive, join = (False, both) if node.op == "&&" else (True, either)
        result = self.run(node.items[0])
        for item in node.items[1:]:
            if result is decisive:
                return result
            result = join(result, self.run(item))
        return result

    def conditional(self, node: Conditional) -> object:
        condition = self.run(node.condition)
        if condition is True:
            return self.run(node.then)
        if condition is False:
            return self.run(node.otherwise)
        return wrong_type("?:", condition)

    def list_of(self, node: ListOf) -> object:
        return list_of([self.run(item) for item in node.items])

    def map_of(self, node: MapOf) -> object:
        keys = [self.run(key) for key in node.keys]
        return map_of(keys, [self.run(value) for value in node.values])

    def invoke(self, node: Invoke) -> object:
        return node.call(self.meter, *[self.run(arg) for arg in node.args])

    def comprehension(self, node: Comprehension) -> object:
        items = items_of(node.macro, self.run(node.source))
        if not isinstance(items, list):
            return items
        if node.macro in ("all", "exists"):
            return self.quantified(node, items)
        return self.collected(node, items)

    def quantified(self, node: Comprehension, items: list[object]) -> object:
        """all and exists: folds of && and ||, which stop at the first decisive item."""
        decisive, join = (False, both) if node.macro == "all" else (True, either)
        assert node.predicate is not None
        result: object = not decisive
        for item in items:
            charge(self.meter, node.cost)
            self.local = item
            result = join(result, self.run(node.predicate))
            if result is decisive:
                break
        return result

    def collected(self, node: Comprehension, items: list[object]) -> object:
        """exists_one, map and filter: strict, so the first Unknown ends them."""
        found: list[object] = []
        for item in items:
            charge(self.meter, node.cost)
            self.local = item
            if node.predicate is not None:
                keep = self.run(node.predicate)
                if keep is False:
                    continue
                if keep is not True:
                    return wrong_type(node.macro, keep)
            kept = item if node.transform is None else self.run(node.transform)
            if type(kept) is Unknown:
                return kept
            found.append(kept)
        return len(found) == 1 if node.macro == "exists_one" else found


_DISPATCH: Mapping[type, Callable[..., object]] = {
    Literal: Interpreter.literal,
    Root: Interpreter.root,
    Local: Interpreter.loop_variable,
    TagMember: Interpreter.tag,
    AlarmMember: Interpreter.alarm,
    Window: Interpreter.window,
    Select: Interpreter.select,
    Has: Interpreter.has,
    Index: Interpreter.index,
    Unary: Interpreter.unary,
    Binary: Interpreter.binary,
    Logic: Interpreter.logic,
    Conditional: Interpreter.conditional,
    ListOf: Interpreter.list_of,
    MapOf: Interpreter.map_of,
    Invoke: Interpreter.invoke,
    Comprehension: Interpreter.comprehension,
}
