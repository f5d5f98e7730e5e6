"""Meters that only count."""

from collections import Counter

from app.store.protocol import RunInfo


class CountingMeters:
    """`TierMeters` and `FeedMeters` as one counter."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.runs: list[str] = []
        self.delays_s: list[float] = []

    def cache_get(self, tier: str, result: str, count: int = 1) -> None:
        """Counted by tier and result."""
        self.counts[f"{tier} {result}"] += count

    def store_read(self, seconds: float, symbols: int, *, failed: bool) -> None:
        """Counted with its symbols."""
        assert seconds >= 0
        self.counts["reads failed" if failed else "reads"] += 1
        self.counts["symbols read"] += symbols

    def record_fault(self, reason: str) -> None:
        """Counted by reason."""
        self.counts[f"fault {reason}"] += 1

    def feed_applied(self, symbols: int, *, lost: bool, delay_s: float | None) -> None:
        """Counted with its symbols; delays kept in order."""
        if delay_s is not None:
            self.delays_s.append(delay_s)
        self.counts["feed symbols"] += symbols
        self.counts["feed lost"] += lost

    def feed_failed(self) -> None:
        """Counted."""
        self.counts["feed failed"] += 1

    def run_seen(self, info: RunInfo) -> None:
        """Kept in order."""
        self.runs.append(info.run)
