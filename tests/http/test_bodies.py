"""Reading a body: bounded in bytes and in time."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Problem
from app.http.bodies import Bodies, require_json
from tests.kit.serving import part
from tests.kit.settle import settle

_LIMIT = 1000


def _read(messages: list[dict[str, Any]], headers: dict[bytes, bytes], timeout_s: float = 5.0) -> tuple[bytes, int]:
    """The body, and how many messages were left unread."""
    coming: Iterator[dict[str, Any]] = iter(messages)
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        for message in coming:
            taken += 1
            return message
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    body = asyncio.run(Bodies(_LIMIT, timeout_s).read(receive, headers))
    return body, len(messages) - taken


@given(parts=st.lists(st.binary(max_size=50), min_size=1, max_size=15))
def test_a_body_is_its_parts_joined_however_it_was_cut(parts: list[bytes]) -> None:
    messages = [part(each, more=True) for each in parts[:-1]] + [part(parts[-1])]
    body, left = _read(messages, {})
    assert (body, type(body), left) == (b"".join(parts), bytes, 0)


def test_with_a_content_length_the_last_byte_ends_the_reading() -> None:
    """The empty frame that the server sends after it is not waited for."""
    body, left = _read([part(b"ab", more=True), part(b"cd", more=True), part(b"")], {b"content-length": b"4"})
    assert (body, left) == (b"abcd", 1)


def test_a_declared_empty_body_reads_nothing() -> None:
    assert _read([part(b"")], {b"content-length": b"0"}) == (b"", 1)


def test_as_many_bytes_as_allowed_are_read() -> None:
    whole = b"x" * _LIMIT
    assert _read([part(whole)], {b"content-length": b"%d" % _LIMIT})[0] == whole
    assert _read([part(whole[:1], more=True), part(whole[1:])], {})[0] == whole


@pytest.mark.parametrize(
    ("messages", "headers", "status"),
    [
        ([], {b"content-length": b"1001"}, 413),
        ([], {b"content-length": b"9" * 18}, 413),
        ([part(b"x" * 1001)], {}, 413),
        ([part(b"x" * 600, more=True), part(b"x" * 401, more=True)], {}, 413),
        ([], {b"content-length": b"9" * 19}, 400),
        ([], {b"content-length": b"+5"}, 400),
        ([], {b"content-length": b"5 "}, 400),
        ([], {b"content-length": b""}, 400),
        ([part(b"x", more=True), {"type": "http.disconnect"}], {}, 400),
        ([part(b"x", more=True)], {b"content-length": b"2"}, 408),
        ([], {}, 408),
    ],
)
def test_what_is_too_long_too_slow_or_cut_off_is_refused(
    messages: list[dict[str, Any]], headers: dict[bytes, bytes], status: int
) -> None:
    with pytest.raises(Problem) as caught:
        _read(messages, headers, timeout_s=0.03)
    assert caught.value.status == status


@given(sent=st.binary(max_size=40))
def test_no_media_type_breaks_the_check(sent: bytes) -> None:
    is_json = sent.split(b";")[0].strip().lower() == b"application/json" and b"charset" not in sent.lower()
    with nullcontext() if is_json else pytest.raises(Problem, match="allowed: application/json"):
        require_json({b"content-type": sent})


def test_slow_bodies_end_in_their_turn_and_quick_ones_are_left_alone() -> None:
    """One timer watches them all."""

    async def work() -> list[str]:
        bodies, ended = Bodies(_LIMIT, 0.5), []

        async def never() -> dict[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        async def soon() -> dict[str, Any]:
            await asyncio.sleep(0.35)
            return part(b"x")

        async def one(name: str, receive: Any) -> None:  # noqa: ANN401 - as ASGI has it
            try:
                await bodies.read(receive, {b"content-length": b"1"})
                ended.append(f"{name} read")
            except Problem as problem:
                ended.append(f"{name} {problem.status}")

        tasks = [asyncio.create_task(one("first", never)), asyncio.create_task(one("quick", soon))]
        await asyncio.sleep(0.3)
        tasks += [asyncio.create_task(one("second", never)), asyncio.create_task(one("later", soon))]
        await asyncio.gather(*tasks)
        return ended

    assert asyncio.run(work()) == ["quick read", "first 408", "later read", "second 408"]


def test_a_read_that_others_cancel_is_cancelled() -> None:
    """Its caller's cancellation is not taken for the time being up."""

    async def work() -> bool:
        bodies = Bodies(_LIMIT, 60.0)

        async def never() -> dict[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        task = asyncio.create_task(bodies.read(never, {}))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled()

    assert asyncio.run(work())


@pytest.mark.parametrize("turns_on_its_way", [0, 1])
def test_a_body_that_came_while_the_loop_was_busy_is_in_time(turns_on_its_way: int) -> None:
    """It waits in the loop's queue, behind what kept the loop: its caller has sent it whole, long ago."""

    async def work() -> bytes:
        loop = asyncio.get_running_loop()
        came: asyncio.Future[dict[str, Any]] = loop.create_future()

        async def receive() -> dict[str, Any]:
            return await came

        def hear(turns: int) -> None:
            if turns:
                loop.call_soon(hear, turns - 1)
            else:
                came.set_result(part(b"x"))

        def keep_busy() -> None:
            time.sleep(0.2)
            loop.call_soon(hear, turns_on_its_way)

        reading = asyncio.create_task(Bodies(_LIMIT, 0.1).read(receive, {b"content-length": b"1"}))
        await asyncio.sleep(0)
        loop.call_soon(keep_busy)
        return await reading

    assert asyncio.run(work()) == b"x"


def test_a_body_that_ends_in_its_last_moment_leaves_the_next_one_alone() -> None:
    async def work() -> bytes:
        bodies = Bodies(_LIMIT, 0.1)

        async def receive() -> dict[str, Any]:
            return part(b"x")

        async def late() -> dict[str, Any]:
            # Both hold the loop up, so that the watch sees the first body when the second is being read.
            time.sleep(0.2)  # noqa: ASYNC251 - that is the point
            await settle()
            return part(b"x")

        headers = {b"content-length": b"1"}
        return await bodies.read(late, headers) + await bodies.read(late, headers) + await bodies.read(receive, headers)

    assert asyncio.run(work()) == b"xxx"
