"""Sign-in at a real Keycloak: a browser's whole way, refresh, logout, devices, forged tokens."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from factory_brain.bootstrap import Brain
from factory_brain.settings import BrainSettings
from shared.clock import ManualClock, SystemClock
from shared.identity.settings import IdentitySettings
from shared.identity.tokens import TokenChecker, TokenFault
from shared.paths import demo_sites
from shared.security import generate_key
from tests.support.brain_world import until
from tests.support.keycloak import Browser, Realm
from tests.support.servers import NatsForTests

pytest_plugins = ("tests.support.keycloak_fixtures",)
pytestmark = [pytest.mark.timeout(240), pytest.mark.keycloak]


@pytest.fixture
async def brain(
    tmp_path: Path, nats_server: NatsForTests, brain_url: str, realm: Realm
) -> AsyncIterator[Brain]:
    private, public = generate_key()
    for name, text in {
        "app": nats_server.password.encode(), "admin": b"correct horse", "site.key": private,
        "group.pub": public,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(text)
    identity = IdentitySettings(
        mode="oidc", issuer=realm.issuer, client_secret_file=realm.secret_file,
        public_url=realm.console,
    )  # fmt: skip
    settings = BrainSettings(
        site="f1", site_dir=demo_sites() / "f1", playbook_dir=tmp_path, secrets_dir=tmp_path,
        state_dir=tmp_path, nats_url=nats_server.url, nats_password_file=tmp_path / "app",
        database_url=brain_url, http_port=realm.console_port, identity=identity,
        admin_password_file=tmp_path / "admin", approval_key_file=tmp_path / "site.key",
        release_key_file=tmp_path / "group.pub",
    )  # fmt: skip
    running = await Brain.start(settings)

    async def up() -> bool:
        try:
            async with httpx.AsyncClient(timeout=5) as client:
                return (await client.get(realm.console + "/api/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    await until(up)
    yield running
    await running.service.shutdown()


@pytest.fixture
async def browser(realm: Realm) -> AsyncIterator[Browser]:
    made = Browser(realm.console)
    yield made
    await made.close()


def test_bootstrap_makes_all_of_it_once(realm: Realm) -> None:
    first = json.loads(realm.first.stdout)
    assert realm.first.returncode == 0
    assert first["changes"] == len(first["steps"]) > 30
    again = realm.bootstrap()
    assert (again.returncode, json.loads(again.stdout)["changes"]) == (0, 0)
    missing = realm.bootstrap("--check", "--area", "f2:CMP-01")
    assert (missing.returncode, json.loads(missing.stdout)["changes"]) == (1, 7)
    assert realm.bootstrap("--check").returncode == 0
    assert realm.secret_file.stat().st_mode & 0o077 == 0


async def test_a_person_signs_in_is_refreshed_and_signs_out(
    brain: Brain, browser: Browser, realm: Realm
) -> None:
    ways = (await browser.client.get(realm.console + "/api/session/ways")).json()
    assert ways == {"local": True, "oidc": True, "login_url": "/api/session/oidc/login"}
    landed = await browser.sign_in("ming", "ming-secret", "/ui/alarms")
    assert str(landed.url) == realm.console + "/ui/alarms"
    cookies = [v for r in browser.seen for v in r.headers.get_list("set-cookie")]
    state = next(c.lower() for c in cookies if c.startswith("andon_sign_in="))
    assert "max-age=600" in state
    assert "samesite=lax" in state
    assert "httponly" in state
    session_cookie = next(c.lower() for c in cookies if c.startswith("andon_session="))
    assert "samesite=strict" in session_cookie
    assert "httponly" in session_cookie
    who = (await browser.session()).json()
    assert (who["user"], who["kind"]) == ("ming", "oidc")
    assert who["grants"] == [{"role": "operator", "area": "FUR-01"}]

    sign_in = brain.accounts.sign_in
    assert sign_in is not None
    realm.give("ming", "andon-engineer")
    await brain.pool.execute("UPDATE web_session SET refresh_at = 0")
    assert await sign_in.refresh_due() == 1
    who = (await browser.session()).json()
    assert sorted(who["roles"]) == ["engineer", "operator"]

    assert (await browser.client.delete(realm.console + "/api/session")).status_code == 204
    assert (await browser.session()).status_code == 401
    page = await browser.get("/api/session/oidc/login")
    assert 'name="password"' in page.text  # ended at Keycloak too: it asks again

    told = await brain.pool.fetch("SELECT * FROM audit WHERE actor = 'ming' ORDER BY id")
    assert [row["action"] for row in told] == ["log_in", "account_grants", "log_out"]
    assert (told[0]["tier"], told[0]["site"], told[0]["address"]) == ("factory", "f1", "127.0.0.1")
    assert told[0]["zone"] == "Asia/Shanghai"
    assert sorted(told[1]["after"]) == [["engineer", ""], ["operator", "FUR-01"]]


async def test_what_keycloak_ends_ends_here_at_once(
    brain: Brain, browser: Browser, realm: Realm
) -> None:
    await browser.sign_in("lina", "lina-secret")
    assert (await browser.session()).json()["roles"] == ["administrator"]
    await asyncio.to_thread(realm.end_sessions_of, "lina")  # Keycloak calls the console back

    async def out() -> bool:
        return (await browser.session()).status_code == 401

    await until(out)
    forged = await browser.client.post(
        realm.console + "/api/session/oidc/logout", data={"logout_token": realm.device_token()}
    )
    assert (forged.status_code, forged.json()["code"]) == (400, "bad_logout_token")


async def test_who_has_no_role_here_or_no_state_does_not_get_in(
    brain: Brain, browser: Browser, realm: Realm
) -> None:
    landed = await browser.sign_in("wang", "wang-secret")  # an operator of the other factory
    assert str(landed.url).endswith("/?sign_in=no_role_here")
    assert (await browser.session()).status_code == 401
    stranger = Browser(realm.console)
    callback = next(str(r.url) for r in browser.seen if "/oidc/callback" in str(r.url))
    replayed = await stranger.get(callback)  # the address without the browser's own cookie
    assert str(replayed.url).endswith("/?sign_in=sign_in_state")
    await stranger.get("/api/session/oidc/login")
    crossed = await stranger.get(callback)  # with a cookie, of another attempt
    assert str(crossed.url).endswith("/?sign_in=sign_in_state")
    wrong = await stranger.sign_in("lina", "wrong")
    assert wrong.url.port == realm.server.port
    away = await stranger.client.get(
        realm.console + "/api/session/oidc/login", params={"next": "//evil.example/"}
    )
    assert away.status_code == 303
    await stranger.close()
    local = {"username": "admin", "password": "correct horse"}
    glass = await browser.client.post(realm.console + "/api/session", json=local)
    assert glass.status_code == 204  # the break-glass account


async def test_a_device_shows_its_own_token(brain: Brain, realm: Realm) -> None:
    async with httpx.AsyncClient(base_url=realm.console, timeout=10) as client:

        async def get(path: str, token: str) -> int:
            shown = {"Authorization": f"Bearer {token}"}
            return (await client.get(path, headers=shown)).status_code

        token = await asyncio.to_thread(realm.device_token)
        assert await get("/api/alarms", token) == 200
        assert await get("/api/accounts", token) == 403
        assert await get("/api/alarms", token[:-6] + "AAAAAA") == 401
        assert await get("/api/alarms", await asyncio.to_thread(realm.stranger_token)) == 401
        assert await get("/api/alarms", "nonsense") == 401


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_forged_and_stale_tokens_are_refused(realm: Realm) -> None:
    token = await asyncio.to_thread(realm.device_token)
    certs = await asyncio.to_thread(realm.certs)

    async def fetch() -> dict[str, object]:
        return certs

    def checker(
        issuer: str = realm.issuer, client: str = "andon", clock: object = None,
        algorithms: tuple[str, ...] = ("RS256",),
    ) -> TokenChecker:  # fmt: skip
        return TokenChecker(issuer, client, algorithms, fetch, clock or SystemClock())  # type: ignore[arg-type]

    claims = await checker().access_token(token)
    assert claims["azp"] == "robot-7"
    now = SystemClock().now_ms()
    header, payload, signature = token.split(".")
    kid = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
    richer = {**claims, "realm_access": {"roles": ["andon-administrator"]}}
    none = f"{_part({'alg': 'none', 'kid': kid})}.{_part(richer)}."
    symmetric = f"{_part({'alg': 'HS256', 'kid': kid})}.{_part(richer)}.{signature}"
    changed = f"{header}.{_part(richer)}.{signature}"
    refused = {
        "issuer": (checker(issuer=realm.issuer + "x"), token),
        "audience": (checker(client="another"), token),
        "expired": (checker(clock=ManualClock(now + 3_600_000)), token),
        "alg none": (checker(), none),
        "alg HS256": (checker(), symmetric),
        "algorithm not allowed": (checker(algorithms=("ES256",)), token),
        "content": (checker(), changed),
        "unknown key": (checker(), f"{_part({'alg': 'RS256', 'kid': 'x'})}.{payload}.{signature}"),
    }
    accepted = []
    for name, (each, forged) in refused.items():
        try:
            await each.access_token(forged)
            accepted.append(name)
        except TokenFault:
            continue
    assert accepted == []
    with pytest.raises(TokenFault):
        await checker().id_token(token, None)  # an access token is no ID token
    with pytest.raises(TokenFault):
        await checker().logout_token(token)


async def test_a_wrong_nonce_is_refused(brain: Brain, browser: Browser, realm: Realm) -> None:
    """A real answer to another attempt: the code is good, the nonce is not this browser's."""
    sign_in = brain.accounts.sign_in
    assert sign_in is not None
    seen: list[str] = []
    real = sign_in.client.tokens.id_token

    async def listening(token: str, nonce: str | None) -> dict[str, object]:
        seen.append(token)
        return await real(token, nonce)

    sign_in.client.tokens.id_token = listening  # type: ignore[method-assign]
    await browser.sign_in("lina", "lina-secret")
    assert (await real(seen[0], None))["preferred_username"] == "lina"
    with pytest.raises(TokenFault, match="nonce"):
        await real(seen[0], "of another attempt")


async def test_new_keys_are_fetched_and_forged_key_names_are_not_followed(
    brain: Brain, realm: Realm
) -> None:
    sign_in = brain.accounts.sign_in
    assert sign_in is not None
    tokens = sign_in.client.tokens
    clock = ManualClock(SystemClock().now_ms())
    tokens._clock = clock
    before = await asyncio.to_thread(realm.device_token)
    assert await sign_in.bearer(before) is not None
    assert tokens.fetches == 1
    await asyncio.to_thread(realm.rotate_keys)
    after = await asyncio.to_thread(realm.device_token)
    clock.advance(11_000)
    assert await sign_in.bearer(after) is not None
    assert await sign_in.bearer(before) is not None
    assert tokens.fetches == 2
    for n in range(50):
        forged = f"{_part({'alg': 'RS256', 'kid': f'k{n}'})}.{after.split('.', 1)[1]}"
        assert await sign_in.bearer(forged) is None
    assert tokens.fetches == 2
