"""The one way out to people: Apprise for mail, chat and SMS, the linked systems' way for webhooks.

Apprise blocks, so it runs in threads of its own with a timeout; it says only whether a service
took a message, so the service's answer is listened to as well: a robot that answers 200 and a
fault code has not told anybody.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import requests

from factory_brain.adapters.outward import (
    Outward,
    RefusedAddressError,
    pinned,
)
from factory_brain.application.notify.ports import Letter
from shared.config import read_secret
from shared.errors import ConfigError
from shared.site.notify import ChannelKind, ChannelSpec

TIMEOUT_S = 20.0
CONNECT_S = 5.0
READ_S = 10.0
THREADS = 8
SCHEMES: Mapping[ChannelKind, tuple[str, ...]] = {
    "email": ("mailto", "mailtos"), "dingtalk": ("dingtalk",), "wecom": ("wecombot",),
    "feishu": ("feishu", "lark"), "slack": ("slack",),
}  # fmt: skip
"""What the URL of a kind must begin with; `sms` and `apprise` take any service."""
_ADDRESSES = ("notify_url", "webhook_url", "api_url")
"""Where Apprise's plug-ins keep the address of their service."""
_ADDRESS = re.compile(r"https?://\S+|/\S*[?=/]\S+")
"""Addresses and paths in what a plug-in says."""
_HEARD = threading.local()
_LOADING = threading.Lock()


class _Listening:
    """The `requests` of a plug-in; what the service answered is kept for the thread."""

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    @staticmethod
    def post(*args: Any, **kwargs: Any) -> requests.Response:
        """POST, and remember the answer."""
        answer = requests.post(*args, **kwargs)
        _HEARD.answer = answer
        return answer


class _Words(logging.Handler):
    """What Apprise says of a failure, by thread; its debug lines hold secrets and stay here."""

    def emit(self, record: logging.LogRecord) -> None:
        said: list[str] | None = getattr(_HEARD, "said", None)
        text = record.getMessage()
        if said is not None and (record.levelno >= logging.WARNING or "Exception" in text):
            said.append(text)


def _load() -> Any:
    """Apprise with our ear to it: a second and 30 MB, so only for a site that needs it."""
    with _LOADING:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of what its plug-ins import
            import apprise
            from apprise.plugins import dingtalk, feishu, lark, slack, wecombot

            apprise.Apprise.instantiate("json://localhost")  # reads all plug-ins
        told = logging.getLogger("apprise")
        if not any(isinstance(each, _Words) for each in told.handlers):
            for plugin in (dingtalk, wecombot, feishu, lark, slack):
                plugin.requests = _Listening()  # pyright: ignore[reportAttributeAccessIssue]
            told.addHandler(_Words())
            told.setLevel(logging.DEBUG)
            told.propagate = False
        return apprise


class AppriseChannels:
    """Sends letters by a person's channels."""

    def __init__(self, outward: Outward) -> None:
        self._outward = outward
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="notify")

    def warm(self) -> None:
        """Load what is needed beside what runs: the first alarm is not to wait for it."""
        self._threads.submit(_load)

    async def close(self) -> None:
        """Wait for nothing: what hangs ends by its own timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, channel: ChannelSpec, letter: Letter) -> str | None:
        """Send by one channel; None when it was taken, else why not."""
        if channel.kind == "log":
            return None
        if channel.kind == "webhook":
            body = msgspec.json.encode({"type": "notification", "data": dict(letter.facts)})
            return (await self._outward.post(channel.endpoint, letter.id, body)).error
        try:
            relay = await self._relay(channel.endpoint)
            url = await asyncio.to_thread(_url, channel, self._outward.outside.secrets_dir)
        except (ConfigError, RefusedAddressError) as error:
            return error.message if isinstance(error, ConfigError) else str(error)
        except (OSError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"[:300]
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._threads, _send, url, relay, letter)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await work
        except TimeoutError:
            return f"no answer in {TIMEOUT_S:g} s"

    async def _relay(self, endpoint: str) -> str:
        """The address of a relay, judged as every address outside is."""
        if not endpoint:
            return ""
        outside = self._outward.outside
        spec = outside.endpoints.get(endpoint)
        if spec is None:
            raise ConfigError(f"unknown endpoint {endpoint}")
        url = outside.urls.get(endpoint, spec.url)
        await pinned(url, spec.private)
        return url


def _url(channel: ChannelSpec, folder: Path) -> str:
    """The Apprise URL of a channel, with its target."""
    text = read_secret(folder / (channel.url or ""), "notification URL")
    scheme = urlsplit(text).scheme
    wanted = SCHEMES.get(channel.kind)
    if wanted is not None and scheme not in wanted:
        raise ConfigError(f"the secret {channel.url} does not begin with {wanted[0]}://")
    return text.replace("{target}", quote(channel.target, safe="+@,"))


def _send(url: str, relay: str, letter: Letter) -> str | None:
    """Send in a thread; Apprise's plug-ins raise nothing that they know of."""
    apprise = _load()
    plugin = apprise.Apprise.instantiate(url)
    if plugin is None:
        return "Apprise does not understand the URL of this channel"
    plugin.request_rate_per_sec = 0  # the limits per person are ours
    plugin.socket_connect_timeout, plugin.socket_read_timeout = CONNECT_S, READ_S
    plugin.redirects = False
    if relay:
        _by_relay(plugin, relay)
    _HEARD.said, _HEARD.answer = [], None
    try:
        sent = plugin.notify(body=letter.text, title=letter.title, body_format="text")
        fault = _fault(_HEARD.answer)
        if sent and fault is None:
            return None
        said = "; ".join(map(_without_address, _HEARD.said[-2:]))
        return (fault or said or "the service did not take it")[:300]
    except Exception as error:  # a plug-in's own fault is a failed attempt, seen in the log
        return _without_address(f"{type(error).__name__}: {error}")[:300]
    finally:
        _HEARD.said = None


def _without_address(text: str) -> str:
    """A fault without paths and queries: those of robots hold their token."""
    return _ADDRESS.sub("…", text)


def _by_relay(plugin: Any, relay: str) -> None:
    """Let a plug-in call the relay in place of its service, by the same path."""
    base = relay.rstrip("/")
    for name in _ADDRESSES:
        known = getattr(plugin, name, None)
        if isinstance(known, str):
            _, _, rest = known.partition("://")
            setattr(plugin, name, f"{base}/{rest.partition('/')[2]}")


def _fault(answer: requests.Response | None) -> str | None:
    """What a robot says is wrong: DingTalk and WeCom `errcode`, Feishu `code`, in an answer 200."""
    if answer is None:
        return None
    if answer.status_code >= 400:
        wait = answer.headers.get("retry-after", "")
        told = f", retry after {wait} s" if wait else ""
        return f"status {answer.status_code}{told}: {answer.text[:120]}"
    try:
        body = answer.json()
    except ValueError:
        return None  # Slack answers "ok" in plain text
    if not isinstance(body, dict):
        return None
    code = body.get("errcode", body.get("code", body.get("StatusCode", 0)))
    if code in (0, "0", None):
        return None
    return f"fault {code}: {body.get('errmsg') or body.get('msg') or ''}"[:300]
