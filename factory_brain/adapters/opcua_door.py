"""Who may speak to the brain's OPC UA server: accounts of this factory, by password or by token.

Used by the server's sessions; a session holds a pass, never a right.
"""

from __future__ import annotations

from shared.clock import Clock
from shared.identity.policy import User
from shared.identity.throttle import Throttle
from shared.opcua.alarms import Pass
from shared.postgres.service_accounts import PREFIX
from shared.web.auth import Accounts


class Door:
    """Lets in accounts of this factory, and anonymous viewers where that is wanted."""

    def __init__(self, accounts: Accounts, clock: Clock, anonymous: bool) -> None:
        self._accounts, self.anonymous = accounts, anonymous
        self._throttle = Throttle(clock)

    async def admit(self, name: str, password: str, address: str) -> Pass | None:
        """A person's name and password, or any name with a service account's token."""
        who = f"{address} {name[:100]}"
        if self._throttle.blocked(who):
            return None
        self._throttle.failed(
            who
        )  # counted before it is known: many guesses at once are no way out
        try:
            user, shown = await self._ask(name, password)
        except BaseException:
            self._throttle.withdraw(who)  # the database's fault is no guess
            raise
        if user is None or not user.may("view"):
            await self.leave(shown)
            return None
        self._throttle.succeeded(who)
        return shown

    async def _ask(self, name: str, password: str) -> tuple[User | None, Pass]:
        if password.startswith(PREFIX):
            user = await self._accounts.bearer(password)
            return user, Pass(bearer=password, name=user.name if user else "")
        found = await self._accounts.login(name, password)
        return (found[1], Pass(found[0], name=found[1].name)) if found else (None, Pass())

    async def user(self, shown: Pass) -> User | None:
        """Who it is and what that account may do now; None for anonymous and for whoever left."""
        if shown.bearer:
            return await self._accounts.bearer(shown.bearer)
        return await self._accounts.session(shown.session) if shown.session else None

    async def gone(self, shown: Pass) -> bool:
        """Whether a session that was let in may see no more."""
        if shown == Pass():
            return False
        return await self._accounts.gone(shown.session, shown.bearer, "view")

    async def leave(self, shown: Pass) -> None:
        """The session has ended, or goes on with another pass."""
        if shown.session:
            await self._accounts.logout(shown.session)
