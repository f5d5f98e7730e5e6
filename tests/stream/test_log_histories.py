"""Any history of a log: whatever writers, a reader, trims and restarts do in whatever order."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stream.places import TOPIC, Place
from warm.stream.log import OffsetOutOfRange, Outgoing, Reader

_PARTITIONS = 3
_KEYS = st.lists(st.sampled_from([None, b"A", b"B", b"C", b"D"]), max_size=12)
_PART = st.integers(0, _PARTITIONS - 1)
_STEP = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 1), _KEYS),
    st.tuples(st.just("append many"), st.integers(0, 1), st.integers(200, 600)),
    st.tuples(st.just("poll"), st.integers(1, 400)),
    st.tuples(st.just("seek"), _PART, st.floats(0, 1)),
    st.tuples(st.just("trim"), _PART, st.floats(0, 1)),
    st.tuples(st.just("restart writer"), st.integers(0, 1)),
    st.tuples(st.just("restart reader")),
)


class _History:
    """A log, and what it should have: each partition's values, from which offset on, and where its reader should be."""

    def __init__(self, place: Place) -> None:
        self.place, self.writers = place, [place.log(), place.log()]
        self.written: defaultdict[int, list[bytes]] = defaultdict(list)
        self.low, self.expected = [0] * _PARTITIONS, [0] * _PARTITIONS
        self.numbers = count()
        self.writers[0].create(TOPIC, _PARTITIONS)
        self.reader = self._read()

    def _read(self) -> Reader:
        return self.place.reader(begin=lambda partition: self.expected[partition.partition])

    def step(self, name: str, *arguments: object) -> None:
        """One of `_STEP`."""
        getattr(self, f"_{name.replace(' ', '_')}")(*arguments)

    def _append(self, writer: int, keys: list[bytes | None]) -> None:
        messages = [Outgoing(key, str(next(self.numbers)).encode()) for key in keys]
        for (partition, offset), message in zip(self.writers[writer].append(TOPIC, messages), messages, strict=True):
            assert offset == len(self.written[partition])
            self.written[partition].append(message.value or b"")

    def _append_many(self, writer: int, size: int) -> None:
        self._append(writer, [b"A"] * size)

    def _poll(self, most: int) -> None:
        try:
            messages = self.reader.poll(most, 0)
        except OffsetOutOfRange as error:
            self._was_overtaken(error)
            return
        assert len(messages) <= most
        for each in messages:
            part = each.partition.partition
            assert (each.offset, each.value) == (self.expected[part], self.written[part][each.offset])
            self.expected[part] += 1
        assert messages or all(at == len(self.written[part]) for part, at in enumerate(self.expected))

    def _was_overtaken(self, error: OffsetOutOfRange) -> None:
        part = error.partition.partition
        assert error.offset == self.expected[part] < self.low[part] == error.watermarks.low
        self.reader.seek(error.partition, error.watermarks.low)
        self.expected[part] = error.watermarks.low

    def _seek(self, part: int, share: float) -> None:
        self._poll(1)
        to = round(self.low[part] + share * (len(self.written[part]) - self.low[part]))
        self.reader.seek(next(each for each in self.reader.positions if each.partition == part), to)
        self.expected[part] = to

    def _trim(self, part: int, share: float) -> None:
        before = round(share * len(self.written[part]))
        partition = next(each for each in self.writers[0].watermarks(TOPIC) if each.partition == part)
        self.writers[0].trim(partition, before)
        self.low[part] = max(self.low[part], before)

    def _restart_writer(self, writer: int) -> None:
        self.writers[writer].close()
        self.writers[writer] = self.place.log()

    def _restart_reader(self) -> None:
        self.reader.close()
        self.reader = self._read()

    def finish(self) -> None:
        """All that is there is read."""
        while self.expected != [len(self.written[part]) for part in range(_PARTITIONS)]:
            self._poll(1_000)
        marks = {each.partition: marks for each, marks in self.writers[1].watermarks(TOPIC).items()}
        assert [marks[part].low for part in range(_PARTITIONS)] == self.low
        assert [marks[part].high for part in range(_PARTITIONS)] == self.expected


def test_any_history_gives_each_message_once_and_in_order(make_log_place: Callable[[], Place]) -> None:
    with closing(make_log_place()) as first:
        examples = first.examples

    @settings(max_examples=examples)
    @given(steps=st.lists(_STEP, max_size=25))
    def check(steps: list[tuple[str, ...]]) -> None:
        with closing(make_log_place()) as place:
            history = _History(place)
            for name, *arguments in steps:
                history.step(name, *arguments)
            history.finish()

    check()
