"""The HTTP control of the simulators: state, faults, reset and speed.

Served on one port beside the plants, used by drills, demos and tests; never touches physics itself.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from shared.errors import Rejected
from simulators.linked import LinkedSystem, linked_router
from simulators.plant import EQUIPMENT
from simulators.settings import MAX_SPEED
from simulators.simulation import Simulation


class FaultRequest(BaseModel):
    """POST /faults."""

    model_config = ConfigDict(extra="forbid")

    plant: str
    fault: str
    on: bool = True
    args: dict[str, float] = Field(default_factory=dict)


class ResetRequest(BaseModel):
    """POST /reset; without a plant all are reset."""

    model_config = ConfigDict(extra="forbid")

    plant: str | None = None


class SpeedRequest(BaseModel):
    """POST /speed."""

    model_config = ConfigDict(extra="forbid")

    factor: Annotated[float, Field(gt=0, le=MAX_SPEED)]


_TEXT = {
    "sim_plant_unknown": ("没有名为 {name} 的装置；{hint_zh}", "no plant {name!r}; {hint_en}"),
    "sim_fault_unknown": (
        "该装置没有名为 {name} 的故障；{hint_zh}",
        "this plant has no fault {name!r}; {hint_en}",
    ),
    "sim_fault_arg_unknown": (
        "该故障没有名为 {name} 的参数；{hint_zh}",
        "this fault has no argument {name!r}; {hint_en}",
    ),
    "sim_request_invalid": ("请求有误（{where}）：{detail}", "bad request ({where}): {detail}"),
}


def _problem(status: int, refused: Rejected) -> JSONResponse:
    zh, en = _TEXT[refused.code]
    body = {
        "type": "about:blank",
        "title": en.format(**refused.params),
        "status": status,
        "code": refused.code,
        "params": refused.params,
        "message_zh": zh.format(**refused.params),
        "message_en": en.format(**refused.params),
    }
    return JSONResponse(body, status, media_type="application/problem+json")


def catalogue() -> dict[str, Any]:
    """Every plant with its signals and faults, in both languages."""
    return {
        name: {
            "asset": kind.asset,
            "signals": [
                {"name": s.name, "unit": s.unit, "writable": s.writable} for s in kind.signals
            ],
            "faults": {
                fault: {"zh": spec.zh, "en": spec.en, "args": dict(spec.args)}
                for fault, spec in kind.faults.items()
            },
        }
        for name, kind in EQUIPMENT.items()
    }


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _problem(422, Rejected("sim_request_invalid", {"where": where, "detail": first["msg"]}))


def create_app(simulation: Simulation, linked: LinkedSystem) -> FastAPI:
    """The control application over a running simulation."""
    app = FastAPI(title="Andon simulators", docs_url=None, redoc_url=None)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.include_router(linked_router(linked))

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/catalogue")
    async def faults_catalogue() -> dict[str, Any]:
        return catalogue()

    @app.get("/state")
    async def state(writes_since: Annotated[int, Query(ge=0)] = 0) -> JSONResponse:
        return JSONResponse(simulation.state(writes_since))

    @app.post("/faults", response_model=None)
    async def faults(body: FaultRequest) -> JSONResponse | dict[str, Any]:
        refused = await simulation.set_fault(body.plant, body.fault, body.on, body.args)
        return _problem(404, refused) if refused else {"ok": True}

    @app.post("/reset", response_model=None)
    async def reset(body: ResetRequest | None = None) -> JSONResponse | dict[str, Any]:
        refused = await simulation.reset(body.plant if body else None)
        return _problem(404, refused) if refused else {"ok": True}

    @app.post("/speed")
    async def speed(body: SpeedRequest) -> dict[str, Any]:
        simulation.set_speed(body.factor)
        return {"ok": True, "factor": body.factor}

    return app
