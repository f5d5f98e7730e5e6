"""A decision in prose: what a language model's report asks for, or that it asks for nothing that can be told.

One rule, of which ``data/formats/prose.md`` has the whole: only the writer's own final decision counts; two that contradict each
other are none; never the opposite sign. A text without a decision is a failure for the caller to tell; it is never a hold. Where
in doubt there is none: a missing view does less harm than a wrong one.
"""

import re

from warm.agents.labels import (
    ACTION,
    LABELS_MAX,
    PROPOSAL,
    RATING,
    Found,
    Spoilt,
    find_labels,
    find_proposals,
    without_json,
)
from warm.agents.markup import TEXT_MAX, plain
from warm.agents.ratings import MOVED, MOVED_CHINESE, RATINGS, WORD, is_of, read_value, sign
from warm.agents.sentences import said

FREE_MAX = 10_000
"""Characters of free text that are read: a decision without a label stands at the end."""

_FIRST = re.compile(
    rf"(?:_|[^\w\"'“‘「>|])*(?P<moved>(?:(?:we|i)(?: are|['’](?:re|m|ve)| have)? )?{MOVED}|(?:首次覆盖,?)?(?:给予|维持|重申)"
    rf"|(?:我们)?(?:将?评级)?{MOVED_CHINESE})?(?P<word>{WORD})",
    re.IGNORECASE,
)
_SUBJECT = re.compile(r"(?:_|[^\w\"'“‘「>|])*([A-Z0-9][A-Z0-9.:=/-]{0,11})[*_]{0,3} ?(?::|[—–-](?= ))")
_ENUMERATED = re.compile(rf"^[ \t*_#>\d.)-]{{0,12}}(?P<word>{WORD})[*_ \t]{{0,4}}[:(]", re.IGNORECASE | re.MULTILINE)
_REVOKED = re.compile(
    r"(?:reject|disagree with|overrule|override|withdraw|retract|revoke|scrap|ignore)s? (?:this|that|the above)"
    r" (?:rating|recommendation|decision|call|proposal)"
    r"|(?:this|that|the above) (?:is|was) (?:an? |only an? |just an? )?(?:example|template|the trader|wrong)",
    re.IGNORECASE,
)
_ALONE = re.compile(rf"[\W_]{{0,12}}(?P<word>{WORD})[\W_]{{0,12}}", re.IGNORECASE)
_CORRECTING = (
    *("correct", "update", "edit", "errat", "second thought", "reflection", "changed my mind", "disagree", "overr"),
    *("更正", "修正", "更新", "改为"),
)
_CORRECTED = re.compile(
    r"(?:\b(?:correct(?:ion|ed)|updated?|edit(?:ed)?|errat(?:um|a)|on (?:second thoughts?|reflection)|changed my mind"
    r"|(?:i|we) (?:disagree|overrule|override))\b|更正|修正|更新|改为)"
    rf"[^\n.!?。]{{0,40}}?(?<![a-z])(?P<word>{WORD})",
    re.IGNORECASE,
)
_REVOKING = (
    *("reject", "disagree", "overr", "withdraw", "retract", "revoke", "scrap", "ignore"),
    *("example", "template", "trader", "wrong"),
)


def decision(text: str, symbol: str | None = None) -> tuple[str, float] | None:
    """The word that ``text`` decides for and its view, or None; ``symbol`` is what it speaks of."""
    try:
        found, whole = without_json(plain(text), symbol)
    except Spoilt:
        return None
    labels, body = find_labels(whole, symbol)
    found += labels
    labelled, end = bool(found), body[-FREE_MAX:]
    found += [] if len(text) > TEXT_MAX else _first_word(body, symbol, found)
    if not found:
        return _free(end, symbol)
    word = _agreed(found)
    if word is None or _revoked(end):
        return None
    if any(sign(each) != sign(word) for each in _later(whole[-FREE_MAX:])):
        return None
    # The writer may say in a sentence what contradicts a label, which then was another's.
    for words in said(end, symbol, strong=labelled):
        if any(sign(each) != sign(word) for each in words):
            return None
    return word, RATINGS[word]


def proposal(text: str, symbol: str | None = None) -> tuple[str, float] | None:
    """The word of its ``FINAL TRANSACTION PROPOSAL`` and its view, or None."""
    word = _agreed(find_proposals(plain(text), symbol, of_all=True))
    return None if word is None else (word, RATINGS[word])


def _agreed(found: list[Found]) -> str | None:
    """The word that labels agree on: of the weightiest kind, the last. None if one cannot be read or they differ in sign."""
    if not found or len(found) > LABELS_MAX:
        return None
    read = [each for each in found if each.value.word is not None]
    if len({sign(each.value.word) for each in read if each.value.word}) > 1:
        return None
    weighty = [each for each in found if each.kind <= min((other.kind for other in read), default=ACTION)]
    for kind in (RATING, PROPOSAL):
        last = [each for each in weighty if each.kind == kind][-1:]
        # A proposal's question is often repeated, so its last readable one counts.
        if last and last[0].value.word is None and (kind == RATING or not any(each.kind == kind for each in read)):
            return None
    if any(each.value.kind == "clouded" for each in found if each.kind != ACTION) or not read:
        return None
    best = min(each.kind for each in read)
    if best != PROPOSAL and [each for each in found if each.kind == best][-1].value.word is None:
        return None
    return [each.value.word for each in read if each.kind == best][-1]


def _later(text: str) -> list[str]:
    """The words of corrections, and the word that is all of the last line."""
    last = _ALONE.fullmatch(text.rstrip().rpartition("\n")[2])
    words = [last["word"]] if last else []
    lower = text.lower()
    if any(each in lower for each in _CORRECTING):
        words += [each["word"] for each in _CORRECTED.finditer(text)]
    return [each.lower() for each in words]


def _revoked(text: str) -> bool:
    """Whether ``text`` takes back what it says itself."""
    return any(each in text for each in _REVOKING) and bool(_REVOKED.search(text))


def _first_word(text: str, symbol: str | None, labels: list[Found]) -> list[Found]:
    """A rating that a text begins with, as a label; one of a list of ratings cannot be read."""
    named = _SUBJECT.match(text)
    if named and is_of(named[1], symbol):
        text = text[named.end() :]
    found = _FIRST.match(text)
    if found is None:
        return []
    value = read_value(text, found.start("word") if found["moved"] else 0, symbol)
    others = {sign(each["word"].lower()) for each in _ENUMERATED.finditer(text[:FREE_MAX])}
    if value.word is None or (len(others) > 1 and not labels):
        return [] if labels else [Found(RATING, 0, read_value("", 0))]
    return [Found(ACTION, 0, value)]


def _free(text: str, symbol: str | None) -> tuple[str, float] | None:
    """What all sentences that say something agree on."""
    found = list(said(text, symbol))
    if len({sign(word) for words in found for word in words}) != 1 or _revoked(text):
        return None
    word = min(found[-1], key=lambda each: (-abs(RATINGS[each]), each))
    return word, RATINGS[word]
