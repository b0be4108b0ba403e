"""REST of accounts and service accounts, for administrators; the same on every tier."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from shared.errors import Rejected
from shared.identity.policy import Grant, User
from shared.web.auth import IdempotencyKey, allowed, check_origin, current_user, once
from shared.web.dto_identity import (
    AccountList,
    AccountOut,
    GrantOut,
    NewAccount,
    NewDisabled,
    NewGrants,
    NewPassword,
    NewService,
    OwnPassword,
    ServiceList,
    ServiceOut,
    ServiceToken,
)
from shared.web.etags import IfMatch, etag_of, if_match
from shared.web.identity_ports import identity_of
from shared.web.problem import ProblemError

Admin = Annotated[User, Depends(allowed("administer", everywhere=True))]
_CONFLICTS = {"account_exists", "client_exists", "last_administrator"}


def _refuse(refusal: Rejected) -> ProblemError:
    if refusal.code in ("unknown_account", "unknown_client"):
        return ProblemError.of(404, refusal)
    return ProblemError.of(409 if refusal.code in _CONFLICTS else 422, refusal)


def _grants(given: list[GrantOut]) -> list[Grant]:
    return list(dict.fromkeys(Grant(one.role, one.area) for one in given))


def _shown(row: Any) -> dict[str, Any]:
    return {**asdict(row), "grants": [GrantOut(role=g.role, area=g.area) for g in row.grants]}


async def _account(request: Request, username: str) -> AccountOut:
    rows = await identity_of(request).people.listed()
    found = next((row for row in rows if row.username == username), None)
    if found is None:
        raise ProblemError(404, "unknown_account", username=username)
    return AccountOut(**_shown(found))


async def _change(
    request: Request, user: User, key: str, username: str,
    doing: Callable[[], Awaitable[Rejected | None]], match: str | None = None,
) -> Any:  # fmt: skip
    """Do it once per key; a repetition gets the account as it was answered."""

    async def act() -> AccountOut:
        if match is not None:
            if_match(match, etag_of(await _account(request, username)))
        if (refusal := await doing()) is not None:
            raise _refuse(refusal)
        return await _account(request, username)

    return await once(request, user, key, act)


def account_router() -> APIRouter:
    """Routes of /api/accounts, /api/service-accounts and one's own password."""
    router = APIRouter(prefix="/api", tags=["identity"])

    @router.get("/accounts")
    async def accounts(_: Admin, request: Request) -> AccountList:
        rows = await identity_of(request).people.listed()
        return AccountList(items=[AccountOut(**_shown(row)) for row in rows])

    @router.get("/accounts/{username}")
    async def account(username: str, _: Admin, request: Request, response: Response) -> AccountOut:
        found = await _account(request, username)
        response.headers["ETag"] = etag_of(found)
        return found

    @router.post("/accounts")
    async def add(
        body: NewAccount, user: Admin, key: IdempotencyKey, request: Request
    ) -> AccountOut:
        people = identity_of(request).people
        doing = partial(people.add, body.username, body.password, _grants(body.grants), user.name)
        return await _change(request, user, key, body.username, doing)

    @router.put("/accounts/{username}/grants")
    async def grants(
        username: str, body: NewGrants, user: Admin, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> AccountOut:  # fmt: skip
        people = identity_of(request).people
        doing = partial(people.set_grants, username, _grants(body.grants), user.name, body.why)
        return await _change(request, user, key, username, doing, match)

    @router.put("/accounts/{username}/disabled")
    async def disabled(
        username: str, body: NewDisabled, user: Admin, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> AccountOut:  # fmt: skip
        people = identity_of(request).people
        doing = partial(people.set_disabled, username, body.disabled, user.name, body.why)
        return await _change(request, user, key, username, doing, match)

    @router.put("/accounts/{username}/password")
    async def password(
        username: str, body: NewPassword, user: Admin, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> AccountOut:  # fmt: skip
        people = identity_of(request).people
        doing = partial(people.set_password, username, body.password, user.name, body.why)
        return await _change(request, user, key, username, doing, match)

    @router.put("/session/password", status_code=204)
    async def own(
        body: OwnPassword, user: Annotated[User, Depends(current_user)], request: Request
    ) -> None:
        check_origin(request)
        if user.kind != "local":
            raise ProblemError(409, "password_elsewhere")
        refusal = await identity_of(request).people.change_own(user.name, body.old, body.new)
        if refusal is not None:
            raise ProblemError.of(422, refusal)

    _service_routes(router)
    return router


def _service_routes(router: APIRouter) -> None:
    @router.get("/service-accounts")
    async def services(_: Admin, request: Request) -> ServiceList:
        rows = await identity_of(request).services.listed()
        return ServiceList(items=[ServiceOut(**_shown(row)) for row in rows])

    @router.post("/service-accounts")
    async def add(
        body: NewService, user: Admin, _: IdempotencyKey, request: Request
    ) -> ServiceToken:
        # Not answered from memory on a repetition: the token must be kept nowhere.
        made = await identity_of(request).services.add(
            body.client, body.name, _grants(body.grants), body.actions, body.expires_at, user.name
        )
        if isinstance(made, Rejected):
            raise _refuse(made)
        return ServiceToken(client=body.client, token=made)

    @router.delete("/service-accounts/{client}", status_code=204)
    async def revoke(client: str, user: Admin, request: Request) -> None:
        refusal = await identity_of(request).services.revoke(client, user.name)
        if refusal is not None:
            raise _refuse(refusal)
