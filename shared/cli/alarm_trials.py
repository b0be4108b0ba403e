"""Reads what is to be tried from the command line: settings, shelves, suppressions.

Called by `andon alarms replay`; says what is wrong and how to write it, and tries nothing.
"""

from __future__ import annotations

from math import isfinite

from shared.alarm.filters import FILTERS, Filter
from shared.alarm.kpi.csv_journal import time_ns
from shared.alarm.point import Setting
from shared.alarm.replay import Delays, Hiding
from shared.errors import ConfigError

_KEYS = ("limit", "deadband", "on", "off", "centre")
_FILTER = "filter"


def settings_trial(text: str) -> Delays:
    """`[ALARM:]on=60,off=300` for a journal."""
    pattern, given = _split(text, "--set")
    return Delays(round(given.get("on", 0) * 1000), round(given.get("off", 0) * 1000), pattern)


def numbers(text: str, base: Setting | None, where: str = "--set") -> Setting:
    """`limit=80,deadband=1,on=60,off=300,filter=mean5min` for samples; what is not said is as in
    `base`."""
    kind, text = _filter(text, where)
    _, given = _split(text, where) if text else ("", dict[str, float]())
    if base is None and "limit" not in given:
        raise ConfigError(
            "samples need the setting in force", where=where, mend="write --now limit=80,on=2"
        )
    base = base or Setting(given["limit"])
    return Setting(
        given.get("limit", base.limit),
        given.get("deadband", base.deadband),
        round(given["on"] * 1000) if "on" in given else base.on_delay_ms,
        round(given["off"] * 1000) if "off" in given else base.off_delay_ms,
        kind or base.filter,
    )


def hiding(text: str, *, shelf: bool) -> Hiding:
    """`ALARM[@FROM/TO]` for a shelf, `ALARM while OTHER` for a suppression."""
    if not shelf:
        pattern, found, cause = text.partition(" while ")
        if not found or not pattern.strip() or not cause.strip():
            raise ConfigError(
                f"{text!r} names no alarm that suppresses", where="--suppress",
                mend="write it as 'FIR123|H while PI7|LL'",
            )  # fmt: skip
        return Hiding(pattern.strip(), cause=cause.strip())
    pattern, _, span = text.partition("@")
    since, _, until = span.partition("/")
    return Hiding(pattern.strip() or "*", _time(since), _time(until))


def trial_text(setting: Setting) -> str:
    """A setting as it is written here."""
    return (
        f"limit={setting.limit:g},deadband={setting.deadband:g},"
        f"on={setting.on_delay_ms / 1000:g},off={setting.off_delay_ms / 1000:g}"
        + ("" if setting.filter == "raw" else f",filter={setting.filter}")
    )


def _time(text: str) -> int | None:
    if not text.strip():
        return None
    try:
        return time_ns(text.strip()) // 1_000_000
    except ValueError:
        raise ConfigError(
            f"{text!r} is no time", where="--shelve", mend="write it as 2024-05-01T00:00:00"
        ) from None


def centre_of(text: str, base: float = 0.0, where: str = "--set") -> float:
    """`centre=50` of the same text: what the filter `day` is written around."""
    _, rest = _filter(text, where)
    return _split(rest, where)[1].get("centre", base) if rest else base


def _filter(text: str, where: str) -> tuple[Filter | None, str]:
    """The filter that is asked for, and the rest."""
    parts = text.split(",")
    named = [part for part in parts if part.strip().partition("=")[0] == _FILTER]
    if not named:
        return None, text
    name = named[-1].partition("=")[2].strip()
    found: Filter | None = next((each for each in FILTERS if each == name), None)
    if found is None:
        raise ConfigError(
            f"{name!r} is no filter", where=where, mend=f"write one of {', '.join(FILTERS)}"
        )
    return found, ",".join(part for part in parts if part not in named)


def _split(text: str, where: str) -> tuple[str, dict[str, float]]:
    pattern, colon, rest = text.rpartition(":")
    given: dict[str, float] = {}
    for part in (rest if colon else text).split(","):
        key, equals, value = part.strip().partition("=")
        try:
            number = float(value.removesuffix("s"))
        except ValueError:
            number = float("nan")
        good = isfinite(number) and (number >= 0 or key in ("limit", "centre"))
        if not equals or key not in _KEYS or not good:
            raise ConfigError(
                f"{part.strip()!r} is no setting", where=where,
                mend="write limit=80, deadband=1, on=60 or off=300 (seconds), joined by commas",
            )  # fmt: skip
        given[key] = number
    return pattern or "*", given
