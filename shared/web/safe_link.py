"""Which addresses of a console may be linked to: plain web addresses, and nothing that can run.

Asked where a factory's setting is read and again where the group shows what a factory reported.
"""

from __future__ import annotations

from urllib.parse import urlsplit

LONGEST = 200


def safe_link(address: object) -> str:
    """The address without a closing slash if it may be linked to, else empty.

    >>> safe_link("https://f1.works.example:8443/andon/"), safe_link("javascript:alert(1)")
    ('https://f1.works.example:8443/andon', '')
    >>> safe_link("https://admin:secret@f1.example"), safe_link("https://f1.example/?next=x")
    ('', '')
    """
    if not isinstance(address, str) or not 0 < len(address) <= LONGEST:
        return ""
    if not address.isascii() or any(c.isspace() or not c.isprintable() for c in address):
        return ""
    if any(c in address for c in "\\\"'<>`"):
        return ""
    try:
        parts = urlsplit(address)
        known = parts.port is None or parts.port > 0
    except ValueError:
        return ""
    plain = parts.scheme in ("http", "https") and bool(parts.hostname) and known
    bare = not (parts.query or parts.fragment or "@" in parts.netloc)
    return address.rstrip("/") if plain and bare else ""
