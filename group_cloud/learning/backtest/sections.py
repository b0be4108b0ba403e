"""The sections of the back-test's answer: each is a name, what it reads, and how it is shown.

Called by the command; a loop adds its own by `register` in its module, which `LOADED` names. It
computes nothing itself.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from group_cloud.learning.backtest.fault_log import LogQuality
from group_cloud.learning.limits.optimizer import Tuning

if TYPE_CHECKING:
    from group_cloud.learning.backtest.history import History
    from group_cloud.learning.backtest.plant import Plant

Kind = Literal["plants", "table"]
"""A folder of recorded plants, or one table of rows with labels."""
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """What was asked for, and what the sections share.

    `history(plant)` counts all candidates of a plant once for all sections; `say` tells people of
    progress; `clock` is monotonic, in seconds.
    """

    data: Path
    plants: tuple[Plant, ...]
    scored: tuple[Plant, ...]
    quality: LogQuality
    tuning: Tuning
    say: Callable[[str], None]
    clock: Callable[[], float]
    history: Callable[[Plant], History]
    columns: dict[str, Any]
    """The columns of a table of rows; empty for a folder of plants."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A table for people: a title, its head, its rows."""

    title: str
    head: Row
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the answer: `run` gives plain data under `name`, `show` tables of it."""

    name: str
    kind: Kind
    run: Callable[[Job], dict[str, Any]]
    show: Callable[[dict[str, Any]], list[Shown]]
    order: int = 100


LOADED = (
    "group_cloud.learning.backtest.section_settings",
    "group_cloud.learning.backtest.section_speed",
    "group_cloud.learning.backtest.section_nuisance",
    "group_cloud.learning.backtest.section_drift",
    "group_cloud.learning.backtest.section_warning",
    "group_cloud.learning.backtest.section_floods",
    "group_cloud.learning.backtest.section_tables",
)
"""Modules with sections, those of this package that exist."""
_known: dict[str, Section] = {}


def register(section: Section) -> Section:
    """Add a section; its name is its key in the JSON answer."""
    _known[section.name] = section
    return section


def sections(kind: Kind) -> list[Section]:
    """All sections for data of this kind, in the order in which they are shown."""
    for module in LOADED:
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module)
    found = [section for section in _known.values() if section.kind == kind]
    return sorted(found, key=lambda section: (section.order, section.name))
