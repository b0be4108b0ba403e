"""Owns `matches`: a small regular-expression engine whose time is linear in the text.

Called by `functions`; patterns written as literals are compiled, and refused, at load.
Never uses Python's backtracking `re` on user patterns: (a|a)*b would hang it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from shared.expression.operators import Meter, charge

MAX_PATTERN = 200
MAX_STATES = 500
MAX_TEXT = 4_000

_CLASSES: dict[str, Callable[[str], bool]] = {
    "d": lambda c: c in "0123456789",
    "w": lambda c: c == "_" or (c.isascii() and c.isalnum()),
    "s": lambda c: c in " \t\n\r\f",
}
_PLAIN_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}


class PatternError(ValueError):
    """A pattern outside the subset; `detail` and `detail_zh` say why."""

    def __init__(self, detail: str, detail_zh: str) -> None:
        super().__init__(detail)
        self.detail, self.detail_zh = detail, detail_zh


Test = Callable[[str], bool]


@dataclass(slots=True)
class State:
    """One state: a test to consume a character, or an assertion, or a split."""

    test: Test | None = None
    anchor: str = ""
    out: list[int] = field(default_factory=list)


class _Builder:
    """Recursive descent from pattern to Thompson automaton; fragments are (start, end) states."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.position, self.depth = pattern, 0, 0
        self.states: list[State] = []

    def peek(self) -> str:
        return self.pattern[self.position : self.position + 1]

    def take(self) -> str:
        character = self.peek()
        if not character:
            raise PatternError("it ends too early", "模式不完整")
        self.position += 1
        return character

    def state(self, test: Test | None = None, anchor: str = "") -> int:
        if len(self.states) >= MAX_STATES:
            raise PatternError("it is too large", "模式过大")
        self.states.append(State(test, anchor))
        return len(self.states) - 1

    def link(self, start: int, end: int) -> None:
        self.states[start].out.append(end)

    def single(self, test: Test | None = None, anchor: str = "") -> tuple[int, int]:
        start, end = self.state(test, anchor), self.state()
        self.link(start, end)
        return start, end

    def alternatives(self) -> tuple[int, int]:
        self.depth += 1
        if self.depth > 10:
            raise PatternError("groups are nested too deep", "分组嵌套过深")
        branches = [self.sequence()]
        while self.peek() == "|":
            self.take()
            branches.append(self.sequence())
        self.depth -= 1
        if len(branches) == 1:
            return branches[0]
        start, end = self.state(), self.state()
        for first, last in branches:
            self.link(start, first)
            self.link(last, end)
        return start, end

    def sequence(self) -> tuple[int, int]:
        start = end = self.state()
        while self.peek() not in ("", "|", ")"):
            first, last = self.repeated()
            self.link(end, first)
            end = last
        return start, end

    def repeated(self) -> tuple[int, int]:
        begin = self.position
        fragment = self.atom()
        if self.peek() not in ("*", "+", "?", "{"):
            return fragment
        least, most = self.count()
        if self.peek() in ("*", "+", "?", "{"):
            raise PatternError("a repeat is itself repeated", "重复符号叠加")
        after = self.position
        start = end = self.state()
        copies = max(least, most or 0, 1)
        for number in range(copies):
            self.position = begin
            first, last = fragment if number == 0 else self.atom()
            self.link(end, first)
            if most is None and number == copies - 1:
                self.link(last, first)
            if number >= least:  # this copy may be left out
                skip = self.state()
                self.link(end, skip)
                self.link(last, skip)
                last = skip
            end = last
        self.position = after
        return start, end

    def count(self) -> tuple[int, int | None]:
        sign = self.take()
        if sign != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        close = self.pattern.find("}", self.position)
        low, comma, high = self.pattern[self.position : max(close, self.position)].partition(",")
        valid = (
            low.isascii() and low.isdigit() and (not high or (high.isascii() and high.isdigit()))
        )
        if close < 0 or not valid:
            raise PatternError("a repeat count is malformed", "重复次数写法错误")
        self.position = close + 1
        least, most = int(low), int(high) if high else (None if comma else int(low))
        if least > 100 or (most is not None and not max(least, 1) <= most <= 100):
            raise PatternError(
                "a repeat count is out of range (1..100)", "重复次数超出范围(1..100)"
            )
        return least, most

    def atom(self) -> tuple[int, int]:
        character = self.take()
        if character == "(":
            return self.group()
        if character == "[":
            return self.single(self.bracket())
        if character == ".":
            return self.single(lambda c: c != "\n")
        if character in "^$":
            return self.single(anchor=character)
        if character == "\\":
            return self.single(self.escape())
        if character in "*+?{":
            raise PatternError(f"nothing to repeat before {character}", f"{character} 之前没有内容")
        return self.single(lambda c: c == character)

    def group(self) -> tuple[int, int]:
        if self.peek() == "?":
            if self.pattern[self.position : self.position + 2] != "?:":
                raise PatternError("look-around and flags are not supported", "不支持环视与标志")
            self.position += 2
        fragment = self.alternatives()
        if self.peek() != ")":
            raise PatternError("a ) is missing", "缺少 )")
        self.take()
        return fragment

    def escape(self) -> Test:
        letter = self.take()
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter.lower() in _CLASSES:
            inner = _CLASSES[letter.lower()]
            return lambda c: not inner(c)
        if letter in _PLAIN_ESCAPES:
            plain = _PLAIN_ESCAPES[letter]
            return lambda c: c == plain
        if letter.isalnum():
            raise PatternError(f"\\{letter} is not supported", f"不支持 \\{letter}")
        return lambda c: c == letter

    def bracket(self) -> Test:
        negated = self.peek() == "^"
        if negated:
            self.take()
        tests: list[Test] = []
        while self.peek() != "]" or not tests:
            character = self.take()
            if character == "\\":
                tests.append(self.escape())
                continue
            following = self.pattern[self.position : self.position + 2]
            if following[:1] == "-" and following[1:] not in ("", "]", "\\"):
                self.position += 2
                if following[1] < character:
                    raise PatternError("a range runs backwards", "范围颠倒")
                tests.append(lambda c, low=character, high=following[1]: low <= c <= high)
            else:
                tests.append(lambda c, one=character: c == one)
        self.take()
        return lambda c: any(test(c) for test in tests) is not negated


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern; `search` finds it anywhere, as RE2's partial match does."""

    states: tuple[State, ...]
    start: int
    end: int

    def search(self, meter: Meter, text: str) -> bool:
        """Say whether the pattern occurs in the text; the steps taken are charged."""
        current: set[int] = set()
        for position in range(len(text) + 1):
            current.add(self.start)  # a match may begin at every position
            closure = self._closure(current, position, len(text))
            charge(meter, 1 + len(closure) // 4)
            if self.end in closure:
                return True
            if position == len(text):
                break
            character = text[position]
            current = {
                target
                for number in closure
                if (test := self.states[number].test) is not None and test(character)
                for target in self.states[number].out
            }
        return False

    def _closure(self, seeds: set[int], position: int, length: int) -> set[int]:
        """Follow the links that consume nothing."""
        seen: set[int] = set()
        pending = list(seeds)
        while pending:
            number = pending.pop()
            if number in seen:
                continue
            seen.add(number)
            state = self.states[number]
            blocked = (state.anchor == "^" and position > 0) or (
                state.anchor == "$" and position < length
            )
            if state.test is None and not blocked:
                pending.extend(state.out)
        return seen


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Pattern:
    """Compile a pattern of the subset; raises PatternError."""
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"longer than {MAX_PATTERN} characters", f"超过 {MAX_PATTERN} 个字符")
    builder = _Builder(pattern)
    start, end = builder.alternatives()
    if builder.position != len(pattern):
        raise PatternError("a ) has no (", "多余的 )")
    return Pattern(tuple(builder.states), start, end)
