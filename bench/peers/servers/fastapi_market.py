"""FastAPI + SQLAlchemy + psycopg + Uvicorn: pages by OFFSET with a total, as a plain implementation of the API has them.

It is written as the documentation of FastAPI and of SQLAlchemy has it: an asynchronous engine with its usual pool, a session for
each request, ORM classes, and Pydantic models of them as the answer. Its answer has the fields that the API must have; prices are
floats, as nearly everybody has them.
"""

import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from bench.peers.servers import market_tables as tables

engine = create_async_engine(os.environ["PEER_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1))
new_session = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class Candle(BaseModel):
    """A bar, as it is answered."""

    model_config = ConfigDict(from_attributes=True)

    symbol: str
    interval: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    start_time: datetime
    end_time: datetime


class Trade(BaseModel):
    """A trade, as it is answered."""

    model_config = ConfigDict(from_attributes=True)

    symbol: str
    trade_id: str
    time: datetime
    price: float
    size: float
    side: str
    venue: str
    source: str


class Pagination(BaseModel):
    """Which page it is, of how many rows."""

    limit: int
    offset: int
    total: int


class Candles(BaseModel):
    """A page."""

    data: list[Candle]
    pagination: Pagination


class Trades(BaseModel):
    """A page."""

    data: list[Trade]
    pagination: Pagination


async def get_session() -> AsyncIterator[AsyncSession]:
    """A session for each request."""
    async with new_session() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0)]


async def page(session: AsyncSession, table: Any, where: list[Any], order: list[Any], limit: int, offset: int) -> dict[str, Any]:  # noqa: ANN401 - an ORM class
    """The rows, and how many there are of all."""
    total = await session.scalar(select(func.count()).select_from(table).where(*where))
    rows = await session.scalars(select(table).where(*where).order_by(*order).limit(limit).offset(offset))
    return {"data": rows.all(), "pagination": {"limit": limit, "offset": offset, "total": total}}


@app.get("/candles", response_model=Candles)
async def candles(
    session: Session,
    symbol: str,
    interval: str,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> Any:  # noqa: ANN401 - FastAPI makes the response model of it
    """From ``start`` on, oldest first; without it the newest."""
    table = tables.Candle
    where = [table.symbol == symbol, table.interval == interval]
    where += [] if start is None else [table.start_time >= start]
    where += [] if end is None else [table.start_time < end]
    if start is not None:
        return await page(session, table, where, [table.start_time], limit, offset)
    found = await page(session, table, where, [table.start_time.desc()], limit, offset)
    return {**found, "data": found["data"][::-1]}


@app.get("/trades", response_model=Trades)
async def trades(
    session: Session,
    symbol: str,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> Any:  # noqa: ANN401 - as above
    """From ``start`` on, oldest first."""
    table = tables.Trade
    where = [table.symbol == symbol]
    where += [] if start is None else [table.time >= start]
    where += [] if end is None else [table.time < end]
    return await page(session, table, where, [table.time, table.id], limit, offset)
