"""What Apprise's plug-ins call by: answers are heard, and a relay's judged address is kept to.

Used by `apprise_channels` in the thread of one message; decides nothing about messages.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import make_msgid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from factory_brain.adapters.outward import RefusedAddressError, Target

if TYPE_CHECKING:
    import requests

_HERE = threading.local()


@dataclass(frozen=True, slots=True)
class Relay:
    """Where a plug-in is led in place of its service, and the address that was judged for it.

    The name is not resolved again: one that changes its mind in between leads nowhere.
    """

    url: str
    target: Target

    def request(self, method: str, url: str, **more: Any) -> requests.Response:
        """Call the judged address by the relay's name; nothing else is called."""
        asked, known = urlsplit(url), urlsplit(self.url)
        if (asked.scheme, asked.netloc) != (known.scheme, known.netloc):
            raise RefusedAddressError("the plug-in of this service calls past the relay")
        more["headers"] = {**(more.get("headers") or {}), "Host": self.target.host}
        more["allow_redirects"] = False
        import requests

        dialled = asked._replace(netloc=urlsplit(self.target.url).netloc).geturl()
        with requests.Session() as session:
            session.trust_env = False  # a proxy would resolve the name by itself
            session.mount("https://", _by_name(self.target.name))
            return session.request(method, dialled, **more)


def _by_name(name: str) -> Any:
    """TLS with the name that is meant, whatever address is dialled."""
    from requests.adapters import HTTPAdapter

    class ByName(HTTPAdapter):
        """A pool that asks for this name and checks the certificate by it."""

        def init_poolmanager(
            self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
        ) -> None:
            named = {"server_hostname": name, "assert_hostname": name}
            super().init_poolmanager(connections, maxsize, block, **pool_kwargs, **named)

    return ByName()


class Listening:
    """The `requests` of a plug-in: by the thread's relay, if any; the answer is kept."""

    def __getattr__(self, name: str) -> Any:
        if name in ("post", "put", "patch", "delete"):
            return self._sends(name.upper())
        if name.lower() == "session" and getattr(_HERE, "relay", None) is not None:
            raise RefusedAddressError("this service cannot be called by a relay")
        import requests

        return getattr(requests, name)

    def _sends(self, method: str) -> Callable[..., requests.Response]:
        def sends(url: str, data: Any = None, **more: Any) -> requests.Response:
            return self.request(method, url, data=data, **more)

        return sends

    def get(self, url: str, params: Any = None, **more: Any) -> requests.Response:
        """GET."""
        return self.request("GET", url, params=params, **more)

    @staticmethod
    def request(method: str, url: str, **more: Any) -> requests.Response:
        """Any request, and remember the answer."""
        import requests

        relay: Relay | None = getattr(_HERE, "relay", None)
        call = requests.request if relay is None else relay.request
        _HERE.answer = call(method, url, **more)
        return _HERE.answer


class _Words(logging.Handler):
    """What Apprise says of a failure, by thread; its debug lines hold secrets and stay here."""

    def emit(self, record: logging.LogRecord) -> None:
        said: list[str] | None = getattr(_HERE, "said", None)
        text = record.getMessage()
        if said is not None and (record.levelno >= logging.WARNING or "Exception" in text):
            said.append(text)


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a call: the newest answer over HTTP, and what Apprise said."""

    answer: requests.Response | None
    said: list[str]


def begin(message: str, relay: Relay | None) -> None:
    """From here on this thread sends this message."""
    _HERE.said, _HERE.answer, _HERE.relay, _HERE.message = [], None, relay, message


def heard() -> Heard:
    """What this thread has heard since."""
    return Heard(_HERE.answer, _HERE.said)


def end() -> None:
    """It is done with it."""
    _HERE.said = _HERE.answer = _HERE.relay = _HERE.message = None


def message_id(idstring: str | None = None, domain: str | None = None) -> str:
    """A mail's Message-ID: the same at every attempt, so that a second copy is known as one."""
    message: str | None = getattr(_HERE, "message", None)
    if not message:
        return make_msgid(idstring, domain)
    return f"<{message}@{domain or 'andon'}>"


def listen() -> None:
    """Hear what Apprise says, once."""
    told = logging.getLogger("apprise")
    if not any(isinstance(each, _Words) for each in told.handlers):
        told.addHandler(_Words())
        told.setLevel(logging.DEBUG)
        told.propagate = False
