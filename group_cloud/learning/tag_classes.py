"""The class of a tag: what kind of quantity it is, so that factories can share what they learn.

Called where a recorded plant or a telegram names a tag without its class. It guesses by the name
only, never by the values.
"""

from __future__ import annotations

import re

OTHER = "other"
SLOW = frozenset({"pressure", "level", "temperature"})
"""Classes whose alarms may be delayed by 5 min at most; the others by 10."""
_TENNESSEE = {
    "flow": (1, 2, 3, 4, 5, 6, 10, 14, 17, 19),
    "pressure": (7, 13, 16),
    "level": (8, 12, 15),
    "temperature": (9, 11, 18, 21, 22),
    "power": (20,),
    "composition": tuple(range(23, 42)),
}
"""Measurements (XMEAS) of the Tennessee Eastman process by number."""
_BY_NUMBER = {number: name for name, numbers in _TENNESSEE.items() for number in numbers}
_HINTS = (
    ("temperature", ("temp", "thermo")),
    ("pressure", ("press",)),
    ("level", ("level",)),
    ("flow", ("flow", "rate")),
    ("vibration", ("accel", "vibr")),
    ("current", ("current", "amp")),
    ("voltage", ("volt",)),
    ("power", ("power",)),
    ("valve", ("valve", "xmv")),
    ("load", ("cpu", "load", "util")),
)


def tag_class(name: str) -> str:
    """The class of a tag by its name; `other` if the name says nothing.

    >>> tag_class("XMEAS12"), tag_class("XMV3"), tag_class("Reactor Temp"), tag_class("q")
    ('level', 'valve', 'temperature', 'other')
    """
    plain = name.strip().lower()
    number = re.fullmatch(r"xmeas[_( ]?(\d+)\)?", plain)
    if number is not None:
        return _BY_NUMBER.get(int(number[1]), OTHER)
    for found, hints in _HINTS:
        if any(hint in plain for hint in hints):
            return found
    return OTHER
