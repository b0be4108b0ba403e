"""The running system as the playbook verbs see it: a factory's REST and the simulators' control.

Used by `andon playbook trace`, `replay` and `drill`; a refusal is told in the factory's own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.cli.trace import password_of, running_site, told_by
from shared.errors import ConfigError
from shared.ids import new_epoch
from shared.paths import default_state_dir
from shared.playbook.model import Playbook
from shared.playbook.rehearsal.replay import Kept

WAIT_S = 20.0
CONTEXT = ("alarm", "inputs", "site", "started_by", "trigger", "drill", "time_scale")


class Web:
    """One address."""

    def __init__(self, url: str) -> None:
        import httpx  # a part of `andon[web]`: the other verbs do without it

        self.url = url
        self._http = httpx.Client(base_url=url, timeout=WAIT_S, trust_env=False)

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON; raises ConfigError for a refusal or a silence."""
        import httpx

        headers = {"Idempotency-Key": new_epoch()} if method == "POST" else {}
        try:
            answer = told_by(self._http.request(method, path, json=body, headers=headers))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ConfigError(
                f"没有应答 / no answer: {error or type(error).__name__}", where=self.url + path,
                mend="确认它在运行，或给出 --factory URL / see that it runs, or give --factory URL",
            ) from error  # fmt: skip
        return answer.json() if answer.content else None


def brain(factory: str, state: Path | None, user: str, password_file: Path | None) -> Web:
    """A logged-in factory: by its URL, or by its site's name in the running system."""
    folder = state or default_state_dir()
    url = factory if "://" in factory else running_site(folder, factory)
    found = Web(url)
    password = password_of(folder, password_file, given="://" in factory)
    found.ask("POST", "/api/session", {"username": user, "password": password})
    return found


def kept_of(journal: Mapping[str, Any]) -> Kept:
    """A run as `GET /api/runs/{id}/journal` tells it."""
    run = journal["run"]
    return Kept(
        Playbook.model_validate(journal["document"]),
        {name: Playbook.model_validate(one) for name, one in journal["books"].items()},
        {key: value for key, value in journal["context"].items() if key in CONTEXT},
        run["id"], run["started_at"], journal["deadline_at"],
        [(r["path"], r["attempt"], r["phase"], r["data"], r["at"]) for r in journal["rows"]],
        run["status"],
    )  # fmt: skip
