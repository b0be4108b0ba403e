"""What `andon site check` says of the values that a site gives to playbooks' inputs.

Knows the shipped playbooks; one that only the factory has is checked when it is released there.
"""

from __future__ import annotations

from pathlib import Path

from shared.errors import ConfigError
from shared.paths import playbook_library
from shared.playbook.loader import load_playbook
from shared.playbook.model import Playbook
from shared.playbook.site_inputs import faults_of
from shared.site.reader import Reader
from shared.site.site import Site


def check_inputs(site: Site, reader: Reader) -> None:
    """Add a fault for each value that does not fit the playbook's input."""
    if not site.bindings.inputs:
        return
    books = _books(playbook_library())
    for playbook, values in site.bindings.inputs.items():
        book = books.get(playbook)
        for name, why in faults_of(book, values) if book is not None else ():
            reader.fault(
                f"inputs/{playbook}/{name}: {why}", reader.place("inputs", playbook, name),
                "write a value of the input's type, or take it away",
            )  # fmt: skip


def _books(folder: Path) -> dict[str, Playbook]:
    found: dict[str, Playbook] = {}
    for path in sorted(folder.rglob("*.yaml")):
        if path.name.endswith(".test.yaml"):
            continue
        try:
            book = load_playbook(path).playbook
        except ConfigError:  # no playbook, or one whose own faults `playbook lint` tells
            continue
        found[book.playbook] = book
    return found
