"""The tests; loaded before any of them, so before anything of the product.

Each of the hundreds of processes that they start would compile what it imports anew (seconds of
it) where the environment forbids to keep what was compiled. It is kept beside the packages, so that
the checkout stays as it is.
"""

import os
import sys
from pathlib import Path

KEPT = Path(sys.prefix) / ".andon-bytecode"
sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(KEPT)
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
