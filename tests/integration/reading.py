"""Every way to read a store."""

from contextlib import suppress

from app.errors import StoreError
from app.store.sqlite import EmbeddedStore


async def read_all(store: EmbeddedStore, symbols: list[str]) -> None:
    """Every read of the store; each brings something of its type, or a StoreError."""
    for read in (
        store.get_many(symbols),
        store.record("history", symbols[0]),
        store.run_info(),
        store.symbols(),
        store.keys(),
        store.feed_position(),
        store.changes("0", 0.0),
        store.changes_since("0"),
    ):
        with suppress(StoreError):
            await read
