"""Short ways to make price files and to run the job in this process."""

import io
import json
from collections.abc import Sequence
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.kit.store import FakeStore
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
        views = [view for symbol in store.rows for view in store.views(symbol, report["run"]).values()]
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
