"""`andon trace`: the time line of an alarm, an incident, a unit or a batch, from a running factory.

Called by the command line; asks the factory's REST interface as anybody may who can log in there.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from shared.embedded.running import read_up_file
from shared.errors import ConfigError
from shared.paths import default_state_dir

WAIT_S = 60.0


class Kind(StrEnum):
    """What can be traced."""

    ALARM = "alarm"
    INCIDENT = "incident"
    UNIT = "unit"
    BATCH = "batch"


def trace(
    kind: Annotated[Kind, typer.Argument(help="何物; 报警为一次发生 / an alarm is an occurrence")],
    name: Annotated[str, typer.Argument(metavar="ID", help="编号 / id")],
    factory: Annotated[
        str, typer.Option("--factory", help="工厂 URL 或运行中系统的站点 / URL, or a running site")
    ] = "",
    state: Annotated[Path | None, typer.Option(help="数据目录 / state folder")] = None,
    user: Annotated[str, typer.Option(help="用户 / who logs in")] = "admin",
    password_file: Annotated[Path | None, typer.Option(help="密码文件 / password file")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
    csv: Annotated[Path | None, typer.Option(help="写成 CSV / write a CSV file")] = None,
    pdf: Annotated[Path | None, typer.Option(help="写成 PDF 报告 / write a PDF report")] = None,
    lang: Annotated[str, typer.Option(help="报告语言 / the report's language: zh, en")] = "zh",
) -> None:
    """报警、事件、产品或批次的全程时间线 / everything about an alarm, incident, unit or batch."""
    folder = state or default_state_dir()
    url = factory if "://" in factory else running_site(folder, factory)
    who = user, password_of(folder, password_file, given="://" in factory)
    subject = f"{kind}/{quote(name, safe='')}"
    files = {form: file for form, file in (("csv", csv), ("pdf", pdf)) if file is not None}
    if as_json or not files:
        told = _ask(url, who, subject, "json", lang)
        typer.echo(told.decode()) if as_json else _show(json.loads(told))
    for form, file in files.items():
        content = _ask(url, who, subject, form, lang)
        try:
            file.write_bytes(content)
        except OSError as error:
            raise ConfigError(f"cannot be written: {error.strerror}", where=str(file)) from None
        typer.echo(str(file), err=as_json)


def running_site(folder: Path, site: str) -> str:
    """Where the console of a running site is; raises ConfigError."""
    found = read_up_file(folder)
    if found is None:
        raise ConfigError(
            "哪个工厂 / which factory?", where=str(folder / "run" / "up.json"),
            mend="给出 --factory URL，或先运行 andon up / give --factory URL, or start `andon up`",
        )  # fmt: skip
    sites: dict[str, str] = found["console"]
    if not site and len(sites) == 1:
        return next(iter(sites.values()))
    if site not in sites:
        raise ConfigError(
            f"没有运行工厂 {site!r} / no factory {site!r} runs here" if site
            else "有几个工厂在运行 / several factories run here",
            where="--factory", mend=f"用 --factory 指定其一 / give one of {', '.join(sites)}",
        )  # fmt: skip
    return sites[site]


def password_of(folder: Path, file: Path | None, *, given: bool) -> str:
    """The password to log in with; raises ConfigError."""
    if file is None and (said := os.environ.get("ANDON_PASSWORD")):
        return said
    if file is None and given:
        # A password of this machine's system is nothing to tell to another one.
        raise ConfigError(
            "没有密码 / no password", where="--password-file",
            mend="给出 / give --password-file, ANDON_PASSWORD",
        )  # fmt: skip
    known = file or folder / "secrets" / "admin-password"
    try:
        return known.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"无法读取密码 / the password cannot be read: {error}", where=str(known),
            mend="给出 / give --password-file",
        ) from error  # fmt: skip


def _ask(url: str, who: tuple[str, str], subject: str, form: str, lang: str) -> bytes:
    import httpx  # a part of `andon[web]`: the other verbs do without it

    try:
        with httpx.Client(base_url=url, timeout=WAIT_S, headers={"Accept-Language": lang}) as web:
            login = {"username": who[0], "password": who[1]}
            told_by(web.post("/api/session", json=login))
            answer = web.get(f"/api/trace/{subject}", params={"format": form, "lang": lang})
            web.delete("/api/session")
            return told_by(answer).content
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConfigError(
            f"工厂没有应答 / the factory does not answer: {error or type(error).__name__}",
            where=url,
            mend="确认它在运行，或给出 --factory URL / see that it runs, or give --factory URL",
        ) from error  # fmt: skip


def told_by(answer: Any) -> Any:
    """The answer; raises ConfigError in the factory's own words for a refusal."""
    if answer.status_code < 400:
        return answer
    try:
        problem = answer.json()
        what = f"{problem['detail'] or problem['title']} ({problem['code']})"
    except (ValueError, KeyError, TypeError):
        what = f"HTTP {answer.status_code}"
    raise ConfigError(what, where=str(answer.request.url.copy_with(query=None)))


def _show(told: dict[str, Any]) -> None:
    """The time line for the eye: times by the factory's clock on the wall."""
    zone, screen = ZoneInfo(told["timezone"]), Console(soft_wrap=True, highlight=False)
    title = told["title"]
    head = f"{told['kind']} {told['id']} — {title['zh']} / {title['en']} ({told['timezone']})"
    screen.print(head, markup=False)
    table = Table(box=None, show_header=False)
    for each in told["entries"]:
        at = datetime.fromtimestamp(each["at"] // 1000, zone)
        of = (each[key] for key in ("station", "unit", "alarm", "actor"))
        said = "; ".join(f"{key}={value}" for key, value in each["params"].items())
        table.add_row(
            f"{at:%Y-%m-%d %H:%M:%S}.{each['at'] % 1000:03d}", "?" if each["uncertain"] else " ",
            each["lane"], _plain(each["kind"]), _plain(" ".join(filter(None, of))), _plain(said),
        )  # fmt: skip
    screen.print(table)
    if told["truncated"]:
        screen.print("… 不完整 / there is more than a time line can hold")


def _plain(text: str) -> str:
    """Nothing that a linked system said is an order to the terminal."""
    return "".join(c if c.isprintable() else "·" for c in text).replace("[", r"\[")
