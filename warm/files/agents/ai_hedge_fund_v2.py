"""ai-hedge-fund (https://github.com/virattt/ai-hedge-fund), version 2: cycle records, backtests, signals, and its prompt cache.

* A *cycle record* is one tick of a fund: ``fund, as_of, skipped[{ticker, reason}], strategies[{name, signals, …}]`` (older ones
  have ``signals`` at the top), ``final_weights``. A run writes one, a backtest ``{"records": […]}``.
* A *signal* is ``model_name, ticker, date, value`` in [-1, 1], ``reasoning, metadata{signal, confidence 0-100, model, prompt_key,
  snapshot_hash, abstained}``. A model that is asked in words gives signal and confidence, and ``value`` is their product: the
  view is then the word's and the confidence its own. A computed one has only ``value``, which is the view. ``value`` 0 with
  ``abstained`` is an abstention and no neutral view.
* The *prompt cache* has one file an answer: ``agent, model, ticker, as_of, snapshot_hash, parsed{signal, confidence,
  reasoning}``, or ``parse_error`` in place of ``parsed``: a failure.

The fund itself is an agent too, ``fund:NAME``: its view is the sign of its final weight, its confidence the share of the capital
that it puts there, and a summary of the signals that it rests on; what it skipped it abstained from.
"""

from collections.abc import Iterator
from typing import Any

from warm.files.agents.collecting import Collector, Entry, Judged, Unusable, member, number_in, percent_in, text_of, word_of
from warm.files.agents.rows import LABEL_MAX, Context, Imported, clean_text
from warm.files.read import Source

_SIGNAL = {"model_name", "ticker", "value"}
_CACHED = {"agent", "ticker", "as_of"}


def detects(document: object) -> bool:
    """Whether a document is of any of the shapes above, or a list of them."""
    if isinstance(document, list):
        return bool(document) and not isinstance(document[0], list) and detects(document[0])
    if not isinstance(document, dict):
        return False
    keys = set(document)
    if keys >= _SIGNAL or (keys >= _CACHED and keys & {"parsed", "parse_error"}):
        return True
    records = document.get("records")
    if isinstance(records, list):
        return not records or detects(records[0])
    return _is_record(document)


def _is_record(document: dict[str, Any]) -> bool:
    return {"fund", "as_of"} <= document.keys() and bool(document.keys() & {"strategies", "signals", "final_weights"})


def read(source: Source, context: Context) -> Imported:
    """The file's signals, and its fund's weights.

    Raises:
        InputRefused: no valid JSON, or not of this shape.
    """
    collector = Collector(source, context)
    records = 0
    for document in source.documents():
        for part in _parts(document):
            if not detects(part):
                raise source.refuse("no cycle record, signal or cached answer (fund and as_of; model_name, ticker and value; …)")
            if _is_record(part):
                records += 1
                _add_record(source, part, collector, records)
            else:
                collector.add(_cached(part) if part.keys() >= _CACHED else _signal(part))
    return collector.imported(records=records or None)


def _parts(document: object) -> Iterator[Any]:
    if isinstance(document, list):
        yield from document
    elif isinstance(records := member(document, "records"), list):
        yield from records
    else:
        yield document


def _add_record(source: Source, record: dict[str, Any], collector: Collector, run: int) -> None:
    as_of, name = record["as_of"], record["fund"]
    fund = f"fund:{name}" if isinstance(name, str) and name else None
    strategies = _array(source, record, "strategies") or [record]
    weights = record.get("final_weights")
    if not isinstance(weights, dict | None):
        raise source.refuse("'final_weights' is no object")
    spoken: dict[object, bool] = {}
    for strategy in strategies:
        for signal in _array(source, strategy, "signals"):
            if not isinstance(signal, dict):
                raise source.refuse("a signal is no object")
            collector.add(_signal({"date": as_of, **signal})._replace(run=run))
            ticker = text_of(signal.get("ticker"))
            spoken[ticker] = spoken.get(ticker, False) or not _abstained(signal.get("metadata"))
    for symbol, weight in (weights or {}).items():
        silent = not spoken.get(symbol, True)
        weighed = Entry(fund, symbol, as_of, lambda weight=weight, silent=silent: _weighed(weight, silent=silent))  # type: ignore[misc]
        collector.add(weighed._replace(sums_up=True, run=run))
    for skip in _array(source, record, "skipped"):
        reason = clean_text(text_of(member(skip, "reason")), LABEL_MAX)
        collector.add(Entry(fund, member(skip, "ticker"), as_of, lambda reason=reason: Judged("abstained", reason=reason)))  # type: ignore[misc]


