"""Decisions as text for a terminal. Whatever came from the server is made harmless here, and nowhere else is it printed."""

from msgspec import UNSET, UnsetType

from app.domain.text import harmless
from app.payloads import AgentsInput, DecideResponse, PriceInput, ProblemBody, TickInput, View

_CELL_MAX = 60
_REASONING_MAX = 160
_AGES = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))
_HEAD = ("SYMBOL", "ACTION", "SCORE", "CONFIDENCE", "WEIGHT", "PRICE", "AGENTS", "FALLBACK", "TIER", "AS OF")
_TO_THE_RIGHT = frozenset({"SCORE", "CONFIDENCE", "WEIGHT"})


def table(decisions: list[DecideResponse]) -> list[str]:
    """One line for each, below a line that names the columns."""
    rows = [_HEAD, *map(_row, decisions)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return [
        "  ".join(
            cell.rjust(width) if name in _TO_THE_RIGHT else cell.ljust(width)
            for cell, width, name in zip(row, widths, _HEAD, strict=True)
        ).rstrip()
        for row in rows
    ]


def explanation(decision: DecideResponse) -> list[str]:
    """What was added up to its score, and what agents said; nothing if it was not asked for."""
    lines = []
    if isinstance(decision.contributions, dict):
        lines += ["", f"{_cell(decision.symbol)}: what its score is made of"]
        lines += [f"  {_cell(name):16} {value:+.4f}" for name, value in decision.contributions.items()]
    if isinstance(decision.views, tuple):
        lines += ["", f"{_cell(decision.symbol)}: what agents said" if decision.views else f"{_cell(decision.symbol)}: no agent"]
        lines += map(_said, decision.views)
    return lines


def refusal(problem: ProblemBody) -> str:
    """A problem on one line: what it is, what of the request is wrong, and why."""
    field = "" if problem.field is None else f" ({_cell(problem.field)})"
    return f"{_cell(problem.title)}{field}: {harmless(problem.detail)[:1000]}"


def as_json(raw: bytes) -> str:
    """JSON on one line, as it came but for characters that act on a terminal: those are escaped as JSON does it."""
    return harmless("".join(each if each.isprintable() else _escaped(each) for each in raw.decode("utf-8")))


def _escaped(character: str) -> str:
    if character in "\t\r\n":
        # These stand between values only: inside a string JSON wants them escaped.
        return ""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _cell(text: str) -> str:
    return harmless(text[: _CELL_MAX - 1] + "…" if len(text) > _CELL_MAX else text)


def _row(decision: DecideResponse) -> tuple[str, ...]:
    fallback = decision.fallback
    return (
        _cell(decision.symbol),
        decision.action,
        f"{decision.score:+.3f}",
        f"{decision.confidence:.3f}",
        f"{decision.target_weight:+.3f}",
        _input(decision.inputs.price) + _trade(decision.inputs.tick),
        f"{_input(decision.inputs.agents)}, {decision.inputs.agents.used} used",
        fallback.level if fallback.reason is None else f"{fallback.level} ({_cell(fallback.reason)})",
        decision.cache.tier,
        "-" if decision.as_of is None else _cell(decision.as_of),
    )


def _input(found: PriceInput | AgentsInput) -> str:
    if found.age_s is None:
        return found.status
    return f"{found.status} {_age(found.age_s)}"


def _trade(found: TickInput | UnsetType) -> str:
    """How old the last trade is, where it is used or not as it should be."""
    if found is UNSET or (found.unused is not UNSET and found.status == "present"):
        return ""
    return f", trade {found.status}" + ("" if found.age_s is None else f" {_age(found.age_s)}")


def _age(seconds: float) -> str:
    for unit_s, name in _AGES:
        if seconds >= unit_s:
            return f"{seconds / unit_s:.1f} {name}"
    return f"{seconds:.1f} s"


def _said(view: View) -> str:
    what = view.status if view.view is None else f"{view.view:+.2f}"
    if view.status == "summary":
        what += " summary"
    if view.confidence is not None:
        what += f" at {view.confidence:.2f}"
    why = view.reasoning if view.reasoning is not None else view.reason
    return f"  {_cell(view.agent):16} {what:14} {_cell(view.as_of)}" + (
        "" if why is None else f"  {harmless(why[:_REASONING_MAX])}"
    )
