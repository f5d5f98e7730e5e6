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
that it puts there; what it skipped it abstained from.
"""

from collections.abc import Iterator
from typing import Any

from warm.agents.collecting import PERCENT, Collector, Entry, Judged, Unusable, member, number_in, text_of, word_of
from warm.agents.rows import LABEL_MAX, Context, Imported, clean_text
from warm.files import Source, parse_json

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
    if source.kind == "lines":
        lines = source.content().removeprefix(b"\xef\xbb\xbf").splitlines()
        documents = [parse_json(source, line, number) for number, line in enumerate(lines, 1) if line.strip()]
    else:
        documents = [source.json]
    collector = Collector(source, context)
    records = 0
    for document in documents:
        for part in _parts(document):
            if not detects(part):
                raise source.refuse("no cycle record, signal or cached answer (fund and as_of; model_name, ticker and value; …)")
            if _is_record(part):
                records += 1
                _add_record(source, part, collector)
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


def _add_record(source: Source, record: dict[str, Any], collector: Collector) -> None:
    as_of, fund = record["as_of"], f"fund:{record['fund']}"
    strategies = record.get("strategies") or [{"signals": record.get("signals")}]
    for part, name in ((strategies, "strategies"), (record.get("skipped") or [], "skipped")):
        if not isinstance(part, list):
            raise source.refuse(f"{name!r} is no array")
    weights = record.get("final_weights") or {}
    if not isinstance(weights, dict):
        raise source.refuse("'final_weights' is no object")
    for strategy in strategies:
        for signal in member(strategy, "signals") or []:
            if not isinstance(signal, dict):
                raise source.refuse("a signal is no object")
            collector.add(_signal({"date": as_of, **signal}))
    for symbol, weight in weights.items():
        collector.add(Entry(fund, symbol, as_of, lambda weight=weight: _weighed(weight)))  # type: ignore[misc]
    for skip in record.get("skipped") or []:
        reason = clean_text(text_of(member(skip, "reason")), LABEL_MAX)
        collector.add(Entry(fund, member(skip, "ticker"), as_of, lambda reason=reason: Judged("abstained", reason=reason)))  # type: ignore[misc]


def _weighed(weight: object) -> Judged:
    share = number_in(weight, "weight", -1e6, 1e6)
    if share is None:
        raise Unusable("missing_value", "weight", weight)
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
    if member(metadata, "abstained") is True:
        return Judged("abstained", reason=clean_text(text_of(member(metadata, "abstain_reason")), LABEL_MAX))
    value = number_in(signal.get("value"), "value", -1, 1)
    if value is None:
        raise Unusable("missing_value", "value", None)
    word, confidence = member(metadata, "signal"), number_in(member(metadata, "confidence"), "confidence", 0, PERCENT)
    if word is None or confidence is None:
        return Judged("view", value)
    return Judged("view", word_of(word, "signal"), confidence / PERCENT)


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
    if parsed is None:
        return Judged("failed", reason=clean_text(f"parse error: {text_of(answer.get('parse_error'))}", LABEL_MAX))
    view = word_of(member(parsed, "signal"), "signal")
    confidence = number_in(member(parsed, "confidence"), "confidence", 0, PERCENT)
    return Judged("view", view, None if confidence is None else confidence / PERCENT)


def _hash(prompt: object, snapshot: object) -> str | None:
    """The hash of the prompt if there is one, else that of the data, and which of the two it is."""
    if prompt is not None:
        return clean_text(f"prompt:{text_of(prompt)}", HASH_MAX)
    return None if snapshot is None else clean_text(f"snapshot:{text_of(snapshot)}", HASH_MAX)


HASH_MAX = 80
"""Characters of a hash: SHA-256 in hex, and which it is."""
