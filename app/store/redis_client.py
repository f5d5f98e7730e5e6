"""Redis' client: a bounded pool whose waits end, and everything that can go wrong in one as one error of ours."""

from typing import Any

from app.errors import StoreBusy, StoreError, StoreRefused
from app.store.redis_replies import BoundedParser, ReplyTooLong
from app.withheld import withheld

with withheld("opentelemetry"):
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import AuthenticationError, BusyLoadingError, NoPermissionError, RedisError, ResponseError

TOO_LONG = [b"too long"]


async def unless_too_long(command: Any) -> Any:  # noqa: ANN401 - redis-py's replies have no narrower type
    """The reply, or `TOO_LONG`."""
    try:
        return await command
    except ReplyTooLong:
        return TOO_LONG


def client(url: str, password: str, max_connections: int, timeout_s: float, parser: type[BoundedParser] = BoundedParser) -> Redis:
    """A pool of connections, made when first needed."""
    pool = BlockingConnectionPool.from_url(
        url,
        # One in the URL would win; the settings refuse both.
        password=password or None,
        max_connections=max_connections,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(timeout_s, 2.0),
        # One retry, at once: a connection the server closed while idle fails on its next use. The client's own defaults (ten
        # retries of five seconds) would hold a request for a minute.
        retry=Retry(NoBackoff(), 1),
        client_name="decide",
        parser_class=parser,
    )
    return Redis.from_pool(pool)


async def answered(command: Any) -> Any:  # noqa: ANN401 - as above
    """The reply, with everything that can go wrong between here and Redis as one error of ours."""
    try:
        return await command
    except (AuthenticationError, NoPermissionError) as error:
        raise StoreRefused(
            f"Redis does not accept the credentials in REDIS_URL, REDIS_PASSWORD or their files: {error}"
        ) from error
    except (RedisError, OSError, TimeoutError, ValueError) as error:
        # While a script runs for long, and while Redis reads its data after a start.
        if isinstance(error, BusyLoadingError) or (isinstance(error, ResponseError) and str(error).startswith("BUSY ")):
            raise StoreBusy(f"Redis: {error}") from error
        raise StoreError("l2_error", f"Redis: {type(error).__name__}: {error}") from error
