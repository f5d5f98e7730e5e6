"""Granian as this server runs it: its sockets, its workers, who of them is started anew, and how it ends."""

import contextlib
import functools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from app.commands.listening import Listener
from app.commands.watch import LOOK_S, Watch
from app.http.drain import DEAF_S, DRAIN_SIGNAL
from app.observe.crew import Crew
from app.withheld import withheld

with withheld("watchfiles"):
    from granian.net import SocketHolder  # type: ignore[attr-defined]
    from granian.server import Server

LOGGER = "decide.start"
HANGUP = getattr(signal, "SIGHUP", 0)
"""What a terminal that is closed sends to all it has started; 0 where there is no such signal (Windows)."""
_SIGNAL_LOOK_S = 0.2
_EXIT_LOOK_S = 0.001
_WRITTEN_DOWN_S = 1.0
_FAREWELL_S = 0.2
"""How long answers that have no end of their own have for their last word, where the server stops at once."""


class _PatientEvent(threading.Event):
    """An event whose waiter wakes up now and then.

    Of two signals that come at once (Ctrl-C and SIGTERM, say) the kernel gives the second to another thread; CPython's main
    thread, waiting for a lock without a time limit, then may run the handler of neither. Any bytecode it runs lets it.
    """

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None:
            return super().wait(timeout)
        while not super().wait(_SIGNAL_LOOK_S):
            pass
        return True


