"""`python -m edge_node.site_child`: checks a site folder for one edge in a process of its own.

Started by the engine before it takes over a change: parsing a large site, and loading what drivers
know of their addresses, must not hold up an alarm. Prints the faults as JSON; changes nothing but
the cache of parsed documents.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edge_node.adapters.sources.site_check import check
from edge_node.rules import compile_site
from shared.clock import SystemClock
from shared.errors import ConfigError
from shared.site.documents import Documents
from shared.site.reader import SiteFaults


def faults_of(folder: Path, edge: str, documents: Documents | None) -> list[ConfigError]:
    """Everything that speaks against running this folder on this edge."""
    try:
        compile_site(folder, edge, SystemClock(), documents, checks=(check,))
    except SiteFaults as error:
        return list(error.faults)
    except ConfigError as error:
        return [error]
    return []


def main() -> None:
    """Check and print."""
    parser = argparse.ArgumentParser(prog="edge_node.site_child")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--edge", required=True)
    parser.add_argument("--documents", type=Path)
    given = parser.parse_args()
    documents = Documents(given.documents) if given.documents else None
    faults = faults_of(given.folder, given.edge, documents)
    shown = [{"message": f.message, "where": f.where, "mend": f.mend} for f in faults]
    sys.stdout.write(json.dumps({"faults": shown}, ensure_ascii=False))


if __name__ == "__main__":
    main()
