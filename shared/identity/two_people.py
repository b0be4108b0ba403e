"""Whether two names may be one person: four eyes need two people, not two accounts. Pure.

Asked before a second agreement is taken. In doubt it says yes: a refused colleague asks another,
and an accepted alias changes a plant alone.
"""

from __future__ import annotations

import unicodedata


def same_person(one: str, other: str) -> bool:
    """Whether two account names belong together, as far as names can tell.

    Case, width, accents, look-alike spaces, a domain, and the endings by which people tell their
    accounts apart make no other person of somebody.

    >>> same_person("anna", "Anna@works.example"), same_person("anna", "anna-admin")
    (True, True)
    >>> same_person("anna", "joanna"), same_person("王芳", "王伟")
    (False, False)
    """
    first, second = _bare(one), _bare(other)
    return not first or not second or first == second


_ENDINGS = ("admin", "adm", "oidc", "sso", "local", "test", "backup", "alt", "2", "1")


def _bare(name: str) -> str:
    folded = unicodedata.normalize("NFKD", name).casefold()
    folded = folded.rpartition("\\")[2].partition("@")[0]
    parts = "".join(c if c.isalnum() else " " for c in folded if not unicodedata.combining(c))
    words = [word for word in parts.split() if word not in _ENDINGS] or parts.split()
    return "".join(words)
