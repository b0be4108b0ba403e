"""The sites that the node bench runs, written as files: tags in batches, rules, one reflex.

Called by the bench; what it writes is what an engineer would write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SITE, EDGE, DEVICE = "bench", "e1", "bench"
IN_FILE = 500
"""Entries in one file: a site's files are small."""


def write_site(
    folder: Path, *, tags: int = 0, alarms: int = 0, report: bool = True, ladder: int = 0,
    opcua: str = "", nodes: int = 0,
) -> None:  # fmt: skip
    """A site with `tags` batch tags, the first `alarms` of them with an alarm.

    `ladder` puts so many limits, one above the other, on the tag `LEVEL`; `opcua` adds a server's
    URL with `nodes` tags that have an alarm each. `ACT` sets off a reflex on the device.
    """
    sources = [source("plant", "mqtt", f"device:{DEVICE}")]
    listed = [tag(f"T{i}", "plant", f"batch#{i}", report=report) for i in range(tags)]
    listed += [
        tag("LEVEL", "plant", "rules#values.temperature", report=False),
        tag("ACT", "plant", "act#values.act", type="boolean", report=False),
    ]
    rules = [limit(f"T{i}.HI", f"T{i}", 90.0) for i in range(alarms)]
    rules += [limit(f"LEVEL.{i}", "LEVEL", 10.0 * i + 5.0) for i in range(ladder)]
    rules.append(alarm("ACT.ON", "ACT", kind="discrete", equals=True))
    if opcua:
        sources.append(source("opc", "opcua", opcua))
        listed += [tag(f"N{i}", "opc", f"ns=2;s=N{i}", report=False) for i in range(nodes)]
        rules += [limit(f"N{i}.HI", f"N{i}", 50.0) for i in range(nodes)]
    words = names("测量")
    put(folder / "site.yaml", {"site": SITE, "name": words, "edges": [{"id": EDGE, "name": words}]})
    put(folder / "tags" / "sources.yaml", {"sources": sources})
    split(folder / "tags", "tags", listed)
    split(folder / "alarms", "alarms", rules)
    reflex = {"id": "act", "alarm": "ACT.ON", "device": "BEN-01/device", "operation": "act",
              "safe_direction": True}  # fmt: skip
    put(folder / "reflexes" / "act.yaml", {"reflexes": [reflex]})
    device = {"type": "bench.device", "edge": EDGE, "source": "plant",
              "operations": {"act": {"write": "act"}}}  # fmt: skip
    put(folder / "bindings.yaml", {"devices": {"BEN-01/device": device}})


def names(text: str) -> dict[str, str]:
    """A name in both languages."""
    return {"zh": text, "en": "Bench"}


def source(name: str, driver: str, url: str) -> dict[str, Any]:
    """One source of the edge."""
    return {"id": name, "edge": EDGE, "driver": driver, "url": url, "interval": "100ms"}


def tag(name: str, of: str, address: str, **more: Any) -> dict[str, Any]:
    """One tag; it never goes stale in a bench."""
    return {"id": name, "source": of, "address": address, "asset": "BEN-01", "name": names(name),
            "stale_after": "1h", **more}  # fmt: skip


def alarm(name: str, on: str, **more: Any) -> dict[str, Any]:
    """One alarm."""
    return {"id": name, "edge": EDGE, "asset": "BEN-01", "tag": on, "priority": 3,
            "name": names(name), **more}  # fmt: skip


def limit(name: str, on: str, value: float) -> dict[str, Any]:
    """An alarm without delay above `value`."""
    return alarm(name, on, kind="limit", side="HI", limit=value)


def split(folder: Path, key: str, rows: list[dict[str, Any]]) -> None:
    """Rows in files of a readable size."""
    for start in range(0, len(rows), IN_FILE):
        put(folder / f"{key}{start // IN_FILE}.yaml", {key: rows[start : start + IN_FILE]})


def put(path: Path, document: dict[str, Any]) -> None:
    """Write a document; JSON is YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, ensure_ascii=False, indent=0), encoding="utf-8")
