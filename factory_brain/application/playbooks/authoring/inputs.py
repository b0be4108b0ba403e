"""Whether a value that a person sets fits an input: its type, and the bounds its author gave. Pure.

The worst case of a playbook is counted with those bounds, so nobody leaves them but by a release.
"""

from __future__ import annotations

from typing import Any

from shared.errors import Rejected
from shared.playbook.model import Input, Playbook
from shared.playbook.site_inputs import faults_of
from shared.site.fields import parse_duration


def misfit(book: Playbook, name: str, value: Any) -> Rejected | None:
    """Why a value is none for this input; None, which takes a value back, always is."""
    spec = book.inputs.get(name)
    if spec is None:
        return Rejected("unknown_input", {"playbook": book.playbook, "input": name})
    if value is None:
        return None
    if found := faults_of(book, {name: value}):
        return Rejected("input_unfit", {"input": name, "why": found[0][1]})
    if spec.tunable is not None and _outside(spec, value):
        bounds = {"min": str(spec.tunable.min), "max": str(spec.tunable.max)}
        return Rejected("input_outside_bounds", {"input": name, **bounds})
    return None


def _outside(spec: Input, value: Any) -> bool:
    assert spec.tunable is not None
    try:
        if spec.type in ("number", "integer"):
            return not float(spec.tunable.min) <= value <= float(spec.tunable.max)
        if spec.type == "duration":
            least, most = parse_duration(spec.tunable.min), parse_duration(spec.tunable.max)
            return not least <= parse_duration(value) <= most
    except (ValueError, TypeError):
        return True  # bounds that say nothing bound everything
    return False
