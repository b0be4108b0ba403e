"""A driver child for sites with both kinds: sources `s…` are scripted, all others are real.

Started by the engine as `python tests/support/mixed_driver.py --source S`; becomes that process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    source = sys.argv[sys.argv.index("--source") + 1]
    scripted = [str(Path(__file__).with_name("scripted_driver.py"))]
    program = scripted if source.startswith("s") else ["-m", "edge_node.driver_child"]
    os.execv(sys.executable, [sys.executable, *program, "--source", source])
