"""Planted mistakes of `tests/data/playbooks/mistakes.yaml`: patches of the clean playbook there."""

from __future__ import annotations

from typing import Any, NamedTuple

from ruamel.yaml import YAML

from shared.paths import ROOT

DATA = ROOT / "tests" / "data" / "playbooks"


class Planted(NamedTuple):
    """One mistake."""

    old: str
    new: str
    code: str
    at: str
    """Text whose beginning is the place, looked for from the patch on; with ^ from the top."""
    advice: bool = False


def _read() -> dict[str, Any]:
    text = (DATA / "mistakes.yaml").read_text(encoding="utf-8")
    return YAML(typ="safe").load(text)


_GROUPS = {
    group: {name: Planted(**given) for name, given in mistakes.items()}
    for group, mistakes in _read().items()
}
LOADING = _GROUPS.pop("loading")
"""What keeps the text from being a playbook at all."""
MISTAKES = {name: planted for group in _GROUPS.values() for name, planted in group.items()}