class DecideServer(Server):  # type: ignore[misc, valid-type]
    """Granian, with a stop that may be asked for twice at once, and that lets the workers drain first.

    SIGTERM comes from whoever runs the process, whose callers shall notice nothing: the workers are told to drain, go deaf
    ``drain_s`` later, and are stopped. SIGHUP is the same, of a terminal that is closed: the kernel says so, and the shell, so a
    second one is no hurry. Anything else (Ctrl-C), and a second signal, stops at once; but workers are
    told a moment before, or answers that have no end of their own would hold up the stop until the workers are killed.

    A Unix socket is ``listener``'s: its file goes when the workers go deaf, as long as no successor has put its own there.
    """

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - Granian's own
        drain_s: float,
        listener: Listener | None,
        crew: Crew,
        forget: Callable[[int], None] = lambda _: None,
        **options: Any,  # noqa: ANN401 - Granian's own
    ) -> None:
        super().__init__(*arguments, **options)
        self.main_loop_interrupt = _PatientEvent()
        self._drain_s = drain_s
        self._draining = False
        self._listener = listener
        self._crew = crew
        self._forget = forget
        self._watch = Watch(crew)
        self._resting: set[int] = set()
        # Granian's own starts the workers anew. Where it is ignored (nohup), that is inherited, and stays if Granian has none.
        is_ignored = bool(HANGUP) and signal.getsignal(HANGUP) == signal.SIG_IGN
        self.signal_handler_reload = None if is_ignored else self.signal_handler_interrupt

    def _init_shared_socket(self) -> None:
        if self._listener is None:
            super()._init_shared_socket()
            return
        # Workers are given what they listen on one by one.
        self._ssp = None

    def _drop_shared_socket(self) -> None:
        if self._listener is None:
            super()._drop_shared_socket()
        else:
            self._listener.close()

    def shutdown(self, exit_code: int = 0) -> None:
        """Stop the workers, and end."""
        if self._listener is not None:
            self._listener.remove()
            # Granian would remove at the end whatever is there, which may be the successor's by then.
            self.bind_uds = None
        super().shutdown(exit_code)

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> Any:  # noqa: ANN401 - Granian's own
        if self._listener is not None:
            own = self._listener.socket_of(idx)
            own.set_inheritable(True)
            is_unix, backlog = self._listener.is_unix, self._listener.backlog
            self._shd = SocketHolder(own.fileno(), uds=is_unix, backlog=backlog)  # type: ignore[call-arg]
            self._sso = own
        worker = super()._spawn_worker(
            idx=idx, target=target, callback_loader=functools.partial(callback_loader, self._crew, idx)
        )
        # By Granian's own a worker that stopped in time may be taken for one that did not.
        worker.join = functools.partial(await_exit, worker.inner)
        self._crew.begin(idx)
        self._watch.started(idx, time.monotonic())
        return worker

    def _spawn_workers(self, *arguments: Any) -> None:  # noqa: ANN401 - Granian's own
        with _signals_held():
            super()._spawn_workers(*arguments)

    def _serve_loop(self, *targets: Any) -> None:  # noqa: ANN401 - Granian's own
        """Until a stop is asked for, or no worker can serve. Granian's own ends the server with its first worker, or starts one
        anew without a pause, also while it drains.
        """
        looked = time.monotonic()
        while not self.interrupt_signal:
            self.main_loop_interrupt.wait(_SIGNAL_LOOK_S)
            self.main_loop_interrupt.clear()
            if self._draining:
                # One that ends early is not started anew, but callers of its share still come.
                self._leave_to_others(set(self.interrupt_children) - self._resting)
                continue
            if time.monotonic() - looked >= LOOK_S:
                looked = time.monotonic()
                self._end_stuck()
            if not self._note_ended():
                return
            for number in self._watch.due(time.monotonic()):
                self._start_anew(number, *targets)

    def _end_stuck(self) -> None:
        for number in self._watch.look():
            logging.getLogger(LOGGER).error("worker-%d is stuck: it is killed, and another takes its place", number + 1)
            self.wrks[number].inner.kill()

    def _note_ended(self) -> bool:
        """Whether the server goes on."""
        while self.interrupt_children:
            number = self.interrupt_children[0]
            reason = self._watch.ended(number, time.monotonic())
            if reason is None:
                # It stays in the list, which makes the exit code.
                return False
            self.interrupt_children.pop(0)
            self._crew.restarted(reason)
            self._forget(number)
            if number not in self._watch.due(time.monotonic()):
                self._leave_to_others({number})
        return True

    def _leave_to_others(self, numbers: Iterable[int]) -> None:
        """These workers' callers, until they are there again."""
        if self._listener is not None:
            for number in numbers:
                self._resting.add(number)
                self._listener.rest(number)

    def _start_anew(self, number: int, *targets: Any) -> None:  # noqa: ANN401 - Granian's own
        if self._listener is not None and number in self._resting:
            self._resting.discard(number)
            self._listener.resume(number)
        with _signals_held():
            worker = self._spawn_worker(number, *targets)
            worker.start()
            self.wrks[number] = worker

    def signal_handler_interrupt(self, *arguments: object, **options: object) -> None:
        """A signal, of which the class says what it means."""
        if self._draining and arguments[:1] == (HANGUP,):
            return
        is_patient = arguments[:1] in ((signal.SIGTERM,), (HANGUP,))
        if is_patient and self._drain_s and not self._draining and self._tell_workers():
            self._draining = True
            threading.Thread(target=self._drain, daemon=True).start()
            return
        # The handler sets the event in the thread that waits for it, which may hold its lock while it wakes up.
        if not self.interrupt_signal:
            if not self._draining and self._tell_workers():
                self._draining = True
                for worker in self.wrks:
                    # Ctrl-C at a terminal reaches workers too: one that ends of it is no fault.
                    worker.interrupt_by_parent = True
                time.sleep(_FAREWELL_S)
            super().signal_handler_interrupt(*arguments, **options)

    def _drain(self) -> None:
        time.sleep(self._drain_s)
        if self._listener is not None:
            self._listener.remove()
        self._tell_workers()
        time.sleep(DEAF_S)
        self.signal_handler_interrupt()

    def _tell_workers(self) -> bool:
        """Whether there was a worker to tell."""
        told = False
        if DRAIN_SIGNAL is None:
            return told
        # First: who is too young to hear it reads it there.
        self._crew.next_stage()
        for worker in self.wrks:
            # The number of a process that has ended may be another's.
            if not wait([worker.inner.sentinel], 0):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.inner.pid, DRAIN_SIGNAL)
                    told = True
        return told


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """While a worker is started. It is a copy of this process, with its handlers, which are not its to run. Blocked, which is
    inherited, signals wait until the worker has them mean something else; the main process hears right after what came meanwhile.
    """
    if not HANGUP:
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {HANGUP, signal.SIGTERM, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def await_exit(process: BaseProcess, timeout_s: float | None = None) -> None:
    """Return once ``process`` has ended and its exit code is known, or after ``timeout_s``; None: however long it takes.

    Another thread (Granian has one for each worker) may be told of the end first. Then `join` returns, and `is_alive` is true,
    until that thread has written the exit code down, which on a busy machine takes its time: a worker that stopped as it should
    would be reported as killed. An exit code that does not come is not waited for long.
    """
    process.join(timeout_s)
    deadline = time.monotonic() + _WRITTEN_DOWN_S
    while process.exitcode is None and wait([process.sentinel], 0) and time.monotonic() < deadline:
        time.sleep(_EXIT_LOOK_S)
