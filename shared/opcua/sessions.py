"""Who speaks to the OPC UA server: accounts of its tier, or nobody in particular.

Used by the server; whom to let in, the tier's `Door` says. The library activates a session without
being able to wait, so the account is asked for just before. A session never holds a right.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, Protocol

from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import USER_TYPES, PermissionRuleset, UserRole
from asyncua.crypto.permission_rules import User as WireUser
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.uaprocessor import UaProcessor
from asyncua.server.user_managers import UserManager
from asyncua.ua.ua_binary import struct_from_binary

from shared.opcua.alarms import Pass
from shared.opcua.nodes import node_id

SLOWEST_MS, FASTEST_MS = 60_000.0, 100.0
_ACTIVATE = node_id(ua.ObjectIds.ActivateSessionRequest_Encoding_DefaultBinary)
_FORBIDDEN = {
    ua.ObjectIds.WriteRequest_Encoding_DefaultBinary,
    ua.ObjectIds.HistoryReadRequest_Encoding_DefaultBinary,
}


class Door(Protocol):
    """Lets in accounts of its tier, and anonymous viewers where that is wanted."""

    anonymous: bool

    async def admit(self, name: str, password: str, address: str) -> Pass | None:
        """What it is let in with; None for who is not."""
        ...

    async def gone(self, shown: Pass) -> bool:
        """Whether a session that was let in may see no more."""
        ...

    async def leave(self, shown: Pass) -> None:
        """The session has ended, or goes on with another pass."""
        ...


class Calls(Protocol):
    """Who answers the methods of conditions."""

    async def call(self, session: Session, asked: ua.CallMethodRequest) -> ua.StatusCode | None:
        """The answer to one call; None if the method is not one of a condition."""
        ...


class Session(InternalSession):
    """A client's session: it knows its account."""

    iserver: Any  # a `Wire`

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.shown = Pass()
        self._admitted: Pass | None = None
        self._passes: list[Pass] = []
        """All that it was let in with and has not given back."""
        # The library counts: whoever guesses the next number would take over a session.
        if self.external:
            self.iserver.unregister_external_session(self)
            self.auth_token = node_id(secrets.token_bytes(32))
            self.iserver.register_external_session(self)

    async def admit(self, params: ua.ActivateSessionParameters, address: str) -> None:
        """Ask for the account with which the session is about to be activated."""
        door, token = self.iserver.door, params.UserIdentityToken
        self._admitted = Pass() if door.anonymous else None
        if isinstance(token, ua.UserNameIdentityToken):
            self._admitted = None
            try:
                name, password = self.iserver.decrypt_user_token(self, token)
            except Exception as error:  # whatever was sent instead of a password
                raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid) from error
            self._admitted = await door.admit(name or "", password or "", address)
            if self._admitted is not None:
                self._passes.append(self._admitted)

    def activate_session(
        self, params: ua.ActivateSessionParameters, peer_certificate: bytes | None
    ) -> ua.ActivateSessionResult:
        """Activate it with the account that was let in."""
        admitted, self._admitted = self._admitted, None
        if admitted is None:
            raise ServiceError(ua.StatusCodes.BadUserAccessDenied)
        result = super().activate_session(params, peer_certificate)
        self.shown = admitted
        return result

    async def settle(self) -> None:
        """Give back what it was let in with and does not use: it was activated anew, or in vain."""
        self._admitted = None
        over = [each for each in self._passes if each is not self.shown]
        self._passes = [each for each in self._passes if each is self.shown]
        left = await asyncio.gather(
            *(self.iserver.door.leave(each) for each in over), return_exceptions=True
        )
        # What the accounts could not take back now is given back the next time.
        self._passes += [each for each, done in zip(over, left, strict=True) if done is not None]

    async def close_session(self, delete_subs: bool = True) -> None:
        """End it, and the account's session with it."""
        await super().close_session(delete_subs)
        self.shown = Pass()
        await self.settle()

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        """Methods of conditions are answered with the caller's rights."""
        results: list[ua.CallMethodResult] = []
        for asked in params:
            status = await self.iserver.calls.call(self, asked)
            if status is None:
                results += await super().call([asked])
            else:
                results.append(ua.CallMethodResult(StatusCode=status))
        return results

    # The library lets every session touch every subscription; their numbers are easily guessed.

    def _own(self, *numbers: int) -> None:
        known = self.subscription_service.subscriptions
        if any(n in known and known[n].session_id != self.session_id for n in numbers):
            raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)

    async def create_monitored_items(self, params: Any) -> Any:
        """Of its own subscriptions only; so are all the others below."""
        self._own(params.SubscriptionId)
        return await super().create_monitored_items(params)

    async def modify_monitored_items(self, params: Any) -> Any:
        """Change items."""
        self._own(params.SubscriptionId)
        return await super().modify_monitored_items(params)

    async def delete_monitored_items(self, params: Any) -> Any:
        """Delete items."""
        self._own(params.SubscriptionId)
        return await super().delete_monitored_items(params)

    async def set_monitoring_mode(self, params: Any) -> Any:
        """Switch items."""
        self._own(params.SubscriptionId)
        return await super().set_monitoring_mode(params)

    async def set_publishing_mode(self, params: Any) -> Any:
        """Switch subscriptions."""
        self._own(*params.SubscriptionIds)
        return await super().set_publishing_mode(params)

    async def delete_subscriptions(self, ids: Any) -> Any:
        """Delete subscriptions."""
        self._own(*ids)
        return await super().delete_subscriptions(ids)

    def modify_subscription(self, params: Any) -> Any:
        """Change a subscription."""
        self._own(params.SubscriptionId)
        return super().modify_subscription(params)

    def republish(self, params: Any) -> Any:
        """Repeat what was lost."""
        self._own(params.SubscriptionId)
        return super().republish(params)

    def publish(self, acks: Any = None) -> Any:
        """Take what was received off the list."""
        self._own(*(each.SubscriptionId for each in acks or ()))
        return super().publish(acks)

    async def transfer_subscriptions(self, params: Any, callback: Any) -> Any:
        """Take over a subscription: from a session of the same account only."""
        owners = {each.session_id: each for each in self.iserver._external_sessions.values()}
        for number in params.SubscriptionIds:
            held = self.subscription_service.subscriptions.get(int(number))
            owner = owners.get(held.session_id) if held is not None else None
            if held is not None and (owner is None or owner.shown.name != self.shown.name):
                raise ServiceError(ua.StatusCodes.BadUserAccessDenied)
        return await super().transfer_subscriptions(params, callback)

    async def create_subscription(self, params: Any, *args: Any, **named: Any) -> Any:
        """Not faster than a screen can show it: the library would publish without any pause."""
        asked = float(params.RequestedPublishingInterval or 0)
        params.RequestedPublishingInterval = min(max(asked, FASTEST_MS), SLOWEST_MS)
        return await super().create_subscription(params, *args, **named)


