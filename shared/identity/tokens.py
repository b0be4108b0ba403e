"""Checks the identity server's tokens: signature, algorithm, issuer, audience, times, nonce.

Keys are cached; an unknown key id asks for them again, at most every few seconds. Called by
`oidc.py`; never talks to the server itself. Imports joserfc only when it is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from shared.clock import Clock

LEEWAY_S = 30
KEYS_AGAIN_MS = 10_000
KEYS_OLD_MS = 3_600_000
LONGEST = 16_384
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
Fetch = Callable[[], Awaitable[dict[str, Any]]]


class TokenFault(Exception):
    """A token that is not to be believed; the text is for the log."""


class TokenChecker:
    """One issuer's tokens for one client."""

    def __init__(
        self, issuer: str, client: str, algorithms: tuple[str, ...], fetch: Fetch, clock: Clock
    ) -> None:
        self._issuer, self._client, self._algorithms = issuer, client, algorithms
        self._fetch, self._clock = fetch, clock
        self._keys: dict[str, Any] = {}
        self._fetched: int | None = None
        self._fetching = asyncio.Lock()
        self.fetches = 0

    async def id_token(self, token: str, nonce: str | None) -> dict[str, Any]:
        """Claims of an ID token; `nonce` None only for a refreshed one."""
        claims = await self._claims(token)
        if claims.get("typ", "ID") != "ID":
            raise TokenFault("not an ID token")
        if nonce is not None and claims.get("nonce") != nonce:
            raise TokenFault("wrong nonce")
        if claims.get("azp", self._client) != self._client:
            raise TokenFault("issued to another client")
        return claims

    async def access_token(self, token: str) -> dict[str, Any]:
        """Claims of an access token that somebody shows to this server."""
        claims = await self._claims(token)
        if claims.get("typ") != "Bearer":
            raise TokenFault("not an access token")
        return claims

    async def logout_token(self, token: str) -> dict[str, Any]:
        """Claims of a back-channel logout token."""
        claims = await self._claims(token)
        events = claims.get("events")
        if not isinstance(events, dict) or LOGOUT_EVENT not in events or "nonce" in claims:
            raise TokenFault("not a logout token")
        if not (claims.get("sid") or claims.get("sub")):
            raise TokenFault("names no session")
        return claims

    async def _claims(self, token: str) -> dict[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jws import extract_compact

        if len(token) > LONGEST:
            raise TokenFault("too long")
        try:
            header = extract_compact(token.encode()).protected
            if header.get("alg") not in self._algorithms:
                raise TokenFault(f"algorithm {header.get('alg')!r} is not allowed")
            key = await self._key(str(header.get("kid", "")))
            claims = jwt.decode(token, key, algorithms=list(self._algorithms)).claims
            jwt.JWTClaimsRegistry(
                now=self._clock.now_ms() // 1000, leeway=LEEWAY_S,
                iss={"essential": True, "value": self._issuer},
                aud={"essential": True, "value": self._client},
                exp={"essential": True}, iat={"essential": True},
            ).validate(claims)  # fmt: skip
        except (JoseError, ValueError, TypeError) as error:
            raise TokenFault(str(error)) from error
        return claims

    async def _key(self, kid: str) -> Any:
        now = self._clock.mono_ms()
        old = self._fetched is None or now - self._fetched > KEYS_OLD_MS
        if old or kid not in self._keys:
            await self._renew()
        if kid not in self._keys:
            raise TokenFault("signed with an unknown key")
        return self._keys[kid]

    async def _renew(self) -> None:
        """Fetch the keys; who comes meanwhile waits for the same answer; forged ids are bounded."""
        from joserfc.jwk import KeySet

        async with self._fetching:
            now = self._clock.mono_ms()
            if self._fetched is not None and now - self._fetched < KEYS_AGAIN_MS:
                return
            document = await self._fetch()
            self.fetches += 1
            signing = [k for k in document.get("keys", []) if k.get("use", "sig") == "sig"]
            if signing:
                keys = KeySet.import_key_set({"keys": signing})
                self._keys = {str(key.kid): key for key in keys}
            self._fetched = now
