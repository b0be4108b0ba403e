"""Owns what an expression sees of a tag or a window when the plain answer is not usable.

Called by the interpreter for every read and by generated code when its fast path fails.
Never judges quality: it only turns the environment's answer into a value or Unknown.
"""

import math

from shared.expression.values import Environment, TagReading, Unknown


def tag_value(name: str, reading: TagReading | None) -> object:
    """`.value`: the value of a good tag, else Unknown with the reason."""
    if reading is None:
        return Unknown("tag_missing", {"tag": name})
    if reading.good is not True:
        stale = getattr(reading, "reason", "") == "stale"
        return Unknown("tag_stale" if stale else "tag_bad", {"tag": name})
    value = reading.value
    if type(value) is Unknown:
        return value
    # NaN compares false with every limit: as a value it would silently switch an alarm off.
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return Unknown("tag_no_value", {"tag": name})
    return value


def tag_last(name: str, reading: TagReading | None) -> object:
    """`.last`: the last good value however old, so that silence can be spoken of."""
    if reading is not None and getattr(reading, "reason", "") == "stale":
        value = reading.value
        spoilt = value is None or (isinstance(value, float) and math.isnan(value))
        return Unknown("tag_no_value", {"tag": name}) if spoilt else value
    return tag_value(name, reading)


def tag_good(reading: TagReading | None) -> bool:
    """`.good`: always a bool."""
    return reading is not None and reading.good is True


def tag_age(name: str, reading: TagReading | None) -> object:
    """`.age_s`: known for bad tags too, Unknown only when there is nothing to have an age."""
    if reading is None:
        return Unknown("tag_missing", {"tag": name})
    return reading.age_s


def tag_member(env: Environment, name: str, member: str) -> object:
    """Read one of the members of a tag."""
    reading = env.tag(name)
    if member == "good":
        return tag_good(reading)
    if member == "last":
        return tag_last(name, reading)
    return tag_value(name, reading) if member == "value" else tag_age(name, reading)


def alarm_member(env: Environment, name: str, member: str) -> object:
    """`.active` or `.acked` of an alarm; Unknown where the environment knows no alarms."""
    door = getattr(env, "alarm", None)
    view = door(name) if door is not None else None
    if view is None:
        return Unknown("alarm_missing", {"alarm": name})
    return view.active if member == "active" else view.acked


def window_value(function: str, tag: str, seconds: float, answer: object) -> object:
    """A windowed figure, or Unknown when the window had nothing to say."""
    if answer is None or (isinstance(answer, float) and math.isnan(answer)):
        return Unknown(
            "window_empty",
            {"function": function, "tag": tag, "seconds": f"{seconds:g}"},
        )
    return answer
