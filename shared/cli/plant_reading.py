"""Reads one alarm and some tags from a running factory, as anybody may who can log in there.

Called by `andon playbook dry-run --url`; only asks (GET) the factory's REST interface.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shared.clock import SystemClock
from shared.errors import ConfigError
from shared.expression import Reading
from shared.site.site import Site

WAIT_S = 15.0
BACK_MS = 366 * 86_400_000
"""Only changes are stored, so a value may be old and still stand."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where, and who asks."""

    url: str
    user: str
    password_file: Path | None


@dataclass(frozen=True, slots=True)
class Plant:
    """An alarm as expressions see it, and readings by the site's tags."""

    alarm: Mapping[str, Any]
    readings: Mapping[str, Reading]


def read_plant(
    access: Access, alarm: str, tags: Callable[[Mapping[str, Any]], list[str]], site: Site
) -> Plant:
    """The alarm now and the tags that are wanted for it; raises ConfigError."""
    import httpx  # a part of `andon[web]`: the other verbs do without it

    try:
        with httpx.Client(base_url=access.url, timeout=WAIT_S) as web:
            login = {"username": access.user, "password": _password(access)}
            _told(web.post("/api/session", json=login))
            try:
                found = _alarm(_told(web.get(f"/api/alarms/{quote(alarm, safe='')}")))
                live = _told(web.get("/api/fleet"))
                online = {edge["edge"] for edge in live["edges"] if edge["online"]}
                readings: dict[str, Reading] = {}
                for tag in tags(found):
                    reading = _reading(web, tag, site, online)
                    if reading is not None:
                        readings[tag] = reading
            finally:
                web.delete("/api/session")
            return Plant(found, readings)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConfigError(
            f"工厂没有应答 / the factory does not answer: {error or type(error).__name__}",
            where=access.url,
            mend="确认它在运行，或以 JSON 给出告警 / see that it runs, or give the alarm as JSON",
        ) from error  # fmt: skip


def _alarm(detail: Any) -> dict[str, Any]:
    row = detail["row"]
    return {
        "id": row["alarm"], "occurrence": row["occurrence"], "asset": row["asset"],
        "tag": row["tag"], "value": row["value"], "limit": row["limit"], "unit": row["unit"],
        "priority": row["priority"], "raised_at": row["raised_at"],
        "transition": "raised" if row["active"] else "cleared",
        "quality": "good" if row["value"] is not None else "bad",
    }  # fmt: skip


def _reading(web: Any, tag: str, site: Site, online: set[str]) -> Reading | None:
    now, spec = SystemClock().now_ms(), site.tags.get(tag)
    if spec is None:
        return None
    params = {"since": now - BACK_MS, "until": now + 60_000, "max": 2}
    told = _told(web.get(f"/api/tags/{quote(tag, safe='')}/samples", params=params))
    if not told["t"]:
        return None
    at, value, quality = told["t"][-1], told["v"][-1], told["q"][-1]
    heard = site.sources[spec.source].edge in online
    good = heard and quality == 0 and value is not None
    typed = bool(value) if spec.type == "boolean" and value is not None else value
    return Reading(typed, good, max(0, now - at) / 1000, "" if heard else "stale")


def _told(answer: Any) -> Any:
    """The document; raises ConfigError in the factory's own words for a refusal."""
    if answer.status_code < 400:
        return answer.json() if answer.content else None
    try:
        problem = answer.json()
        what = f"{problem['detail'] or problem['title']} ({problem['code']})"
    except (ValueError, KeyError, TypeError):
        what = f"HTTP {answer.status_code}"
    raise ConfigError(what, where=str(answer.request.url.copy_with(query=None)))


def _password(access: Access) -> str:
    if access.password_file is None:
        if said := os.environ.get("ANDON_PASSWORD"):
            return said
        raise ConfigError(
            "没有密码 / no password", where="--password-file",
            mend="给出 / give --password-file, ANDON_PASSWORD",
        )  # fmt: skip
    try:
        return access.password_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the password cannot be read: {error}", where=str(access.password_file)
        ) from error
