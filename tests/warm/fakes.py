"""What warm's tests share: a store in memory, and short ways to make price files and run the job."""

import io
import json
from collections.abc import Sequence
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.domain.records import AGENTS, KINDS, PRICE
from app.domain.vector import AgentView, PriceRecord
from app.errors import StoreError
from app.store.codec import decode
from app.store.protocol import Changes, Published, Row, RunInfo, Stored, Withdrawn
from tests.kit.records import raw_of
from warm.__main__ import main
from warm.calendar.sessions import open_session
from warm.files.agents.tally import STATUSES
from warm.files.prices.reader import Reckoning

SAMPLE_PRICES = Path(__file__).parents[2] / "data" / "prices"
SAMPLE_AGENTS = Path(__file__).parents[2] / "data" / "agents"

NEW_YORK = open_session("America/New_York", "16:00", "1d")
NOW_MS = 1_400_000_000_000
"""2014-05-13: after everything in the sample."""

LAST_CLOSE_MS = 1_362_171_600_000
"""2013-03-01T21:00:00Z: the sample's last close."""

RECKONING = Reckoning(session=NEW_YORK, now_ms=NOW_MS)

HEADER = "symbol,date,open,high,low,close,volume\n"


class FakeStore:
    """A `Store` of one dictionary that keeps newer records, and can be told to fail."""

    kind = "fake"

    def __init__(self, *, fails: bool = False) -> None:
        self.records: dict[str, Row] = {}
        self.info: RunInfo | None = None
        self.fails = fails
        self.publications = 0
        self.closed = False

    async def publish_run(self, rows: Sequence[Row], info: RunInfo, *, prune: bool = False) -> Published:
        """Never backwards, all at once."""
        if self.fails:
            raise StoreError("unreachable", "told to fail")
        self.publications += 1
        written = kept_newer = pruned = 0
        for row in rows:
            held = dict(self.records.get(row.symbol, Row(row.symbol, {})).records)
            for kind in ("price", "agents"):
                new = row.records.get(kind)
                if new is None:
                    continue
                if kind in held and held[kind].as_of_ms > new.as_of_ms:
                    kept_newer += 1
                    continue
                written += 1
                held[kind] = new
                if kind == "price":
                    held.pop("history", None)
                    held |= {"history": row.records["history"]} if "history" in row.records else {}
            self.records[row.symbol] = Row(row.symbol, held)
        if prune:
            for symbol in self.records.keys() - {row.symbol for row in rows}:
                del self.records[symbol]
                pruned += 1
        self.info = info
        return Published(written, kept_newer, pruned, str(self.publications))

    async def withdraw(self, *, symbols: Sequence[str] = (), run: str = "") -> Withdrawn:
        """Every record that ``run`` wrote; symbols are not asked for by the warm job."""
        assert not symbols
        gone = []
        for symbol, row in list(self.records.items()):
            lost = [
                each.name
                for kind in KINDS.of_runs
                if kind.name in row.records and decode(kind, row.records[kind.name].value, symbol).run == run
                for each in (kind, *KINDS.parts_of(kind))
            ]
            if lost:
                gone.append(symbol)
                left = {kind: record for kind, record in row.records.items() if kind not in lost}
                self.records[symbol] = Row(symbol, left)
                if not left:
                    del self.records[symbol]
        return Withdrawn(tuple(sorted(gone)), {}, (run,), (), len(self.records), 0, "", "", "")

    async def get_many(self, symbols: Sequence[str]) -> list[Stored]:
        """Not asked by the warm job."""
        raise NotImplementedError

    async def record(self, kind: str, key: str) -> bytes | None:
        """As it was published."""
        return raw_of(self.records[key], kind)

    async def run_info(self) -> RunInfo | None:
        """The last publication's."""
        return self.info

    async def symbols(self) -> list[str]:
        """What there is."""
        return sorted(self.records)

    async def feed_position(self) -> str:
        """Not asked by the warm job."""
        raise NotImplementedError

    async def changes(self, after: str, wait_s: float) -> Changes:
        """Not asked by the warm job."""
        raise NotImplementedError

    async def changes_since(self, after: str) -> Changes:
        """Not asked by the warm job."""
        raise NotImplementedError

    async def ping(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def price(self, symbol: str) -> PriceRecord:
        """The price record of ``symbol``, decoded and checked as the server does."""
        raw = raw_of(self.records[symbol], "price")
        assert raw is not None
        return decode(PRICE, raw, symbol)

    def views(self, symbol: str, run: str | None = None) -> dict[str, AgentView]:
        """The agent views of ``symbol`` by agent; those of ``run`` alone if it is given."""
        raw = raw_of(self.records[symbol], "agents")
        record = None if raw is None else decode(AGENTS, raw, symbol)
        return {} if record is None or run not in (None, record.run) else {view.agent: view for view in record.views}


class Outcome:
    """What one run of the command line did."""

    def __init__(self, code: int, lines: list[dict[str, Any]], text: str, store: FakeStore) -> None:
        self.code, self.lines, self.text, self.store = code, lines, text, store
        self.report: dict[str, Any] = lines[-1] if lines else {}

    @property
    def stages(self) -> list[str]:
        """Stages in the order they were announced."""
        return [line["stage"] for line in self.lines if line["event"] == "stage"]

    def reasons(self) -> dict[str, int]:
        """Counts of rejected price rows by reason."""
        return {reason: body["count"] for reason, body in self.report["reject_reasons"].items()}


def check_sums(report: dict[str, Any], store: FakeStore) -> None:
    """See that a report's sums agree, as a whole and for each file, and that what it calls used is what the store got."""
    for each in (report, *(file for file in report.get("files", []) if file["kind"] == "agents")):
        if "agent_fates" not in each:
            continue
        rows = each["agent_rows"] if each is report else each["rows"]
        assert rows == each["views"] + each["abstained"] + each["failed"]
        for name in ("views", "abstained", "failed"):
            assert each[name] == sum(each["agent_fates"][name].values())
        assert each["views_used"] == each["agent_fates"]["views"]["used"]
    if report.get("status") == "published" and not report["kept_newer"]:
        views = [view for symbol in store.records for view in store.views(symbol, report["run"]).values()]
        for name, status in STATUSES.items():
            assert sum(view.status == status for view in views) == report["agent_fates"][name]["used"]
        assert sum(view.status == "summary" for view in views) == report["agent_fates"]["views"]["summary"]


def warm(*arguments: object, store: FakeStore | None = None, now_ms: int = NOW_MS, run: str | None = "run-1") -> Outcome:
    """Run the command line in this process with its clock, run id and store given, and read its JSON lines."""
    store = FakeStore() if store is None else store
    stream = io.StringIO()
    with redirect_stderr(stream):
        code = main([str(each) for each in arguments], now_ms=now_ms, run=run, open_store=lambda: store)
    text = stream.getvalue()
    outcome = Outcome(code, [json.loads(line) for line in text.splitlines()], text, store)
    check_sums(outcome.report, store)
    return outcome


def put(path: Path, content: bytes | str) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def utc(*moment: int) -> int:
    """A moment in milliseconds."""
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type, misc]


def good_rows(count: int, symbol: str = "AAA") -> list[str]:
    """``count`` CSV rows of one symbol that pass validation, from 2012-01-01 on, weekends too."""
    rows = []
    for number in range(count):
        day = f"{2012 + number // 336}-{number % 336 // 28 + 1:02}-{number % 28 + 1:02}"
        close = 100 + number % 7 - number % 3
        rows.append(f"{symbol},{day},{close - 0.5},{close + 2},{close - 3},{close},{1000 + 10 * (number % 11)}")
    return rows


def write_csv(path: Path, rows: Sequence[str], header: str = HEADER) -> Path:
    """Write a price file."""
    path.write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path
