"""Owns the values expressions meet: Unknown, compile errors, the environment protocol, the limits.

Called by every other module here and by whoever supplies tags, windows and roots.
Never evaluates anything and never reads a clock: age and staleness come from the environment.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple, NoReturn, Protocol

from shared.expression.messages import COMPILE_TEXTS, UNKNOWN_TEXTS, texts_of

MAX_CHARS = 2_000
MAX_CHARS_PLAYBOOK = 512
MAX_NODES = 200
MAX_DEPTH = 30
MAX_STEPS = 10_000
MAX_STRING = 10_000
MAX_ITEMS = 1_000
MAX_DATA_DEPTH = 32
INT_MIN, INT_MAX = -(2**63), 2**63 - 1

QUALITY_CODES = frozenset(
    {
        "tag_missing",
        "tag_bad",
        "tag_stale",
        "tag_no_value",
        "window_empty",
        "alarm_missing",
        "not_evaluated",
    }
)


@dataclass(frozen=True, slots=True)
class Unknown:
    """The third truth value: no answer, and why (`code` and `params`)."""

    code: str
    params: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __bool__(self) -> NoReturn:
        # `if result:` would silently treat "cannot tell" as true; callers must write `is True`.
        raise TypeError(f"an unknown result ({self.code}) is neither true nor false")

    @property
    def is_error(self) -> bool:
        """True when the expression or its data is at fault, False when a tag's quality is."""
        return self.code not in QUALITY_CODES

    @property
    def text(self) -> dict[str, str]:
        """The reason as {zh, en} sentences."""
        return texts_of(UNKNOWN_TEXTS, self.code, self.params)

    @property
    def reason(self) -> str:
        """The reason as one English sentence, for logs and traces."""
        return self.text["en"]


def is_unknown(value: object) -> bool:
    """Say whether a result is Unknown."""
    return type(value) is Unknown


class ExpressionError(ValueError):
    """Text that is not a valid expression: a code, its parameters and the 1-based column."""

    def __init__(self, code: str, params: Mapping[str, object], column: int) -> None:
        self.code = code
        self.params = dict(params)
        self.column = column
        super().__init__(f"column {column}: {self.text['en']}")

    @property
    def text(self) -> dict[str, str]:
        """The message as {zh, en} sentences, without the column."""
        return texts_of(COMPILE_TEXTS, self.code, self.params)


class BudgetExceededError(Exception):
    """Raised inside an evaluation whose steps ran out; it never leaves this package."""


class TagReading(Protocol):
    """What an environment answers for one tag; it may also carry `reason` ("stale" or other)."""

    @property
    def value(self) -> object:
        """The value, already of the tag's declared type (a boolean tag gives a bool)."""
        ...

    @property
    def good(self) -> bool:
        """True only when the quality is good and the value is not stale."""
        ...

    @property
    def age_s(self) -> float:
        """Seconds since the value was last received."""
        ...


class Environment(Protocol):
    """What an evaluation reads; it must answer the same for the length of one evaluation."""

    def root(self, name: str) -> object:
        """Return the value of a root, or Unknown."""
        ...

    def tag(self, name: str) -> TagReading | None:
        """Return the reading of a tag, or None when there is no such tag or no data yet."""
        ...

    def window(self, function: str, tag: str, seconds: float) -> object:
        """Return a windowed figure of a tag; None (no data) or Unknown when there is none.

        Only windows of other shapes than sliding, or with a number of their own, are asked for
        with three more: shape, step (seconds) and argument.
        """
        ...


class Reading(NamedTuple):
    """A plain TagReading; a tuple, since one is made for every tag that an evaluation reads."""

    value: object
    good: bool = True
    age_s: float = 0.0
    reason: str = ""


class AlarmView(Protocol):
    """What an environment answers for one alarm, by an optional method `alarm(name)`."""

    @property
    def active(self) -> bool:
        """Whether the condition is present."""
        ...

    @property
    def acked(self) -> bool:
        """Whether it has been acknowledged."""
        ...


@dataclass(frozen=True, slots=True)
class StaticEnvironment:
    """An Environment over plain mappings, for playbooks, triggers, webhooks and tests."""

    roots: Mapping[str, object] = field(default_factory=dict)
    tags: Mapping[str, TagReading] = field(default_factory=dict)
    windows: Mapping[tuple[str, str, float], object] = field(default_factory=dict)
    alarms: Mapping[str, "AlarmView"] = field(default_factory=dict)

    def root(self, name: str) -> object:
        """Return the value of a root, or Unknown when it was not supplied."""
        if name in self.roots:
            return self.roots[name]
        return Unknown("missing_root", {"name": name})

    def tag(self, name: str) -> TagReading | None:
        """Return the reading of a tag, or None."""
        return self.tags.get(name)

    def window(self, function: str, tag: str, seconds: float, *more: object) -> object:
        """Return the prepared figure of a window, or None."""
        return self.windows.get((function, tag, seconds))

    def alarm(self, name: str) -> "AlarmView | None":
        """Return what is known of an alarm, or None."""
        return self.alarms.get(name)


def did_you_mean(name: str, known: Collection[str]) -> dict[str, str]:
    """Return the message parameters `hint` and `hint_zh` for a misspelt name."""
    folded = {item.lower(): item for item in sorted(known)}
    close = get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if not close:
        return {"hint": "", "hint_zh": "", "suggestion": ""}
    best = folded[close[0]]
    return {
        "hint": f"; did you mean {best}?",
        "hint_zh": f",是不是 {best}?",
        "suggestion": best,
    }