def _array(source: Source, holder: object, name: str) -> list[Any]:
    part = member(holder, name)
    if not isinstance(part, list | None):
        raise source.refuse(f"{name!r} is no array")
    return part or []


def _weighed(weight: object, *, silent: bool) -> Judged:
    """A weight's view; a weight of nothing where every signal abstained (``silent``) is no neutral view."""
    share = number_in(weight, "weight", -1e6, 1e6)
    if share is None:
        raise Unusable("missing_value", "weight", weight)
    if share == 0 and silent:
        return Judged("abstained", reason="all_abstained")
    return Judged("view", float((share > 0) - (share < 0)), min(1.0, abs(share)))


def _signal(signal: dict[str, Any]) -> Entry:
    metadata = signal.get("metadata")
    return Entry(
        signal.get("model_name"),
        signal.get("ticker"),
        signal.get("date"),
        lambda: _judged(signal, metadata),
        member(metadata, "model"),
        signal.get("reasoning"),
        _hash(member(metadata, "prompt_key"), member(metadata, "snapshot_hash")),
    )


def _judged(signal: dict[str, Any], metadata: object) -> Judged:
    if _abstained(metadata):
        reason = clean_text(text_of(member(metadata, "abstain_reason")), LABEL_MAX)
        # The program calls it an abstention too when its model failed; its own prompt cache calls the same a parse error.
        failed = reason is not None and reason.lower().startswith(_FAILED)
        return Judged("failed" if failed else "abstained", reason=reason)
    value = number_in(signal.get("value"), "value", -1, 1)
    if value is None:
        raise Unusable("missing_value", "value", None)
    word, confidence = member(metadata, "signal"), percent_in(member(metadata, "confidence"))
    if word is None or confidence is None:
        return Judged("view", value)
    return Judged("view", word_of(word, "signal"), confidence)


def _abstained(metadata: object) -> bool:
    return member(metadata, "abstained") in (True, 1, "true", "True")


_FAILED = ("llm call failed", "parse failed")


def _cached(answer: dict[str, Any]) -> Entry:
    parsed = answer.get("parsed")
    return Entry(
        answer.get("agent"),
        answer.get("ticker"),
        answer.get("as_of"),
        lambda: _parsed(answer, parsed),
        answer.get("model"),
        member(parsed, "reasoning"),
        _hash(answer.get("prompt_key"), answer.get("snapshot_hash")),
    )


def _parsed(answer: dict[str, Any], parsed: object) -> Judged:
    if parsed is None or answer.get("parse_error") is not None:
        return Judged("failed", reason=clean_text(f"parse error: {text_of(answer.get('parse_error'))}", LABEL_MAX))
    view = word_of(member(parsed, "signal"), "signal")
    return Judged("view", view, percent_in(member(parsed, "confidence")))


def _hash(prompt: object, snapshot: object) -> str | None:
    """The hash of the prompt if there is one, else that of the data, and which of the two it is."""
    if prompt is not None:
        return clean_text(f"prompt:{text_of(prompt)}", HASH_MAX)
    return None if snapshot is None else clean_text(f"snapshot:{text_of(snapshot)}", HASH_MAX)


HASH_MAX = 80
"""Characters of a hash: SHA-256 in hex, and which it is."""
