"""The peer's tables of candles and trades, as SQLAlchemy's ORM declares them, and the rows that fill them by COPY."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from psycopg import Connection
from sqlalchemy import BigInteger, Index, Numeric, String, UniqueConstraint, create_engine
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_Time = TIMESTAMP(timezone=True)
_Number = Numeric(28, 8)


class Base(DeclarativeBase):
    """What all tables are declared by."""


class Candle(Base):
    """One bar."""

    __tablename__ = "candles"
    __table_args__ = (UniqueConstraint("symbol", "interval", "start_time"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    symbol: Mapped[str] = mapped_column(String(32))
    interval: Mapped[str] = mapped_column(String(8))
    open: Mapped[Decimal] = mapped_column(_Number)
    high: Mapped[Decimal] = mapped_column(_Number)
    low: Mapped[Decimal] = mapped_column(_Number)
    close: Mapped[Decimal] = mapped_column(_Number)
    volume: Mapped[Decimal] = mapped_column(_Number)
    start_time: Mapped[datetime] = mapped_column(_Time)
    end_time: Mapped[datetime] = mapped_column(_Time)


class Trade(Base):
    """One trade."""

    __tablename__ = "trades"
    __table_args__ = (Index("trades_by_time", "symbol", "time", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    symbol: Mapped[str] = mapped_column(String(32))
    trade_id: Mapped[str] = mapped_column(String(64))
    time: Mapped[datetime] = mapped_column(_Time)
    price: Mapped[Decimal] = mapped_column(_Number)
    size: Mapped[Decimal] = mapped_column(_Number)
    side: Mapped[str] = mapped_column(String(8))
    venue: Mapped[str] = mapped_column(String(32))
    source: Mapped[str] = mapped_column(String(32))


def fill(url: str, candles: Iterable[str], trades: Iterable[str]) -> None:
    """Make the tables in the empty database at ``url`` (``postgresql://…``), and write lines of COPY's text format: all columns
    but ``id``, in their order.
    """
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    Base.metadata.create_all(engine)
    engine.dispose()
    with Connection.connect(url, autocommit=True) as connection:
        for table, lines in ((Candle, candles), (Trade, trades)):
            names = ", ".join(column.name for column in table.__table__.columns if column.name != "id")
            # The names are those of the classes above.
            with connection.cursor().copy(f"COPY {table.__tablename__} ({names}) FROM STDIN") as copy:  # type: ignore[arg-type, unused-ignore]
                for line in lines:
                    copy.write(line)
