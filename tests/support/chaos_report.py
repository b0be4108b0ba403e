"""Collects what the chaos suite did, and writes it into the documentation when asked to."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path

REPORT = Path(__file__).resolve().parents[2] / "docs" / "reference" / "chaos-report.md"


@dataclass
class Line:
    """One campaign."""

    name: str
    seconds: float
    facts: dict[str, object]


@dataclass
class ChaosReport:
    """The campaigns of one session."""

    seed: int
    whole: bool
    began: float = field(default_factory=time.time)
    lines: list[Line] = field(default_factory=list)

    def add(self, name: str, began: float, **facts: object) -> None:
        """Note a campaign that held."""
        self.lines.append(Line(name, time.monotonic() - began, facts))

    def rows(self) -> dict[str, str]:
        """This session's campaigns, each as a row of the page."""
        return {
            line.name: f"| {line.name} | {', '.join(f'{k} {v}' for k, v in line.facts.items())} "
            f"| {line.seconds:.1f} s |"
            for line in self.lines
        }

    def text(self, earlier: str = "") -> str:
        """The page; campaigns of an earlier page that were not run anew keep their rows."""
        found = [row for row in earlier.splitlines() if row.startswith("| ")]
        rows = {row.split(" | ")[0][2:]: row for row in found[1:]} | self.rows()
        stamp = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.began))
        return "\n".join([
            "# Chaos report",
            "",
            "Written by `make soak`; every line is a campaign that held: nothing acknowledged was "
            "lost, nothing took effect twice, the order of each source was kept, and "
            "`produced = delivered + buffered + dropped + quarantined` at every look.",
            "The parts are the real ones: the edge's SQLite store, journal and drainer, "
            "nats-server with JetStream and a synchronous disk, the brain's ingest, PostgreSQL.",
            "",
            f"Last run {stamp} (a campaign that was not part of it keeps its row), "
            f"seed {self.seed}, Python {platform.python_version()}, "
            f"SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores. "
            f"Again with the same seed: `ANDON_CHAOS_SEED={self.seed} make soak`.",
            "",
            "| campaign | what happened | took |",
            "|---|---|--:|",
            *rows.values(),
            "",
            "Kill points lie before every SQL statement (begin and commit included), before, "
            "during and after every publish, around every watermark report and every "
            "registration. A kill is SIGKILL by the process to itself at such a point, so that "
            "each point is hit exactly; other lives are killed from outside at a random moment.",
            "What SIGKILL cannot show is a disk that lies about `fsync`; there the new epoch of "
            "every start and the receiver's watermark still prevent silent mixing "
            "(the snapshot-restore campaign).",
            "",
        ])  # fmt: skip

    def write(self) -> None:
        """Put it into the documentation."""
        REPORT.write_text(self.text(REPORT.read_text() if REPORT.exists() else ""))
