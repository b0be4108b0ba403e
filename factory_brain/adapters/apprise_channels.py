"""The one way out to people: Apprise for mail, chat and SMS, the linked systems' way for webhooks.

Apprise blocks, so it runs in threads of its own with a timeout; it says only whether a service
took a message, so the service's answer is listened to as well: a robot that answers 200 and a
fault code has not told anybody.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import warnings
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec

from factory_brain.adapters import apprise_calls
from factory_brain.adapters.apprise_calls import Listening, Relay
from factory_brain.adapters.outward import (
    MAX_RETRY_AFTER_S,
    Outward,
    RefusedAddressError,
    Resolve,
    pinned,
    resolve,
)
from factory_brain.application.notify.ports import Letter, NotTaken
from factory_brain.domain.notify.plan import FOR_ONE_SERVICE, service_of
from shared.config import read_secret
from shared.errors import ConfigError
from shared.site.notify import ChannelKind, ChannelSpec

if TYPE_CHECKING:
    import requests

TIMEOUT_S = 20.0
CONNECT_S = 5.0
READ_S = 10.0
THREADS = 24
"""More than are sent at once: one that hangs beyond its time has its thread until it ends."""
SCHEMES: Mapping[ChannelKind, tuple[str, ...]] = {
    "email": ("mailto", "mailtos"), "dingtalk": ("dingtalk",), "wecom": ("wecombot",),
    "feishu": ("feishu", "lark"), "slack": ("slack",),
}  # fmt: skip
"""What the URL of a kind must begin with; `sms` and `apprise` take any service."""
_ADDRESSES = ("notify_url", "webhook_url", "api_url")
"""Where Apprise's plug-ins keep the address of their service."""
_ADDRESS = re.compile(r"https?://\S+|/\S*[?=/]\S+")
"""Addresses and paths in what a plug-in says."""
_LOADING = threading.Lock()
_LISTENING = Listening()
_ROBOTS: set[str] = set()
"""Modules of plug-ins whose service answers 200 and a code of its own."""


def _load() -> Any:
    """Apprise with our ear to it: a second and 30 MB, so only for a site that needs it."""
    with _LOADING:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of what its plug-ins import
            import apprise
            from apprise.plugins import dingtalk, feishu, lark, slack, wecombot
            from apprise.plugins.email import base

            apprise.Apprise.instantiate("json://localhost")  # reads all plug-ins
        if not _ROBOTS:
            for plugin in (dingtalk, wecombot, feishu, lark, slack):
                plugin.requests = _LISTENING  # pyright: ignore[reportAttributeAccessIssue]
                _ROBOTS.add(plugin.__name__)
            base.make_msgid = apprise_calls.message_id
            apprise_calls.listen()
        return apprise


