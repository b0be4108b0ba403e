"""`python -m edge_node run --config FILE`: the edge without the `andon` entry point.

For systemd units and tests; the same commands as `andon edge`.
"""

from edge_node.cli import app

if __name__ == "__main__":
    app(prog_name="andon edge")
