"""When a failed try is made again, exactly: by a rule or by a schedule, the same after a crash.

Called by the interpreter; jitter is computed from the run, the path and the try. Pure.
"""

from __future__ import annotations

import hashlib

from shared.playbook.verbs import Retry

NEVER = frozenset(
    {"command_unknown", "deadline", "not_approved", "argument_unknown", "unbound_device",
     "too_many_items", "call_depth", "journal_mismatch", "unstorable"}
)  # fmt: skip
"""What another try would not mend, or could do twice: a lost command is never sent blindly."""
_LONGEST = 7 * 86_400_000


def tries(retry: Retry) -> int:
    """How many tries are made at most, the first included."""
    return len(_schedule(retry)) if retry.schedule else 1 + (retry.max or 0)


def wanted(retry: Retry, kind: str) -> bool:
    """Whether a failure of this kind is tried again."""
    if kind in NEVER:
        return False
    return not retry.retry_on or any(fits(kind, word) for word in retry.retry_on)


def fits(kind: str, word: str) -> bool:
    """Whether a word of `retry_on` means a kind: `429` and `5xx` mean `http_429`, `http_503`."""
    status = kind.removeprefix("http_")
    if word in (kind, status):
        return True
    return kind.startswith("http_") and word[1:] == "xx" and word[:1] == status[:1]


def pause(retry: Retry, attempt: int, key: str) -> int:
    """Milliseconds between the failure of a try (counted from 1) and the next one, by rule."""
    if retry.backoff == "constant":
        plain = retry.delay
    elif retry.backoff == "linear":
        plain = retry.delay * attempt
    else:
        plain = retry.delay * 2 ** min(attempt - 1, 40)
    longest = _LONGEST if retry.max_delay is None else retry.max_delay
    return round(min(plain, longest) * (1 + retry.jitter * _swing(f"{key}:{attempt}")))


def next_at(retry: Retry, attempt: int, began: int, failed_at: int, key: str) -> int:
    """When the try after this failed one is made; a schedule counts from the first try."""
    if retry.schedule:
        return max(began + _schedule(retry)[attempt], failed_at)
    return failed_at + pause(retry, attempt, key)


def offsets(retry: Retry | None, key: str) -> list[int]:
    """Every try of something delivered in the background, counted from the first."""
    if retry is None:
        return [0]
    if retry.schedule:
        return _schedule(retry)
    found = [0]
    for attempt in range(1, tries(retry)):
        found.append(found[-1] + pause(retry, attempt, key))
    return found


def _schedule(retry: Retry) -> list[int]:
    """The times of all tries: one at 0 is the first try itself, whether written or not."""
    return [0, *(at for at in retry.schedule if at > 0)]


def _swing(key: str) -> float:
    """A number of [-1, 1] that the key alone decides."""
    word = int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big")
    return word / (2**56 - 1) * 2 - 1
