"""Who follows what: the followed symbols with their followers, which of them are due, and who follows all symbols."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from app.answering.listing import ListSymbols
from app.errors import Problem, invalid
from app.push.events import F, Followed
from app.push.subscriber import Subscriber
from app.slices import SLICE

T = TypeVar("T", bound=Followed)  # type: ignore[type-arg]


class Audience(Generic[T, F]):
    """Belongs to the hub. ``left`` has how many of the changes under way each subscriber is still to be told.

    ``follows`` gives what a subscriber follows, ``topic`` makes that of a symbol, and ``follow`` what a subscriber has of one
    that it spelled so, and may have had before.
    """

    def __init__(
        self,
        max_symbols: int,
        follows: Callable[[Subscriber], dict[str, F]],
        topic: Callable[[str], T],
        follow: Callable[[Subscriber, T, str, F | None], F],
    ) -> None:
        self.max_symbols = max_symbols
        self._follows = follows
        self._topic = topic
        self._follow = follow
        self.topics: dict[str, T] = {}
        self.left: dict[Subscriber, int] = {}
        self.everything: dict[Subscriber, set[str]] = {}
        """Who follows all symbols, and which of them it has no more to do with."""
        self.unlisted = False
        """Whether something may have come into the universe since it was listed."""
        self._due: dict[str, None] = {}
        self._all_due = False
        self._newcomers: dict[str, None] = {}

    @property
    def is_due(self) -> bool:
        """Whether anything is to be decided."""
        return self._all_due or bool(self._due)

    async def everything_now(self, list_symbols: ListSymbols, field: str) -> dict[str, str]:
        """The whole universe, to be followed.

        Raises:
            Problem: 422 naming ``field`` if that is more than one may follow, 503 if L2 does not list it.
        """
        symbols = await list_symbols()
        if len(symbols) > self.max_symbols:
            there = f"{field} is '*', and {len(symbols)} symbols are loaded"
            raise invalid(field, f"{there}; allowed: up to {self.max_symbols} (STREAM_MAX_SYMBOLS)")
        return {symbol: symbol for symbol in symbols}

    def follow(self, subscriber: Subscriber, asked: Mapping[str, str]) -> None:
        """It follows the symbols of ``asked`` (canonical to as spelled)."""
        follows = self._follows(subscriber)
        for symbol, requested in asked.items():
            topic = self.topics.get(symbol)
            if topic is None:
                topic = self.topics[symbol] = self._topic(symbol)
            follow = self._follow(subscriber, topic, requested, follows.get(symbol))
            follows[symbol] = topic.followers[subscriber] = follow
        # Of the changes that are being told just now it is not known any more which of them it has yet to be told.
        self.left.pop(subscriber, None)

    def forget(self, subscriber: Subscriber, symbols: Iterable[str]) -> list[str]:
        """It follows these no longer; those that it did follow."""
        follows = self._follows(subscriber)
        forgotten = [symbol for symbol in dict.fromkeys(symbols) if follows.pop(symbol, None) is not None]
        for symbol in forgotten:
            topic = self.topics[symbol]
            del topic.followers[subscriber]
            if not topic.followers:
                del self.topics[symbol]
                self._due.pop(symbol, None)
        if subscriber in self.everything:
            self.everything[subscriber].update(forgotten)
        return forgotten

    def changed(self, symbols: Iterable[str], withdrawn: Iterable[str], number: int) -> None:
        """With change ``number`` these are due; of those that were ``withdrawn`` nothing counts that was looked up before."""
        for symbol in symbols:
            if symbol in self.topics:
                self._due[symbol] = None
            if self.everything:
                self._newcomers[symbol] = None
        for symbol in self.topics.keys() & withdrawn:
            self.topics[symbol].begin_anew(number)

    def all_changed(self) -> None:
        """All that is followed is due, and there may be more."""
        self._all_due = self.unlisted = True

    def owe(self, symbol: str) -> None:
        """It is due again."""
        self._due[symbol] = None

    def take_due(self) -> list[str]:
        """What is due now, which then is so no more."""
        due = list(self.topics) if self._all_due else list(self._due)
        self._due, self._all_due = {}, False
        return due

    def give_back(self, due: Iterable[str]) -> None:
        """It was not told: twice is better than never."""
        self._due = dict.fromkeys(due) | self._due

    async def welcome(self, list_symbols: ListSymbols, again: Callable[[], None]) -> list[tuple[Subscriber, str]]:
        """Have those who follow everything follow what changed, or has come into the universe. Who had no room for which. If L2
        does not list it, ``again`` is told so.
        """
        universe: list[str] = []
        if self.unlisted and self.everything:
            try:
                universe = await list_symbols()
            except Problem:
                again()
            else:
                self.unlisted = False
        newcomers, self._newcomers = self._newcomers | dict.fromkeys(universe), {}
        crowded, looked_at = [], 0
        for symbol in newcomers:
            for subscriber, declined in tuple(self.everything.items()):
                looked_at += 1
                follows = self._follows(subscriber)
                if symbol in follows or symbol in declined or subscriber not in self.everything:
                    continue
                if len(follows) < self.max_symbols:
                    self.follow(subscriber, {symbol: symbol})
                    self._due[symbol] = None
                else:
                    declined.add(symbol)
                    crowded.append((subscriber, symbol))
            if looked_at > SLICE:
                looked_at = 0
                await asyncio.sleep(0)
        return crowded

    async def count(self, due: Iterable[str], subscribers: Iterable[Subscriber]) -> list[T]:
        """The topics of these symbols, and in `left` how many of them each subscriber is to be told: with the last it has been
        told everything up to the position.
        """
        left = self.left = {each: 0 for each in subscribers if not each.joining}
        topics, looked_at = [], 0
        for symbol in due:
            topic = self.topics.get(symbol)
            if topic is None:
                continue
            topics.append(topic)
            for subscriber in topic.followers:
                if subscriber in left:
                    left[subscriber] += 1
                    subscriber.settled = True
            looked_at += 1 + len(topic.followers)
            if looked_at > SLICE:
                looked_at = 0
                await asyncio.sleep(0)
        return topics

    def count_down(self, subscriber: Subscriber) -> bool:
        """It has been told one more: whether that was the last one."""
        still = self.left.get(subscriber, 0) - 1
        if subscriber in self.left:
            self.left[subscriber] = still
        return still == 0
