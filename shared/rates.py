"""The settings of how fast one account and one address may ask (`rate_limit:` of a tier).

Read by `shared/web/rate_limits.py`; checked when the process starts.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RateSettings(BaseModel):
    """`rate_limit:` of a tier's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    per_account: float = Field(default=100.0, gt=0, le=1_000_000)
    """Requests a second of one session or token, on average."""
    account_burst: int = Field(default=1000, ge=1, le=10_000_000)
    per_address: float = Field(default=1000.0, gt=0, le=1_000_000)
    """A plant may sit behind one address."""
    address_burst: int = Field(default=10_000, ge=1, le=10_000_000)
    acting_factor: float = Field(default=4.0, ge=1, le=1000)
    """By how much the buckets of acting on alarms are larger.

    Watching (`/api/alarms`, `/api/stream`, `/api/ws`) has buckets of its own, of the plain size.
    """
