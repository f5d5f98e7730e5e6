"""Sending: closed loop and open loop over keep-alive connections.

Everything happens in calls from the event loop, without a task or a future a request: what the harness can send is a multiple of
what one worker can answer, and `bench.capacity` measures that.

In the open loop a request that finds no idle connection waits, and its waiting counts: latency runs from when it was due. The
event loop's timers tick in milliseconds, so a request may be sent about one late even on an idle machine; that counts too, and is
reported (``send lateness``) so that nobody takes it for the server's.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator

from bench.addresses import Addresses
from bench.mix import Prepared
from bench.scenario import Phase
from bench.stats import Recorder
from bench.validity import OK, Verdict, judge
from bench.wire import Connection

_DRAIN_S = 10.0
"""How long answers may still come after the last request was sent; then they count as a fault."""
_CONNECT_S = 5.0
_SILENCE_S = 30.0
"""After so long without any answer, or any connection, a phase that counts requests gives up."""
_CONNECTS_AT_ONCE = 100
_PROGRESS_S = 0.1
_TIMER_S = 0.001
_SENDS_IN_A_ROW = 32
_UNJUDGED_MAX = 1000
_BELIEVED = Verdict(None)


class Job:
    """A request under way, and when it was due and sent."""

    __slots__ = ("due", "request", "sent")

    def __init__(self, request: Prepared, due: float) -> None:
        self.request = request
        self.due = due
        self.sent = due


class Load:
    """One phase's load. Make one, `run` it, read ``recorder``."""

    def __init__(
        self,
        phase: Phase,
        requests: Iterator[Prepared],
        addresses: Addresses,
        *,
        rate_per_s: float | None,
        silence_s: float = _SILENCE_S,
        drain_s: float = _DRAIN_S,
        progress: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
        judge: Callable[[Prepared, int, bytes], Verdict] = judge,
    ) -> None:
        self._verdict = judge
        self._phase = phase
        self._requests = requests
        self._addresses = addresses
        self._rate_per_s = rate_per_s
        self._silence_s = silence_s
        self._drain_s = drain_s
        self._progress = progress
        self._clock = clock
        self._total = phase.requests
        if rate_per_s is not None and phase.duration_s is not None:
            self._total = max(1, round(rate_per_s * phase.duration_s))
        self._taken = 0
        self._settled = 0
        self._patience_s = math.inf if phase.patience_s is None else phase.patience_s
        self._jobs: dict[Connection, Job] = {}
        self._idle: deque[Connection] = deque()
        self._waiting: deque[Job] = deque()
        self._unjudged: deque[tuple[Job, int, bytes, float]] = deque()
        self._over = False
        self._to_judge = 0.0
        self._told_at = 0.0
        self._settled_at = 0.0
        self._reopening: set[asyncio.Task[None]] = set()
        self.open_connections = 0
        self.elapsed_s = 0.0

    async def run(self) -> None:
        """Open the connections, send for as long as the phase says, wait for the last answers, hang up."""
        gate = asyncio.Semaphore(_CONNECTS_AT_ONCE)
        self._started = self._clock()
        self.recorder = Recorder(self._started)
        await asyncio.gather(*(self._open_first(gate) for _ in range(self._phase.connections)))
        # The clock starts when all connections stand: opening them is no part of what is measured.
        self._started = self._settled_at = self._clock()
        self.recorder = Recorder(self._started)
        if self._rate_per_s is None:
            await self._run_closed()
        else:
            await self._run_open(self._rate_per_s)
        self.elapsed_s = self._clock() - self._started
        self._over = True
        while self._unjudged:
            self._judge()
        for task in self._reopening:
            task.cancel()
        self._give_up(math.inf if math.isfinite(self._patience_s) else -math.inf)
        for job in [*self._jobs.values(), *self._waiting]:
            self.recorder.faulted("no_answer", job.due, self._clock())
        if self._total is not None:
            # A server that was never there got no request, and that must not look like one that lost none.
            for _ in range(self._total - self._taken):
                self.recorder.faulted("never_sent", self._clock(), self._clock())
        for connection in [*self._idle, *self._jobs]:
            connection.close()
        await asyncio.sleep(0)

    @property
    def decisions_per_s(self) -> float:
        """Decisions that came, over the phase."""
        return self.recorder.decisions / self.elapsed_s

    # What connections tell.

    def answered(self, connection: Connection, status: int, body: bytes) -> None:
        """An answer is here."""
        finished = self._settled_at = self._clock()
        job = self._jobs.pop(connection)
        self._settled += 1
        self._unjudged.append((job, status, body, finished))
        if connection.usable:
            self._next_on(connection)
        if len(self._unjudged) > _UNJUDGED_MAX:
            self._judge()
        elif len(self._unjudged) == 1:
            asyncio.get_running_loop().call_soon(self._judge_on)

    def _judge_on(self) -> None:
        """Judge one answer in a turn of the loop: a large one takes milliseconds, and what comes meanwhile has its own time."""
        if self._unjudged:
            self._judge()
            if self._unjudged:
                asyncio.get_running_loop().call_soon(self._judge_on)

    def _judge(self) -> None:
        job, status, body, finished = self._unjudged.popleft()
        self._to_judge += self._phase.judged_share
        if self._to_judge >= 1.0:
            self._to_judge -= 1.0
            verdict = self._verdict(job.request, status, body)
        else:
            verdict = _BELIEVED
            self.recorder.believed += len(job.request.symbols) if status == OK else 0
        self.recorder.answered(job.request, status, verdict, job.due, job.sent, finished)

    def failed(self, connection: Connection, fault: str) -> None:
        """A connection ended; another takes its place."""
        self.open_connections -= 1
        job = self._jobs.pop(connection, None)
        if self._over:
            return
        if job is not None:
            self._settled += 1
            self._settled_at = self._clock()
            self.recorder.faulted(fault, job.due, self._settled_at)
        elif connection in self._idle:
            self._idle.remove(connection)
        self._reopen()

    # The two loops.

    async def _run_closed(self) -> None:
        for connection in tuple(self._idle):
            self._idle.remove(connection)
            self._next_on(connection)
        while not self._closed_is_over():
            await asyncio.sleep(_PROGRESS_S if self._total is None else 0.01)
            self._tell_progress()
        await self._settle()

    def _closed_is_over(self) -> bool:
        if self._total is not None:
            return self._settled >= self._total or self._clock() - self._settled_at > self._silence_s
        assert self._phase.duration_s is not None
        return self._clock() - self._started >= self._phase.duration_s

    async def _run_open(self, rate_per_s: float) -> None:
        assert self._total is not None
        in_a_row = 0
        while self._taken < self._total:
            in_a_row += 1
            if in_a_row == _SENDS_IN_A_ROW:
                # One that is behind must still hear answers, or it would stay behind.
                in_a_row = 0
                await asyncio.sleep(0)
            now = self._clock()
            due = self._started + self._taken / rate_per_s
            if due > now:
                # Less than a tick of the loop's timers would be no sleep at all: the harness would spin the server's CPU away.
                await asyncio.sleep(max(_TIMER_S, due - now))
                self._tell_progress()
                continue
            self._taken += 1
            job = Job(next(self._requests), due)
            if self._idle:
                self._start(self._idle.popleft(), job)
            else:
                self._waiting.append(job)
        await self._settle()

    async def _settle(self) -> None:
        deadline = self._clock() + self._drain_s
        while (self._jobs or self._waiting) and self._clock() < deadline:  # noqa: ASYNC110 - an event would cost time
            await asyncio.sleep(0.005)

    def _next_on(self, connection: Connection) -> None:
        """Give an idle connection what there is to do."""
        if self._rate_per_s is None:
            if self._over or self._is_all_taken():
                self._idle.append(connection)
                return
            self._taken += 1
            self._start(connection, Job(next(self._requests), self._clock()))
            return
        self._give_up(self._clock() - self._patience_s)
        if self._waiting:
            self._start(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _give_up(self, due_before: float) -> None:
        """Drop what has waited for a connection since then."""
        while self._waiting and self._waiting[0].due < due_before:
            self._waiting.popleft()
            self.recorder.given_up += 1

    def _is_all_taken(self) -> bool:
        return self._closed_is_over() or (self._total is not None and self._taken >= self._total)

    def _start(self, connection: Connection, job: Job) -> None:
        self._jobs[connection] = job
        job.sent = self._clock()
        connection.send(job.request.wire)

    # Connections.

    async def _open_first(self, gate: asyncio.Semaphore) -> None:
        async with gate:
            if (connection := await self._connect()) is not None:
                self._idle.append(connection)
            else:
                self._reopen()

    def _reopen(self) -> None:
        task = asyncio.get_running_loop().create_task(self._reopened())
        self._reopening.add(task)
        task.add_done_callback(self._reopening.discard)

    async def _reopened(self) -> None:
        """Another connection in place of one that ended; tries on while there is nobody."""
        pause_s = 0.0
        while not self._over:
            if (connection := await self._connect()) is not None:
                self._next_on(connection)
                return
            # A caller whose connection is refused tries again soon, but does not hammer.
            pause_s = min(0.25, pause_s + 0.05)
            await asyncio.sleep(pause_s)

    async def _connect(self) -> Connection | None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                connection = await self._addresses.take().open(lambda: Connection(self))
        except (OSError, TimeoutError):
            # No request was lost by it: in a closed loop none was made, in an open one it waits for a connection.
            self.recorder.refused_connections += 1
            self._addresses.look_again()
            return None
        self.open_connections += 1
        return connection

    def _tell_progress(self) -> None:
        now = self._clock()
        if now - self._told_at < _PROGRESS_S:
            return
        self._told_at = now
        if self._total is not None:
            self._progress(self._taken / self._total)
        elif self._phase.duration_s is not None:
            self._progress(min(1.0, (now - self._started) / self._phase.duration_s))
