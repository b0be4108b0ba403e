"""Runs the few tests that just failed once more, alone, and says so.

Called by `make test` after a failed run on two busy cores, where a real server can be slower than a
test's patience. What fails alone, too, fails; more than five failures are never repeated.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST = 5
CACHE = Path(".venv/.andon-tests")
"""Where pytest notes what failed (`cache_dir` in pyproject.toml)."""


def main() -> int:
    """Exit code: 0 if every repeated test holds."""
    try:
        failed = [
            name
            for name, yes in json.loads((CACHE / "v/cache/lastfailed").read_text()).items()
            if yes
        ]
    except (OSError, ValueError):
        failed = []
    if not 0 < len(failed) <= MOST:
        print(f"{len(failed)} tests failed; not repeated", file=sys.stderr)
        return 1
    print(
        "失败的测试单独重跑一次 / failed tests, once more and alone:",
        *failed,
        sep="\n  ",
        flush=True,
    )
    again = subprocess.call([sys.executable, "-m", "pytest", *failed])
    if again == 0:
        print(f"{len(failed)} held when run alone (slow machine): {', '.join(failed)}", flush=True)
    return 1 if again else 0


if __name__ == "__main__":
    sys.exit(main())
