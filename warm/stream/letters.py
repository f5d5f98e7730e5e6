"""The dead letters of a topic, each once, with what became of it; and putting them back into their topic."""

from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

from app.market.following import StreamWriter
from app.market.marks import DeadMark, Settled
from warm.stream.dead_letters import DeadLetter, read_dead_letter, topic_of_dead_letters
from warm.stream.log import BYTES_MAX, MESSAGES_MAX, Log, Outgoing, size_of
from warm.stream.reading import messages_now


class Letter(NamedTuple):
    """A dead letter, when it was written first, and what became of it (None: nothing yet)."""

    letter: DeadLetter
    at_ms: int
    settled: Settled | None

    @property
    def name(self) -> str:
        """As people call it: where its message stood."""
        topic, _, partition, offset = self.letter.origin
        return f"{topic}/{partition}/{offset}"

    @property
    def mark(self) -> DeadMark:
        """As the market store calls it."""
        return DeadMark(*self.letter.origin.identity)


def letters_of(log: Log, topic: str, writer: StreamWriter) -> list[Letter]:
    """All that there are now, in the order in which they were written; what somebody else put there is none.

    Raises:
        LogError: the log cannot be read.
        MarketError: the market store cannot.
    """
    settled, found = writer.dead_letters(), dict[DeadMark, Letter]()
    dead = topic_of_dead_letters(topic)
    for message in chain.from_iterable(messages_now(log, dead)):
        letter = read_dead_letter(message)
        if letter is not None:
            mark = DeadMark(*letter.origin.identity)
            found.setdefault(mark, Letter(letter, message.timestamp_ms, settled.get(mark)))
    return list(found.values())


def replay(log: Log, letters: Iterable[Letter], writer: StreamWriter) -> int:
    """Put the messages of ``letters``, each whole, back into their topics, in this order, and mark them; how many. Killed
    between the two, it puts them there once more the next time, where they change nothing.
    """
    parts, size = [list[Letter]()], 0
    for each in letters:
        message = each.letter.message
        if parts[-1] and (
            size + size_of(message) > BYTES_MAX
            or len(parts[-1]) == MESSAGES_MAX
            or parts[-1][-1].letter.origin.topic != each.letter.origin.topic
        ):
            parts.append([])
            size = 0
        parts[-1].append(each)
        size += size_of(message)
    for part in filter(None, parts):
        messages: list[Outgoing] = [each.letter.message for each in part]
        log.append(part[0].letter.origin.topic, messages)
        writer.settle([each.mark for each in part], "replayed")
    return sum(map(len, parts))
