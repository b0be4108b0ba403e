"""The edge's history on disk: append-only segment files, each row block with its checksum.

Called by `History` only, always on its thread. Bounded in bytes and age; leaves the disk a reserve;
what is torn or damaged is left out, never guessed.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from edge_node.application.history import Chunk
from shared.clock import Clock
from shared.errors import StoreError

MARK = b"ANDONHS1"
_HEAD = struct.Struct("<4sIIHBqqI")
"""Record: mark, payload bytes, checksum, names id, kind, first, last, rows."""
RECORD = b"HREC"
NAMES, ROWS = 0, 1
MAX_PAYLOAD = 64 << 20
KEEP_FREE = 256 << 20
"""Free bytes that the history leaves to what matters more (the journal)."""
FILES = 16
CHECK_EVERY = 32
"""Blocks between two looks at the free space."""


@dataclass(frozen=True, slots=True)
class _Block:
    offset: int
    length: int
    checksum: int
    names: int
    first: int
    last: int
    rows: int
    n: int = 0


@dataclass(slots=True)
class _File:
    path: Path
    size: int = 0
    newest: int = 0
    names: dict[int, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    blocks: list[_Block] = field(default_factory=list)


class HistoryFiles:
    """A folder of segment files."""

    def __init__(
        self, folder: Path, clock: Clock, max_bytes: int, max_age_ms: int,
        keep_free: int = KEEP_FREE,
    ) -> None:  # fmt: skip
        self._folder, self._clock = folder, clock
        self._max_bytes, self._max_age_ms, self._keep_free = max_bytes, max_age_ms, keep_free
        self._files: list[_File] = []
        self._handle: BinaryIO | None = None
        self._opened = False
        self._blocks = 0
        self.damaged = 0
        """Blocks whose checksum did not fit."""

    @property
    def bytes(self) -> int:
        """What is on disk."""
        return sum(file.size for file in self._files)

    def write(self, chunk: Chunk) -> None:
        """Add a chunk; raises StoreError, after which the next call tries again in a new file."""
        try:
            self._open_folder()
            self._check_space()
            self._write(chunk)
            self._keep_bounds()
        except OSError as error:
            self._drop_handle()
            raise StoreError(f"{self._folder}: {error.strerror or error}") from error

    def _check_space(self) -> None:
        self._blocks += 1
        if self._handle is not None and self._blocks % CHECK_EVERY:
            return
        free = shutil.disk_usage(self._folder).free
        if free < self._keep_free:
            self._drop_handle()
            raise StoreError(
                f"{self._folder}: {free >> 20} MiB free, {self._keep_free >> 20} MiB stay free"
            )

    def _write(self, chunk: Chunk) -> None:
        if self._handle is None or self._files[-1].size >= self._max_bytes // FILES:
            self._new_file()
        file = self._files[-1]
        key = (chunk.source, chunk.names)
        names = next((i for i, known in file.names.items() if known == key), None)
        if names is None:
            names = len(file.names)
            text = json.dumps([chunk.source, chunk.names]).encode()
            self._append(NAMES, names, text, 0, 0, 0)
            file.names[names] = key
        body = zlib.compress(chunk.tags + chunk.times + chunk.values + chunk.qualities, 1)
        offset, checksum = self._append(
            ROWS, names, body, chunk.first, chunk.last, len(chunk.qualities)
        )
        file.blocks.append(
            _Block(
                offset, len(body), checksum, names, chunk.first, chunk.last,
                len(chunk.qualities), chunk.n,
            )
        )  # fmt: skip
        file.newest = max(file.newest, self._clock.now_ms())

    def _append(
        self, kind: int, names: int, body: bytes, first: int, last: int, rows: int
    ) -> tuple[int, int]:
        assert self._handle is not None
        file = self._files[-1]
        checksum = zlib.crc32(body)
        head = _HEAD.pack(RECORD, len(body), checksum, names, kind, first, last, rows)
        self._handle.write(head + body)
        self._handle.flush()
        offset = file.size + len(head)
        file.size += len(head) + len(body)
        return offset, checksum

    def _new_file(self) -> None:
        self._drop_handle()
        last = max((int(file.path.stem) for file in self._files), default=0)
        path = self._folder / f"{last + 1:08d}.seg"
        self._handle = path.open("xb")
        self._files.append(_File(path, len(MARK)))
        self._handle.write(MARK)

    def _drop_handle(self) -> None:
        if self._handle is not None:
            handle, self._handle = self._handle, None
            try:
                handle.close()
            except OSError as error:
                raise StoreError(f"{self._folder}: {error.strerror}") from error

    def _keep_bounds(self) -> None:
        too_old = self._clock.now_ms() - self._max_age_ms
        while len(self._files) > 1 and (
            self.bytes > self._max_bytes or self._files[0].newest < too_old
        ):
            self._files.pop(0).path.unlink(missing_ok=True)

    # what earlier runs left

    def _open_folder(self) -> None:
        if self._opened:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = sorted(path for path in self._folder.glob("*.seg") if path.stem.isdigit())
        self._files = [_scan(path) for path in found]
        self._opened = True

    def read(self, source: str, since: int, until: int, skip: set[int]) -> list[Chunk]:
        """Chunks of a source that touch [since, until], oldest first, but those of `skip`."""
        try:
            self._open_folder()
        except OSError:
            return []  # told by the next write
        found: list[Chunk] = []
        for file in self._files:
            wanted = [
                block for block in file.blocks
                if block.last >= since and block.first <= until
                and not (block.n and block.n in skip)
                and file.names.get(block.names, ("",))[0] == source
            ]  # fmt: skip
            if wanted:
                found += self._blocks_of(file, wanted)
        return found

    def _blocks_of(self, file: _File, wanted: list[_Block]) -> list[Chunk]:
        found: list[Chunk] = []
        try:
            with file.path.open("rb") as handle:
                for block in wanted:
                    handle.seek(block.offset)
                    chunk = _chunk(handle.read(block.length), block, *file.names[block.names])
                    if chunk is None:
                        self.damaged += 1
                    else:
                        found.append(chunk)
        except OSError:
            self.damaged += len(wanted) - len(found)
        return found

    def close(self) -> None:
        """Close the file that is being written; raises StoreError."""
        handle = self._handle
        if handle is not None:
            try:
                os.fsync(handle.fileno())
            except OSError as error:
                raise StoreError(f"{self._folder}: {error.strerror}") from error
        self._drop_handle()


def _chunk(body: bytes, block: _Block, source: str, names: tuple[str, ...]) -> Chunk | None:
    if zlib.crc32(body) != block.checksum:
        return None
    try:
        data = zlib.decompress(body)
    except zlib.error:
        return None
    n = block.rows
    if len(data) != 21 * n:
        return None
    columns = data[: 4 * n], data[4 * n : 12 * n], data[12 * n : 20 * n], data[20 * n :]
    return Chunk(block.n, source, names, block.first, block.last, *columns)


def _scan(path: Path) -> _File:
    """The blocks of a file, up to its first torn or foreign one."""
    size = path.stat().st_size
    file = _File(path, size, round(path.stat().st_mtime * 1000))
    with path.open("rb") as handle:
        if handle.read(len(MARK)) != MARK:
            return file
        at = len(MARK)
        while len(head := handle.read(_HEAD.size)) == _HEAD.size:
            mark, length, checksum, names, kind, first, last, rows = _HEAD.unpack(head)
            at += _HEAD.size
            if mark != RECORD or length > MAX_PAYLOAD or at + length > size:
                break
            if kind == NAMES:
                text = handle.read(length)
                if zlib.crc32(text) != checksum:
                    break
                source, listed = json.loads(text)
                file.names[names] = (source, tuple(listed))
            else:
                handle.seek(length, os.SEEK_CUR)
                file.blocks.append(_Block(at, length, checksum, names, first, last, rows))
            at += length
    return file
