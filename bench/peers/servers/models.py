"""The contract as Pydantic models, for FastAPI."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class DecideRequest(BaseModel):
    """What is asked."""

    model_config = ConfigDict(extra="forbid")

    symbol: str = Field(min_length=1, max_length=32)
    price: float | None = Field(default=None, gt=0, le=1e12)
    max_age_s: float | None = Field(default=None, ge=0, le=1e10)
    explain: bool = False
    deadline_ms: float | None = Field(default=None, gt=0, le=60_000)


class Model(BaseModel):
    """Which policy."""

    name: str
    version: str
    schema_: str = Field(alias="schema")


class PriceInput(BaseModel):
    """State of the price input."""

    status: Literal["present", "stale", "missing", "error"]
    age_s: float | None


class AgentsInput(PriceInput):
    """State of the agents' input."""

    used: int
    abstained: int
    failed: int


class Inputs(BaseModel):
    """Both."""

    price: PriceInput
    agents: AgentsInput


class CacheInfo(BaseModel):
    """Where it came from."""

    hit: bool
    tier: Literal["l1", "l2", "none"]
    age_ms: float
    run: str | None


class Fallback(BaseModel):
    """What it rests on."""

    used: bool
    level: str
    reason: str | None


class DecideResponse(BaseModel):
    """What is answered."""

    id: str
    symbol: str
    requested: str
    action: Literal["buy", "sell", "hold"]
    score: float
    confidence: float
    target_weight: float
    as_of: str | None
    expires_at: str | None
    model: Model
    inputs: Inputs
    cache: CacheInfo
    fallback: Fallback
    latency_ms: float
