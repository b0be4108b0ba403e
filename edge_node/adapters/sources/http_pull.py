"""The driver `http`: values from JSON bodies at an interval, writes as requests; options, grammar.

Loaded by the registry for every check of a site, so it imports no HTTP library; `http_client` does
the work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from edge_node.adapters.sources.json_values import TimeUnit, parse_path
from edge_node.adapters.sources.port import Driver, DriverInfo, Options, Sink, Source
from shared.clock import Clock
from shared.site.fields import Duration

_WRITE = re.compile(r"(POST|PUT|PATCH|DELETE)\s+(/\S*)")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class HttpOptions(Options):
    """`options:` of an HTTP source. The secret is in the edge's settings (`password_file`)."""

    auth: Literal["none", "basic", "bearer", "header", "signed"] = "none"
    """`signed`: writes carry webhook-id, -timestamp and -signature (HMAC-SHA256)."""
    auth_header: str = "X-API-Key"
    """The header's name with `auth: header`."""
    headers: dict[str, str] = Field(default_factory=dict)
    timeout: Duration = Field(default=5000, ge=50, le=60_000)
    time: str = ""
    """Where the body says when its values were true; empty: the moment of the answer."""
    time_unit: TimeUnit = "auto"
    max_body: int = Field(default=1 << 20, ge=64, le=64 << 20)
    ca_file: str = ""
    """Certificates to trust instead of the system's."""
    idempotent_writes: bool = False
    """The far end takes each Idempotency-Key once, so that a request without an answer may be sent
    a second time."""

    @field_validator("time")
    @classmethod
    def _time(cls, text: str) -> str:
        if text:
            parse_path(text)
        return text

    @field_validator("headers")
    @classmethod
    def _headers(cls, given: dict[str, str]) -> dict[str, str]:
        for name, value in given.items():
            if not _HEADER.fullmatch(name) or "\n" in value or "\r" in value:
                raise ValueError(f"{name!r} is no header")
            if name.lower() in ("authorization", "cookie"):
                raise ValueError(f"{name} is a secret: use `auth` and the edge's password_file")
        return given


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a body: which request, where in its answer."""

    request: str
    """Path and query below the source's URL; empty: the URL itself."""
    path: tuple[str, ...]


def parse_address(text: str) -> Place:
    """Read `/data/temp`, `data.temp` or `api/line1?x=1#/temp`; ValueError with the rule."""
    request, mark, path = text.strip().rpartition("#")
    if not path and not mark:
        raise ValueError("an address is missing: write /data/temp, data.temp or api/line1#/temp")
    if "://" in request or any(letter.isspace() for letter in request):
        raise ValueError(
            f"{text!r}: before # stands a path below the source's url, api/line1#/temp"
        )
    return Place(request, parse_path(path))


def check_address(address: str, tag_type: str) -> str:
    """What is wrong with a tag's address, with the mend; "" when nothing is."""
    del tag_type
    try:
        parse_address(address)
    except ValueError as error:
        return str(error)
    return ""


def parse_write(text: str) -> tuple[str, str]:
    """Method and path of `POST /lines/1/stop`; ValueError with the rule."""
    match = _WRITE.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is no request: write POST, PUT, PATCH or DELETE and a path, for example "
            "POST /lines/1/stop"
        )
    return match[1], match[2]


def check_write(address: str) -> str:
    """What is wrong with the address of an operation; "" when it can be written."""
    try:
        parse_write(address)
    except ValueError as error:
        return str(error)
    return ""


def _build(source: Source, sink: Sink, clock: Clock) -> Driver:
    from edge_node.adapters.sources.http_client import HttpDriver

    return HttpDriver(source, sink, clock)


DRIVER = DriverInfo(
    name="http",
    options=HttpOptions,
    build=_build,
    check_address=check_address,
    schemes=("http", "https"),
    check_write=check_write,
    extra="web",
)
