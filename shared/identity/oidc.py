"""Talks OpenID Connect with Keycloak: code flow with PKCE, refresh, logout, checked tokens.

Called by the session store; keeps no session itself. Imports python-keycloak only when it is used.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cryptography.fernet import Fernet, InvalidToken

from shared.clock import Clock
from shared.errors import ConfigError, Rejected, RetryableTransportError
from shared.identity.mapping import grants_of
from shared.identity.policy import Grant
from shared.identity.settings import IdentitySettings
from shared.identity.tokens import TokenChecker, TokenFault
from shared.telemetry import logger

log = logger("identity")
CALLBACK = "/api/session/oidc/callback"
TIMEOUT_S = 10
STATE_S = 600


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What the identity server said of a person."""

    subject: str
    sid: str
    name: str
    grants: tuple[Grant, ...]
    refresh: bytes
    """The refresh token, sealed."""
    refresh_in_ms: int


class OidcClient:
    """One tier as a client of one realm."""

    def __init__(self, settings: IdentitySettings, secret: str, site: str, clock: Clock) -> None:
        try:
            import joserfc  # noqa: F401  (asked for now, not at the first token)
            from keycloak import KeycloakOpenID
        except ImportError as error:
            raise ConfigError(
                "sign-in by OpenID Connect needs python-keycloak and joserfc",
                mend="install andon with its `brain` extra",
            ) from error
        server, _, realm = settings.issuer.rstrip("/").partition("/realms/")
        self._settings, self._site, self._clock = settings, site, clock
        self._keycloak = KeycloakOpenID(
            server_url=server + "/", realm_name=realm, client_id=settings.client_id,
            client_secret_key=secret, timeout=TIMEOUT_S,
            verify=str(settings.ca_file) if settings.ca_file else True,
        )  # fmt: skip
        self._redirect = settings.public_url.rstrip("/") + CALLBACK
        seal = hashlib.sha256(b"andon session\0" + secret.encode()).digest()
        self._seal = Fernet(base64.urlsafe_b64encode(seal))
        self.tokens = TokenChecker(
            settings.issuer.rstrip("/"), settings.client_id, settings.algorithms,
            self._certs, clock,
        )  # fmt: skip

    async def begin(self, back_to: str) -> tuple[str, str]:
        """The address to send the browser to, and what its short-lived cookie is to hold."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        with _reaching():
            url = await self._keycloak.a_auth_url(
                quote(self._redirect, safe=""), scope="openid", state=state, nonce=nonce,
                code_challenge=challenge, code_challenge_method="S256",
            )  # fmt: skip
        held = json.dumps([state, nonce, verifier, back_to]).encode()
        return url, self._seal.encrypt_at_time(held, self._now_s()).decode()

    async def finish(
        self, query: Mapping[str, str], cookie: str
    ) -> tuple[SignedIn, str] | Rejected:
        """The code's exchange: who it is, and where the browser wanted to go."""
        try:
            held = self._seal.decrypt_at_time(cookie.encode(), STATE_S, self._now_s())
        except (InvalidToken, ValueError):
            return Rejected("sign_in_state")
        state, nonce, verifier, back_to = json.loads(held)
        if not hmac.compare_digest(query.get("state", "").encode(), state.encode()):
            return Rejected("sign_in_state")
        if query.get("iss", self._settings.issuer.rstrip("/")) != self._settings.issuer.rstrip("/"):
            return Rejected("sign_in_state")
        if "code" not in query:
            return Rejected("sign_in_refused", {"reason": query.get("error", "")[:100]})
        answer = await self._ask(
            grant_type="authorization_code", code=query["code"], redirect_uri=self._redirect,
            code_verifier=verifier,
        )  # fmt: skip
        found = answer if isinstance(answer, Rejected) else await self._signed_in(answer, nonce)
        return found if isinstance(found, Rejected) else (found, back_to)

    async def refresh(self, sealed: bytes) -> SignedIn | Rejected:
        """Ask for new tokens; a refusal ends the session, silence does not."""
        token = self._open(sealed)
        if token is None:
            return Rejected("sign_in_refused", {"reason": "sealed with another client secret"})
        answer = await self._ask(grant_type="refresh_token", refresh_token=token)
        return answer if isinstance(answer, Rejected) else await self._signed_in(answer, None)

    async def end(self, sealed: bytes) -> None:
        """End the session at the identity server as well."""
        from keycloak.exceptions import KeycloakError

        token = self._open(sealed)
        if token is None:
            return
        try:
            await self._keycloak.a_logout(token)
        except KeycloakError as error:
            log.warning("sign_out_elsewhere_failed", error=str(error)[:300])

    async def bearer(self, token: str) -> SignedIn | None:
        """Who shows an access token of the realm, if it is good."""
        try:
            claims = await self.tokens.access_token(token)
        except TokenFault as fault:
            log.info("bearer_refused", reason=str(fault)[:300])
            return None
        return self._person(claims, b"", 0)

    async def _ask(self, **form: Any) -> dict[str, Any] | Rejected:
        from keycloak.exceptions import KeycloakConnectionError, KeycloakError

        try:
            if form["grant_type"] == "refresh_token":
                return await self._keycloak.a_refresh_token(form["refresh_token"])
            return await self._keycloak.a_token(**form)
        except KeycloakConnectionError as error:
            raise RetryableTransportError("the identity server does not answer") from error
        except KeycloakError as error:
            if (error.response_code or 500) >= 500:
                raise RetryableTransportError("the identity server is in trouble") from error
            log.info("sign_in_refused", reason=str(error)[:300])
            return Rejected("sign_in_refused", {"reason": "code"})

    async def _signed_in(self, answer: dict[str, Any], nonce: str | None) -> SignedIn | Rejected:
        try:
            claims = await self.tokens.id_token(str(answer.get("id_token", "")), nonce)
        except TokenFault as fault:
            log.warning("id_token_refused", reason=str(fault)[:300])
            return Rejected("sign_in_refused", {"reason": "token"})
        token = str(answer.get("refresh_token", ""))
        sealed = self._seal.encrypt_at_time(token.encode(), self._now_s()) if token else b""
        lives_s = max(int(answer.get("expires_in", 60)), 10)
        return self._person(claims, sealed, lives_s * 800)  # well before the token ends

    def _person(self, claims: Mapping[str, Any], sealed: bytes, refresh_in_ms: int) -> SignedIn:
        name = str(claims.get("preferred_username") or claims["sub"])[:100]
        grants = tuple(grants_of(claims, self._settings, self._site))
        sid = str(claims.get("sid", ""))
        return SignedIn(str(claims["sub"]), sid, name, grants, sealed, refresh_in_ms)

    def _open(self, sealed: bytes) -> str | None:
        try:
            return self._seal.decrypt(sealed).decode()
        except InvalidToken:
            return None

    async def _certs(self) -> dict[str, Any]:
        with _reaching():
            return await self._keycloak.a_certs()

    def _now_s(self) -> int:
        return self._clock.now_ms() // 1000


class _reaching:  # noqa: N801  (reads as what it does: `with _reaching():`)
    """Turns the library's faults on the way into one of ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, fault: BaseException | None, _: object) -> None:
        from keycloak.exceptions import KeycloakError

        if isinstance(fault, KeycloakError):
            raise RetryableTransportError("the identity server does not answer") from fault
