"""A real Keycloak for the session, with people and devices in it; and a browser of few words.

The realm is made by `andon identity bootstrap` itself; only the people are put in by the test.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from shared.embedded.ports import Ports
from tests.support.summary import say

HERE = Path(__file__).parent
ADMIN, PASSWORD = "admin", "of the test alone"
START_S = 200


class Keycloak:
    """One server of the test's own."""

    def __init__(self, home: Path, folder: Path) -> None:
        ports = Ports()
        self.port, self.management = ports.take(0), ports.take(0)
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.password_file = folder / "keycloak-admin"
        self.password_file.write_text(PASSWORD)
        self._home = home
        self._log = (folder / "keycloak.log").open("wb")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        env = {
            **os.environ, "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN,
            "KC_BOOTSTRAP_ADMIN_PASSWORD": PASSWORD,
            "JAVA_OPTS_KC_HEAP": "-Xms96m -Xmx448m -XX:TieredStopAtLevel=1",
        }  # fmt: skip
        self._process = subprocess.Popen(
            [
                str(self._home / "bin" / "kc.sh"), "start", "--optimized", "--http-enabled=true",
                "--cache=local",
                "--hostname-strict=false", f"--http-port={self.port}", "--http-host=127.0.0.1",
                f"--http-management-port={self.management}",
            ],
            env=env, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"keycloak ended: {self.log()}")
            try:
                address = f"http://127.0.0.1:{self.management}/health/ready"
                if httpx.get(address, timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise RuntimeError(f"keycloak did not start: {self.log()}")

    def log(self) -> str:
        return (self.folder / "keycloak.log").read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        self._log.close()


def get_keycloak() -> Path:
    """The unpacked server; skips loudly where it cannot be had, fails in CI."""
    done = subprocess.run(
        [str(HERE / "get_keycloak.sh")], capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode != 0:
        say("identity-server", "none ran; " + done.stderr.strip()[-200:])
        reason = f"NOT RUN: {done.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(done.stdout.strip().splitlines()[-1])


class Browser:
    """Follows redirects and fills in forms as a browser does, cookies and all."""

    def __init__(self, console: str) -> None:
        self.console = console
        hooks = {"response": [self._trust_this_machine]}
        self.client = httpx.AsyncClient(timeout=20, event_hooks=hooks)
        self.seen: list[httpx.Response] = []

    async def _trust_this_machine(self, _: httpx.Response) -> None:
        """As browsers do: this machine itself counts as a secure place, without TLS."""
        for cookie in self.client.cookies.jar:
            cookie.secure = False

    async def get(self, url: str) -> httpx.Response:
        """Go to a page; redirects are followed one by one, so that each can be looked at."""
        answer = await self.client.get(urljoin(self.console, url))
        for _ in range(10):
            self.seen.append(answer)
            if not answer.is_redirect:
                return answer
            answer = await self.client.get(urljoin(str(answer.url), answer.headers["location"]))
        raise AssertionError("redirected for ever")

    async def sign_in(self, username: str, password: str, back_to: str = "/") -> httpx.Response:
        """Through Keycloak's own page."""
        page = await self.get(f"/api/session/oidc/login?next={back_to}")
        found = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        assert found, page.text[:2000]
        form = {"username": username, "password": password, "credentialId": ""}
        answer = await self.client.post(html.unescape(found[1]), data=form)
        self.seen.append(answer)
        if answer.is_redirect:
            return await self.get(answer.headers["location"])
        return answer

    async def session(self) -> httpx.Response:
        return await self.client.get(self.console + "/api/session")

    async def close(self) -> None:
        await self.client.aclose()


class Realm:
    """The realm as `andon identity bootstrap` made it, and the people that the test put in."""

    SITE = "f1"

    def __init__(self, server: Keycloak) -> None:
        from keycloak import KeycloakAdmin

        self.server = server
        self.console_port = Ports().take(0)
        self.console = f"http://127.0.0.1:{self.console_port}"
        self.issuer = f"{server.url}/realms/andon"
        self.secret_file = server.folder / "console.secret"
        self.first = self.bootstrap()
        self.admin = KeycloakAdmin(
            server_url=server.url + "/", username=ADMIN, password=PASSWORD, realm_name="andon",
            user_realm_name="master",
        )  # fmt: skip
        self.person("ming", groups=("/andon/f1/operator/FUR-01",))
        self.person("lina", roles=("andon-administrator",))
        self.person("wang", groups=("/andon/f2/operator",))

    def bootstrap(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Run the product's own verb."""
        return subprocess.run(
            [
                "andon", "identity", "bootstrap", "--server", self.server.url, "--password-file",
                str(self.server.password_file), "--secret-file", str(self.secret_file),
                "--address", self.console, "--site", self.SITE, "--site", "f2",
                "--area", "f1:FUR-01", "--service", "robot-7:operator", "--json", *more,
            ],
            capture_output=True, text=True, timeout=90, check=False,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        )  # fmt: skip

    def person(self, name: str, roles: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> None:
        user = self.admin.create_user(
            {
                "username": name, "enabled": True, "email": f"{name}@example.com",
                "emailVerified": True, "firstName": name, "lastName": "Test",
                "credentials": [{"type": "password", "value": f"{name}-secret"}],
            }
        )  # fmt: skip
        for role in roles:
            self.give(name, role)
        for path in groups:
            self.admin.group_user_add(user, self.admin.get_group_by_path(path)["id"])

    def give(self, name: str, role: str) -> None:
        user = str(self.admin.get_user_id(name))
        self.admin.assign_realm_roles(user, [self.admin.get_realm_role(role)])

    def end_sessions_of(self, name: str) -> None:
        self.admin.user_logout(str(self.admin.get_user_id(name)))

    def device_token(self, client: str = "robot-7") -> str:
        secret = (self.server.folder / f"{client}.secret").read_text().strip()
        answer = httpx.post(
            f"{self.issuer}/protocol/openid-connect/token", timeout=20,
            data={"grant_type": "client_credentials", "client_id": client, "client_secret": secret},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def certs(self) -> dict[str, object]:
        """The keys that the realm publishes."""
        return httpx.get(f"{self.issuer}/protocol/openid-connect/certs", timeout=20).json()

    def stranger_token(self) -> str:
        """A good token of this realm that is meant for somebody else."""
        self.admin.create_client(
            {
                "clientId": "stranger", "publicClient": False, "serviceAccountsEnabled": True,
                "standardFlowEnabled": False,
            },
            skip_exists=True,
        )  # fmt: skip
        key = str(self.admin.get_client_id("stranger"))
        secret = self.admin.get_client_secrets(key)["value"]
        (self.server.folder / "stranger.secret").write_text(secret)
        return self.device_token("stranger")

    def rotate_keys(self) -> None:
        """A new signing key that is used from now on; the old one stays published."""
        realm = self.admin.get_realm("andon")["id"]
        self.admin.create_component(
            {
                "name": "newer", "providerId": "rsa-generated", "parentId": realm,
                "providerType": "org.keycloak.keys.KeyProvider",
                "config": {
                    "priority": ["500"], "enabled": ["true"], "active": ["true"],
                    "algorithm": ["RS256"], "keySize": ["2048"],
                },
            }
        )  # fmt: skip
