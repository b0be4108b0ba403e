"""Reads what is to be tried from the command line: settings, shelves, suppressions.

Called by `andon alarms replay`; says what is wrong and how to write it, and tries nothing.
"""

from __future__ import annotations

from math import isfinite

from shared.alarm.kpi.csv_journal import time_ns
from shared.alarm.point import Setting
from shared.alarm.replay import Delays, Hiding
from shared.errors import ConfigError

_KEYS = ("limit", "deadband", "on", "off")


def settings_trial(text: str) -> Delays:
    """`[ALARM:]on=60,off=300` for a journal."""
    pattern, given = _split(text, "--set")
    return Delays(round(given.get("on", 0) * 1000), round(given.get("off", 0) * 1000), pattern)


def numbers(text: str, base: Setting | None, where: str = "--set") -> Setting:
    """`limit=80,deadband=1,on=60,off=300` for samples; what is not said is as in `base`."""
    _, given = _split(text, where)
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


def _split(text: str, where: str) -> tuple[str, dict[str, float]]:
    pattern, colon, rest = text.rpartition(":")
    given: dict[str, float] = {}
    for part in (rest if colon else text).split(","):
        key, equals, value = part.strip().partition("=")
        try:
            number = float(value.removesuffix("s"))
        except ValueError:
            number = float("nan")
        good = isfinite(number) and (number >= 0 or key == "limit")
        if not equals or key not in _KEYS or not good:
            raise ConfigError(
                f"{part.strip()!r} is no setting", where=where,
                mend="write limit=80, deadband=1, on=60 or off=300 (seconds), joined by commas",
            )  # fmt: skip
        given[key] = number
    return pattern or "*", given
