"""What the main process makes of workers that it has told to stop."""

import multiprocessing
import os
import threading
import time

import pytest

from app.commands.serve import await_exit


@pytest.mark.skipif(not hasattr(os, "waitpid"), reason="WINDOWS: there nobody takes an exit code from somebody else")
def test_a_worker_whose_end_another_thread_was_told_of_has_stopped() -> None:
    """Until that thread has written the exit code down, multiprocessing takes it for one that runs."""
    process = multiprocessing.get_context("spawn").Process(target=os.getpid)
    process.start()
    os.waitpid(process.pid or 0, 0)
    process.join(10)
    assert process.is_alive()

    def write_down() -> None:
        process._popen.returncode = 0  # type: ignore[attr-defined]

    threading.Timer(0.1, write_down).start()
    await_exit(process, 20)
    assert not process.is_alive()


def test_a_worker_that_does_not_stop_is_waited_for_no_longer_than_it_has() -> None:
    """It runs on, for whoever kills it."""
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    process.start()
    try:
        await_exit(process, 0.05)
        assert process.is_alive()
    finally:
        process.kill()
        process.join()
