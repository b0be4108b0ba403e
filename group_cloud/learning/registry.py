"""Versions of learnt models: plain data, a number, the parent, and a fingerprint of the evidence.

Called by the trainer when a bank's state led to a proposal; storing is the caller's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

KEPT_VERSIONS = 5
"""Versions of one model that are kept."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One learnt state of one alarm point's bank."""

    model: str
    version: int
    parent: int | None
    fingerprint: str
    data: dict[str, Any]


def fingerprint(labels: Iterable[tuple[str, str]]) -> str:
    """A digest of the labelled occurrences that a model rests on, whatever their order."""
    state = hashlib.blake2b(digest_size=16)
    for occurrence, label in sorted(labels):
        state.update(f"{occurrence}\x1f{label}\x1e".encode())
    return state.hexdigest()


def next_version(
    model: str, last: tuple[int, str] | None, evidence: str, data: dict[str, Any]
) -> ModelVersion | None:
    """The version after `last` (number, fingerprint); None while the evidence is the same."""
    if last is not None and last[1] == evidence:
        return None
    number = last[0] + 1 if last else 1
    return ModelVersion(model, number, last[0] if last else None, evidence, data)
