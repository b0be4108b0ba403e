"""The hot loop of sample ingest: which kernel runs, compiled or pure Python.

Called by the edge engine for every batch; knows tags and rules as numbers only, and no clock.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge_node.kernel.pure import Kernel as PureKernel
from edge_node.kernel.rules import Rules, bounded
from edge_node.kernel.spread import PureSpread

if TYPE_CHECKING:
    from edge_node.kernel._ring import Ring as _Ring
    from edge_node.kernel.pure import Kernel
    from edge_node.kernel.spread import PureSpread as Spread

    Ring: type[_Ring] | None

    _name = "python"
elif os.environ.get("ANDON_KERNEL", "") == "python":
    Kernel, Spread, Ring, _name = PureKernel, PureSpread, None, "python"
else:
    try:
        from edge_node.kernel._quiet import Kernel
        from edge_node.kernel._ring import Ring
        from edge_node.kernel._spread import Spread

        _name = "cython"
    except ImportError:  # installed without a compiler: the fallback is complete, only slower
        Kernel, Spread, Ring, _name = PureKernel, PureSpread, None, "python"

__all__ = [
    "Kernel", "PureKernel", "PureSpread", "Ring", "Rules", "Spread", "bounded", "kernel_name",
]  # fmt: skip


def kernel_name() -> str:
    """`cython` or `python`: which kernel this process runs."""
    return _name
