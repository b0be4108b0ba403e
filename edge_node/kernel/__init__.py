"""The hot loop of sample ingest: which kernel runs, compiled or pure Python.

Called by the edge engine for every batch; knows no alarms, no names, no units, only bands.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge_node.kernel.pure import QuietBand as PureQuietBand

if TYPE_CHECKING:
    from edge_node.kernel.pure import QuietBand

    _name = "python"
elif os.environ.get("ANDON_KERNEL", "") == "python":
    QuietBand, _name = PureQuietBand, "python"
else:
    try:
        from edge_node.kernel._quiet import QuietBand

        _name = "cython"
    except ImportError:  # installed without a compiler: the fallback is complete, only slower
        QuietBand, _name = PureQuietBand, "python"

__all__ = ["PureQuietBand", "QuietBand", "kernel_name"]


def kernel_name() -> str:
    """`cython` or `python`: which kernel this process runs."""
    return _name
