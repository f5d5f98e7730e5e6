"""Faults that nobody foresaw, and that must not stop what runs on."""

import asyncio


def report(message: str, error: Exception) -> None:
    """To the log, by way of the event loop's handler for what nobody is there to catch."""
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
