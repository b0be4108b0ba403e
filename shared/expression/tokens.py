"""Owns the split of expression text into tokens, with the column of each.

Called by the parser and by the template reader (which stops at the closing brace).
Never looks at what a name means.
"""

import re
from dataclasses import dataclass

from shared.expression.values import ExpressionError

_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]+|(?:\d+\.\d+|\d+|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPACE = re.compile(r"(?:[ \t\r\n\f]+|//[^\n]*)+")
_DIGITS_AND_DOT = frozenset("0123456789.")
_TWO = ("||", "&&", "==", "!=", "<=", ">=")
_ONE = "?:<>+-*/%!.,()[]{}"
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?",
}  # fmt: skip
_HEX = {"x": 2, "X": 2, "u": 4, "U": 8}
# What a Chinese input method types when the engineer meant the ASCII sign.
_FULLWIDTH = {
    "“": '"', "”": '"', "‘": "'", "’": "'", "，": ",", "。": ".", "：": ":", "；": ";",
    "【": "[", "】": "]", "、": ",", "≥": ">=", "≤": "<=", "≠": "!=",
}  # fmt: skip
_HINTS = {"=": "==", "&": "&&", "|": "||", "~": "!"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token: kind is name, int, float, string, op or end."""

    kind: str
    value: str | int | float
    column: int

    @property
    def shown(self) -> str:
        """The token as it appears in a message."""
        return repr(self.value) if self.kind == "string" else str(self.value)


def tokenize(text: str, start: int = 0, *, until_brace: bool = False) -> tuple[list[Token], int]:
    """Split text from `start`; with `until_brace`, stop after the `}` that nothing opened."""
    tokens: list[Token] = []
    position, depth = start, 0
    while True:
        if space := _SPACE.match(text, position):
            position = space.end()
        if position >= len(text):
            if until_brace:
                raise ExpressionError("unterminated_template", {}, max(start - 1, 1))
            tokens.append(Token("end", "", position + 1))
            return tokens, position
        token, position = _next(text, position)
        if token.kind == "op" and token.value == "{":
            depth += 1
        elif token.kind == "op" and token.value == "}":
            depth -= 1
            if until_brace and depth < 0:
                tokens.append(Token("end", "", token.column))
                return tokens, position
        tokens.append(token)


def _next(text: str, position: int) -> tuple[Token, int]:
    """Read the one token that starts here."""
    character, column = text[position], position + 1
    if name := _NAME.match(text, position):
        return _name_or_prefixed_string(text, name, column)
    if character in _DIGITS_AND_DOT and (number := _NUMBER.match(text, position)):
        return _number(text, number, column)
    if character in "'\"":
        return _string(text, position, raw=False)
    if text[position : position + 2] in _TWO:
        return Token("op", text[position : position + 2], column), position + 2
    if character in _ONE:
        return Token("op", character, column), position + 1
    raise _bad_character(character, column)


def _name_or_prefixed_string(text: str, name: re.Match[str], column: int) -> tuple[Token, int]:
    word, end = name.group(), name.end()
    if end < len(text) and text[end] in "'\"" and word.lower() in ("r", "b", "br", "rb"):
        if word.lower() != "r":
            raise ExpressionError("unsupported_literal", {"literal": f"{word}{text[end]}"}, column)
        token, end = _string(text, end, raw=True)
        return Token("string", token.value, column), end
    return Token("name", word, column), end


def _number(text: str, match: re.Match[str], column: int) -> tuple[Token, int]:
    body, end = match.group(), match.end()
    tail = _NAME.match(text, end)
    if tail is not None:
        whole = body + tail.group()
        code = "unsupported_literal" if tail.group() in ("u", "U") else "bad_number"
        raise ExpressionError(code, {"number": whole, "literal": whole}, column)
    if body[:2] in ("0x", "0X"):
        return Token("int", int(body, 16), column), end
    if body.isdigit():
        return Token("int", int(body), column), end
    return Token("float", float(body), column), end


def _string(text: str, position: int, *, raw: bool) -> tuple[Token, int]:
    quote, column = text[position], position + 1
    if text.startswith(quote * 3, position):
        raise ExpressionError("unsupported_literal", {"literal": quote * 3}, column)
    parts: list[str] = []
    position += 1
    while position < len(text):
        character = text[position]
        if character == quote:
            return Token("string", "".join(parts), column), position + 1
        if character == "\n":
            break
        if character == "\\" and not raw:
            part, position = _escape(text, position)
            parts.append(part)
            continue
        parts.append(character)
        position += 1
    raise ExpressionError("unterminated_string", {}, column)


def _escape(text: str, position: int) -> tuple[str, int]:
    """Read one backslash escape; returns its character and where the text goes on."""
    letter = text[position + 1 : position + 2]
    if letter in _ESCAPES:
        return _ESCAPES[letter], position + 2
    if letter in _HEX:
        width = _HEX[letter]
        digits = text[position + 2 : position + 2 + width]
        end, base, pattern = position + 2 + width, 16, rf"[0-9A-Fa-f]{{{width}}}"
    else:
        digits = text[position + 1 : position + 4]
        end, base, pattern = position + 4, 8, "[0-3][0-7]{2}"
    code = int(digits, base) if re.fullmatch(pattern, digits) else -1
    if code < 0 or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ExpressionError("bad_escape", {"escape": text[position:end]}, position + 1)
    return chr(code), end


def _bad_character(character: str, column: int) -> ExpressionError:
    if character in _HINTS:
        return ExpressionError(
            "operator_hint", {"found": character, "instead": _HINTS[character]}, column
        )
    instead = _FULLWIDTH.get(character)
    if instead is None and "\uff01" <= character <= "\uff5e":
        instead = chr(ord(character) - 0xFEE0)  # the full-width block mirrors ASCII at this offset
    if instead is not None:
        params = {"character": character, "instead": instead}
        return ExpressionError("fullwidth_character", params, column)
    return ExpressionError("unexpected_character", {"character": repr(character)}, column)
