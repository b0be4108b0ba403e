"""Conditions: the part of our expressions and of STIX patterns that says the same in both.

Both directions give None for what the other language cannot say. Evaluates nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_LITERAL = r"""(?:"[^"\\']*"|-?\d+(?:\.\d+)?|true|false)"""
_OURS = re.compile(
    rf"""(inputs\.\w+|steps\.\w+\.answer|steps\['[a-z0-9-]+'\]\.answer)"""
    rf"""\s*(==|!=|<=|>=|<|>)\s*({_LITERAL})"""
)
_STIX = re.compile(
    r"(__[A-Za-z_][\w-]*__)(?::value)?\s*(=|!=|<=|>=|<|>)\s*"
    r"('[^'\\\"]*'|-?\d+(?:\.\d+)?|true|false|TRUE|FALSE)"
)
_ANSWER = re.compile(r"steps(?:\.(\w+)|\['([a-z0-9-]+)'\])\.answer")


def variable(name: str) -> str | None:
    """What CACAO calls an input; None if it cannot."""
    return f"__{name}__" if re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_-]{0,99}", name) else None


def answer_variable(step: str) -> str:
    """The variable that holds the answer to an `ask`."""
    return f"__{step}_answer__"


def answer_of(step: str) -> str:
    """The expression of an ask's answer."""
    return f"steps['{step}'].answer"


def _as_variable(reference: str) -> str | None:
    if reference.startswith("inputs."):
        return variable(reference.removeprefix("inputs."))
    found = _ANSWER.fullmatch(reference)
    return None if found is None else answer_variable(found[1] or found[2])


def _atoms(text: str, words: dict[str, str], atom: Callable[[str], str | None]) -> str | None:
    """Translated atoms joined by translated words (and binds tighter in both languages)."""
    pieces = re.split(rf"\s*({'|'.join(map(re.escape, words))})\s*", text.strip())
    found = [words[p] if p in words else atom(p) for p in pieces]
    return None if None in found else " ".join(str(each) for each in found)


def to_stix(expression: str) -> str | None:
    """An expression as a STIX comparison; None when STIX cannot say it."""

    def atom(text: str) -> str | None:
        found = _OURS.fullmatch(text)
        name = found and _as_variable(found[1])
        if not found or not name:
            return None
        value = found[3].replace('"', "'")
        return f"{name}:value {'=' if found[2] == '==' else found[2]} {value}"

    return _atoms(expression, {"&&": "AND", "||": "OR"}, atom)


def from_stix(pattern: str, meaning: Callable[[str], str | None]) -> str | None:
    """A STIX comparison of variables as an expression; `meaning` says what a variable is."""

    def atom(text: str) -> str | None:
        found = _STIX.fullmatch(text)
        reference = found and meaning(found[1])
        if not found or not reference:
            return None
        value = found[3].replace("'", '"')
        value = value.lower() if value in ("TRUE", "FALSE") else value
        return f"{reference} {'==' if found[2] == '=' else found[2]} {value}"

    bare = pattern.strip()
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
    return _atoms(bare, {" AND ": "&&", " OR ": "||"}, atom)


def same_answer(conditions: list[str]) -> tuple[str, list[str]] | None:
    """The step whose answer every condition compares, and with what; None if it is otherwise."""
    found = [re.fullmatch(rf'({_ANSWER.pattern}) == "([a-z][a-z0-9-]*)"', c) for c in conditions]
    if not found or any(each is None for each in found):
        return None
    steps = {each[2] or each[3] for each in found if each}
    values = [each[4] for each in found if each]
    if len(steps) != 1 or len(set(values)) != len(values) or "default" in values:
        return None
    return steps.pop(), values
