"""`python -m edge_node.parse_child`: parses files of a site into the cache of parsed documents.

Started by the engine before it loads a large site: what a YAML parser takes of memory goes with
this process, and several files are parsed at once. Says nothing about faults: the engine does.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

from edge_node.adapters.child_pipes import die_with_parent
from shared.errors import ConfigError
from shared.site.documents import Documents


def main() -> None:
    """Parse each file once."""
    parser = argparse.ArgumentParser(prog="edge_node.parse_child")
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("files", type=Path, nargs="+")
    given = parser.parse_args()
    documents = Documents(given.documents)
    for path in given.files:
        with suppress(ConfigError):  # the engine finds it again, and says where
            documents.read(path)


if __name__ == "__main__":
    die_with_parent()
    main()
