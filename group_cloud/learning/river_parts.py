"""The parts of River that the group's learners use, and the lean way to import them.

Imported by the learners of this package only. It learns nothing by itself.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import river
from river.stats import EWMean, EWVar, Mean

__all__ = ["EWMean", "EWVar", "Mean", "new_adwin"]


def _load_adwin() -> Any:
    """ADWIN without its package's other detectors.

    `river.drift` imports scipy.stats and River's data sets for detectors that we do not use: 88 MB
    and 2 s. The module of ADWIN needs neither, so the package's own start is skipped, and undone
    afterwards: whoever imports `river.drift` later gets all of it, with this same class.
    """
    if "river.drift" in sys.modules:
        return importlib.import_module("river.drift.adwin").ADWIN
    stand_in = ModuleType("river.drift")
    stand_in.__path__ = [str(Path(river.__file__).parent / "drift")]
    sys.modules["river.drift"] = stand_in
    try:
        return importlib.import_module("river.drift.adwin").ADWIN
    finally:
        del sys.modules["river.drift"]


_ADWIN = _load_adwin()


def new_adwin() -> Any:
    """A drift detector for a rate of labels: they are few, so it looks at every fourth."""
    return _ADWIN(delta=0.002, clock=4, grace_period=10)
