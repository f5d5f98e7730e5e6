"""FastAPI + Uvicorn + redis-py: one read of Redis for each request. What the field does today."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from redis.asyncio import Redis

from bench.peers.judgement import Judgement, agents_key, evidence_of, price_key
from bench.peers.servers.models import DecideRequest, DecideResponse


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for the whole application."""
    app.state.redis = Redis.from_url(os.environ["PEER_REDIS_URL"])
    app.state.judgement = Judgement(int(os.environ["PEER_NEWEST_AS_OF_MS"]))
    yield
    await app.state.redis.aclose()


app = FastAPI(lifespan=lifespan)


async def get_redis(request: Request) -> Any:  # noqa: ANN401 - a dependency, as FastAPI's tutorial has them
    """The client."""
    return request.app.state.redis


async def get_judgement(request: Request) -> Any:  # noqa: ANN401 - as above
    """The policy."""
    return request.app.state.judgement


RedisClient = Annotated[Any, Depends(get_redis)]
Judge = Annotated[Any, Depends(get_judgement)]


@app.post("/decide", response_model=DecideResponse)
async def decide(asked: DecideRequest, redis: RedisClient, judgement: Judge) -> Any:  # noqa: ANN401 - FastAPI makes the response model of it
    """One MGET of both records, then the policy."""
    price, agents = await redis.mget(price_key(asked.symbol), agents_key(asked.symbol))
    evidence = evidence_of(asked.symbol, price, agents)
    if evidence is None:
        raise HTTPException(404, "unknown symbol")
    return judgement.decide_plainly(asked.symbol, evidence, hit=False)
