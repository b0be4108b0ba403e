"""The repository's own files: what people wrote, without what is installed or built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("shared", "edge_node", "factory_brain", "group_cloud", "simulators")
SKIPPED = {
    ".git", ".venv", "node_modules", "dist", "build", "__pycache__", ".hypothesis", ".pytest_cache",
    ".ruff_cache", ".import_linter_cache", ".state",
}  # fmt: skip


def files(*suffixes: str, under: tuple[str, ...] = ("",)) -> Iterator[Path]:
    """Files with one of the suffixes (all when none is named), in a fixed order."""
    for folder in under:
        yield from _walk(ROOT / folder, suffixes)


def _walk(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in SKIPPED or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from _walk(path, suffixes)
        elif path.is_file() and (not suffixes or path.suffix in suffixes):
            yield path


def name(path: Path) -> str:
    """The path inside the repository."""
    return path.relative_to(ROOT).as_posix()