class AppriseChannels:
    """Sends letters by a person's channels."""

    def __init__(self, outward: Outward, look_up: Resolve = resolve) -> None:
        self._outward, self._look_up = outward, look_up
        self._hanging: dict[str, set[Future[NotTaken | None]]] = {}
        """By service: calls that have not ended, though nobody may wait for them any more."""
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="notify")

    def warm(self) -> None:
        """Load what is needed beside what runs: the first alarm is not to wait for it."""
        self._threads.submit(_load)

    async def close(self) -> None:
        """Wait for nothing: what hangs ends by its own timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, channel: ChannelSpec, letter: Letter) -> NotTaken | None:
        """Send by one channel; None when it was taken, else why not."""
        if channel.kind == "log":
            return None
        if channel.kind == "webhook":
            body = msgspec.json.encode({"type": "notification", "data": dict(letter.facts)})
            answered = await self._outward.post(channel.endpoint, letter.id, body)
            error = answered.error
            return None if error is None else NotTaken(error, answered.retry_after_s)
        try:
            relay = await self._relay(channel.endpoint)
            url = await asyncio.to_thread(_url, channel, self._outward.outside.secrets_dir)
        except (ConfigError, RefusedAddressError) as error:
            return NotTaken(error.message if isinstance(error, ConfigError) else str(error))
        except (OSError, TimeoutError, ValueError) as error:
            return NotTaken(f"{type(error).__name__}: {error}"[:300])
        return await self._in_thread(service_of(channel), url, relay, letter)

    async def _in_thread(
        self, service: str, url: str, relay: Relay | None, letter: Letter
    ) -> NotTaken | None:
        """Send, as long as it may take; a service that hangs for good takes no more threads."""
        hanging = {each for each in self._hanging.get(service, ()) if not each.done()}
        if len(hanging) >= FOR_ONE_SERVICE:
            return NotTaken("earlier messages still hang at this service")
        work = self._threads.submit(_send, url, relay, letter)
        self._hanging[service] = hanging | {work}
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await asyncio.wrap_future(work)
        except TimeoutError:
            return NotTaken(f"no answer in {TIMEOUT_S:g} s")

    async def _relay(self, endpoint: str) -> Relay | None:
        """A relay with its address, judged as every address outside is."""
        if not endpoint:
            return None
        outside = self._outward.outside
        spec = outside.endpoints.get(endpoint)
        if spec is None:
            raise ConfigError(f"unknown endpoint {endpoint}")
        url = outside.urls.get(endpoint, spec.url)
        return Relay(url.rstrip("/"), await pinned(url, spec.private, self._look_up))


def _url(channel: ChannelSpec, folder: Path) -> str:
    """The Apprise URL of a channel, with its target."""
    text = read_secret(folder / (channel.url or ""), "notification URL")
    scheme = urlsplit(text).scheme
    wanted = SCHEMES.get(channel.kind)
    if wanted is not None and scheme not in wanted:
        raise ConfigError(f"the secret {channel.url} does not begin with {wanted[0]}://")
    return text.replace("{target}", quote(channel.target, safe="+@,"))


def _send(url: str, relay: Relay | None, letter: Letter) -> NotTaken | None:
    """Send in a thread; Apprise's plug-ins raise nothing that they know of."""
    apprise = _load()
    plugin = apprise.Apprise.instantiate(url)
    if plugin is None:
        return NotTaken("Apprise does not understand the URL of this channel")
    plugin.request_rate_per_sec = 0  # the limits per person are ours
    plugin.socket_connect_timeout, plugin.socket_read_timeout = CONNECT_S, READ_S
    plugin.redirects = False
    if relay is not None and not _by_relay(plugin, relay):
        return NotTaken("this service cannot be called by a relay: leave out `endpoint`")
    apprise_calls.begin(letter.id, relay)
    try:
        sent = plugin.notify(body=letter.text, title=letter.title, body_format="text")
        heard = apprise_calls.heard()
        fault = _fault(heard.answer, type(plugin).__module__ in _ROBOTS)
        if sent and fault is None:
            return None
        said = "; ".join(map(_without_address, heard.said[-2:]))
        why = (fault or said or "the service did not take it")[:300]
        return NotTaken(why, _asked_wait(heard.answer))
    except Exception as error:  # a plug-in's own fault is a failed attempt, seen in the log
        return NotTaken(_without_address(f"{type(error).__name__}: {error}")[:300])
    finally:
        apprise_calls.end()


def _without_address(text: str) -> str:
    """A fault without paths and queries: those of robots hold their token."""
    return _ADDRESS.sub("…", text)


def _by_relay(plugin: Any, relay: Relay) -> bool:
    """Let a plug-in call the relay in place of its service, by the same path; if it can."""
    module = sys.modules[type(plugin).__module__]
    known = [name for name in _ADDRESSES if isinstance(getattr(plugin, name, None), str)]
    if not known or not hasattr(module, "requests"):
        return False
    for name in known:
        _, _, rest = getattr(plugin, name).partition("://")
        setattr(plugin, name, f"{relay.url}/{rest.partition('/')[2]}")
    module.requests = _LISTENING  # pyright: ignore[reportAttributeAccessIssue]
    return True


def _asked_wait(answer: requests.Response | None) -> int | None:
    """For how many seconds a service asks to be left alone."""
    if answer is None or answer.status_code < 400:
        return None
    wait = answer.headers.get("retry-after", "")
    return min(int(wait), MAX_RETRY_AFTER_S) if wait.isascii() and wait.isdigit() else None


def _fault(answer: requests.Response | None, robot: bool) -> str | None:
    """What a robot says is wrong: DingTalk and WeCom `errcode`, Feishu `code`, in an answer 200."""
    if answer is None:
        return None
    if answer.status_code >= 400:
        wait = _asked_wait(answer)
        told = "" if wait is None else f", retry after {wait} s"
        return f"status {answer.status_code}{told}: {answer.text[:120]}"
    if not robot:
        return None  # what a code means there, its plug-in knows
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