class Wire(InternalServer):
    """The library's inner server with our sessions and tighter limits."""

    door: Door
    calls: Calls

    def __init__(self) -> None:
        super().__init__(user_manager=_Everybody())
        self.allow_remote_admin = False
        self.max_connections, self.max_subscriptions = 100, 200
        self.max_monitored_item_queue_size = 5_000

    def create_session(
        self, name: str, user: WireUser | None = None, external: bool = False
    ) -> InternalSession:
        """A session of ours."""
        able = user or WireUser(role=UserRole.Anonymous)
        return Session(
            self, self.aspace, self.subscription_service, name, user=able, external=external
        )

    def register_server(self, server: Any, conf: Any = None) -> None:
        """It is no directory of other servers: whoever could reach it would fill it."""
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)


class _Everybody(UserManager):
    """Who was not let in never comes here; on the wire all have the same, reading role."""

    def get_user(
        self, iserver: InternalServer, username: str | None = None, password: str | None = None,
        certificate: Any = None,
    ) -> WireUser:  # fmt: skip
        return WireUser(role=UserRole.User, name=username)


class _Reading(PermissionRuleset):
    """Nobody writes nodes or makes any over the network."""

    _able = frozenset(node_id(each) for each in USER_TYPES if each not in _FORBIDDEN)

    def check_validity(self, user: Any, action_type: Any, body: Any) -> bool:
        return action_type in self._able


class _Processor(UaProcessor):
    """Asks for the account before a session is activated."""

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        if typeid != _ACTIVATE:
            return await super()._process_message(typeid, requesthdr, seqhdr, body)
        session = await self._admit(requesthdr, body)
        try:
            return await super()._process_message(typeid, requesthdr, seqhdr, body)
        finally:
            if session is not None:
                await session.settle()

    async def _admit(self, requesthdr: Any, body: Any) -> Session | None:
        policy = self._connection.security_policy
        if self.iserver.certificate and policy.Mode == ua.MessageSecurityMode.None_:
            raise ServiceError(ua.StatusCodes.BadSecurityModeRejected)
        session = self.session or self.iserver.lookup_external_session(
            requesthdr.AuthenticationToken
        )
        if not isinstance(session, Session):
            return None
        params = struct_from_binary(ua.ActivateSessionParameters, body.copy())
        await session.admit(params, str((self.name or ("",))[0]))
        return session


class _Protocol(OPCUAProtocol):
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.processor is not None:
            self.processor = _Processor(self.iserver, transport, self.limits)
            self.processor.set_policies(self.policies)


class _Listener(BinaryServer):
    def _make_protocol(self) -> OPCUAProtocol:
        return _Protocol(
            self.iserver, self._policies, self.clients, self.closing_tasks, self.limits
        )


class AccountServer(Server):
    """The library's server, let in by accounts."""

    def __init__(self, door: Door, calls: Calls) -> None:
        self.wire = Wire()
        self.wire.door, self.wire.calls = door, calls
        super().__init__(iserver=self.wire)
        self.reading: Any = _Reading()
        tokens: list[type] = [ua.UserNameIdentityToken]
        self.set_identity_tokens([*tokens, ua.AnonymousIdentityToken] if door.anonymous else tokens)

    async def start(self) -> None:
        """Listen; as the library does, with our own protocol."""
        await self._setup_server_nodes()
        if self.iserver.certificate:  # the open channel is for finding the others only
            offered = self.iserver.endpoints
            offered[:] = [e for e in offered if e.SecurityMode != ua.MessageSecurityMode.None_]
        await self.iserver.start()
        host, port = self._get_bind_socket_info()
        self.bserver = _Listener(self.iserver, host or "", port or 0, self.limits)
        self.bserver.set_policies(self._policies)
        try:
            await self.bserver.start()
        except OSError:
            self.bserver = None
            await self.iserver.stop()
            raise

    async def stop(self) -> None:
        """Stop listening first: a client that comes back meanwhile would be waited for."""
        if self.bserver is not None and self.bserver._server is not None:
            self.bserver._server.close()
        sessions = list(self.iserver._external_sessions.values())
        # A database that does not answer keeps no socket open.
        await asyncio.gather(*(each.close_session() for each in sessions), return_exceptions=True)
        await super().stop()
