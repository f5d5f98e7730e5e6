"""The policy: evidence + now -> decision. Pure: no clock, no I/O, same inputs give the same bits.

Two views of a symbol, each in [-1, 1]. The *agents' view* is the mean of the views that were neither abstained nor failed nor
summaries, weighted by confidence and by age. The *price views* are trend, momentum, RSI, MACD and range position, each squashed
by tanh on the scale of the symbol's own volatility. ``raw`` is their weighted sum, whose terms are the contributions;
``score = tanh(raw)``. A view that is missing contributes nothing, and the weights of the others do not grow: less evidence
means a score nearer to zero.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from app.domain.evidence import Evidence, Trouble
from app.domain.fallback import HARMLESS, USABLE, Level, Status
from app.domain.live import step_viewed
from app.domain.records import AGENTS, KINDS, PRICE, TICK, Kinds
from app.domain.staleness import Limits, judge_input, narrowed, turns_ms
from app.domain.summary import NO_AGENTS, AgentsSummary, summarise_agents
from app.domain.tick_input import judge_tick, tick_life_ms, tick_turns_ms
from app.domain.ticks import TickRecord
from app.domain.used import Used, faded, lifetime
from app.domain.vector import PRICE_NAMES, AgentRecord, PriceRecord

Action = Literal["buy", "sell", "hold"]

CONTRIBUTIONS: tuple[str, ...] = ("agents", "trend", "momentum", "rsi", "macd", "range_position")

_AT = {name: position for position, name in enumerate(PRICE_NAMES)}
_CLOSE = _AT["close"]
_MOMENTUM = _AT["return_20"]
_RSI = _AT["rsi_14"]
_MACD_HISTOGRAM = _AT["macd_histogram"]
_ATR = _AT["atr_14"]
_SMA_RATIO = _AT["sma_ratio_20_50"]
_VOLATILITY = _AT["ewma_volatility_33"]
_RANGE_POSITION = _AT["range_position_20"]
_VIEWED = (_SMA_RATIO, _MOMENTUM, _RSI, _MACD_HISTOGRAM, _RANGE_POSITION)

_NOTHING = 1e-12
"""A volatility or range below this is none; it also keeps what is divided by it finite."""
_PRICE, _AGENTS, _TICK = (KINDS.inputs.index(each) for each in (PRICE, AGENTS, TICK))


class PolicyTable(msgspec.Struct, frozen=True, gc=False):
    """Every number the policy uses. A change of one is a change of ``version``."""

    name: str = "hybrid"
    version: str = "1.0.0"
    weight_agents: float = 0.90
    weight_trend: float = 0.30
    weight_momentum: float = 0.25
    weight_rsi: float = 0.10
    weight_macd: float = 0.20
    weight_range_position: float = 0.10
    trend_scale: float = 0.15
    """Trend is (SMA20/SMA50 - 1) over this share of the yearly volatility."""
    momentum_sessions: float = 20.0
    """Momentum is the 20-bar return over the volatility of as many sessions ..."""
    sessions_a_year: float = 252.0
    """... of this many in a year."""
    macd_scale: float = 0.25
    """MACD is its histogram over this share of the ATR."""
    default_confidence: float = 0.5
    """Weight of a view whose agent gave no confidence."""
    buy_at: float = 0.15
    sell_at: float = -0.15
    target_volatility: float = 0.15
    """Yearly volatility that a position of score 1 should have."""
    assumed_volatility: float = 0.60
    """Used for sizing where the symbol's own volatility is unknown: high, so that the position is small."""
    volatility_floor: float = 0.05
    max_weight: float = 0.50
    """Bound of |target_weight|."""


HYBRID_1 = PolicyTable()


class Judged(msgspec.Struct, frozen=True, gc=False):
    """Which inputs may be used, and how far down the ladder that leaves a decision. In the order of `Kinds.inputs`: ``records``,
    None unless they are used; ``statuses``; ``ages_s``, None where there is no record. ``used`` are those that are used;
    ``tick_unused`` says why the last trade is not.
    """

    records: tuple[Any, ...]
    statuses: tuple[Status, ...]
    ages_s: tuple[float | None, ...]
    used: tuple[Used, ...]
    summary: AgentsSummary
    level: Level
    reason: str | None
    tick_unused: str | None

    @property
    def price(self) -> PriceRecord | None:
        """The record, if it is used."""
        record: PriceRecord | None = self.records[_PRICE]
        return record

    @property
    def agents(self) -> AgentRecord | None:
        """The record, if it is used."""
        record: AgentRecord | None = self.records[_AGENTS]
        return record

    @property
    def tick(self) -> TickRecord | None:
        """The record, if it is used."""
        record: TickRecord | None = self.records[_TICK]
        return record


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What to do with a symbol, and on what grounds.

    ``as_of_ms`` is the newest used input's time and ``expires_at_ms`` when the first of the used inputs turns stale (both epoch
    milliseconds, None if nothing was used). ``contributions`` follows `CONTRIBUTIONS`; their sum is atanh(score). ``strength`` is
    the confidence were the inputs new (`faded`).
    """

    action: Action
    score: float
    confidence: float
    target_weight: float
    as_of_ms: int | None
    expires_at_ms: int | None
    judged: Judged
    contributions: tuple[float, ...]
    strength: float
    used: tuple[Used, ...]


def has_no_view(values: tuple[float | None, ...]) -> bool:
    """Whether there were too few bars for every view of `price_views`."""
    return values[_VOLATILITY] is None or (
        # The first of them nearly always is there.
        values[_SMA_RATIO] is None and all(values[at] is None for at in _VIEWED)
    )


def price_views(values: tuple[float | None, ...], table: PolicyTable) -> tuple[float, float, float, float, float]:
    """Trend, momentum, RSI, MACD and range position, each in [-1, 1]; 0 where an indicator is missing.

    All are 0 without volatility: a price that did not move says nothing, whatever value the indicators take by convention.
    """
    volatility = values[_VOLATILITY]
    if volatility is None or volatility < _NOTHING:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    tanh = math.tanh
    sma_ratio, momentum, rsi = values[_SMA_RATIO], values[_MOMENTUM], values[_RSI]
    histogram, atr, position = values[_MACD_HISTOGRAM], values[_ATR], values[_RANGE_POSITION]
    over = volatility * math.sqrt(table.momentum_sessions / table.sessions_a_year)
    return (
        0.0 if sma_ratio is None else tanh((sma_ratio - 1.0) / (volatility * table.trend_scale)),
        0.0 if momentum is None else tanh(momentum / over),
        # Contrarian: far above 50 is overbought.
        0.0 if rsi is None else tanh((50.0 - rsi) / 25.0),
        0.0 if histogram is None or atr is None or atr < _NOTHING else tanh(histogram / (atr * table.macd_scale)),
        0.0 if position is None else tanh(2.0 * position - 1.0),
    )


class Scored(msgspec.Struct, frozen=True, gc=False):
    """What the indicators and the views come to, as `Decision` has it."""

    action: Action
    score: float
    target_weight: float
    contributions: tuple[float, ...]
    strength: float


class Policy:
    """One table and its limits, ready to decide."""

    def __init__(self, table: PolicyTable, limits: Limits, kinds: Kinds = KINDS) -> None:
        self.table = table
        self.limits = limits
        self.kinds = kinds
        self._lives = [each.life_ms for each in kinds.inputs if each.life_ms is not None]
        # Each input's name, and whether a decision may rest on it alone.
        self._names = [(each.name, each.alone is not None) for each in kinds.inputs]

    def decide(
        self,
        evidence: Evidence,
        now_ms: int,
        *,
        price: float | None = None,
        max_age_s: float | None = None,
        unproven: Trouble | None = None,
    ) -> Decision:
        """Decide on ``evidence`` at ``now_ms``.

        Args:
            evidence: the symbol's records.
            now_ms: the domain clock, epoch milliseconds.
            price: a live price, which goes before the last trade; the price indicators are carried on to it (`app.domain.live`).
            max_age_s: inputs older than this count as missing.
            unproven: set if the evidence could not be confirmed with L2; says why. Inputs then are at best ``stale``.
        """
        judged = self.judge(evidence, now_ms, price=price, max_age_s=max_age_s, unproven=unproven)
        values: tuple[float | None, ...] | None = None
        bars, tick, used = judged.price, judged.tick, judged.used
        if tick is not None:
            price = float(tick.price)
        if bars is not None:
            values = bars.values if price is None else step_viewed(bars.values, price)
        as_of_ms, expires_at_ms = lifetime(used)
        if tick is not None:
            ends_ms = tick.time_us // 1000 + int(tick_life_ms(self.limits, tick))
            expires_at_ms = ends_ms if expires_at_ms is None else min(expires_at_ms, ends_ms)
        scored = self._scored(values, judged)
        return Decision(
            action=scored.action,
            score=scored.score,
            confidence=faded(scored.strength, now_ms, used),
            target_weight=scored.target_weight,
            as_of_ms=as_of_ms,
            expires_at_ms=expires_at_ms,
            judged=judged,
            contributions=scored.contributions,
            strength=scored.strength,
            used=used,
        )

    def scored_on(self, evidence: Evidence, now_ms: int, judged: Judged) -> Scored | None:
        """What `decide` scores on ``evidence`` at ``now_ms``, if since it was ``judged`` the last trade alone has changed, and
        what is said of that is as before; None where it is not.
        """
        status, _, _, unused = judge_tick(evidence, _TICK, now_ms, self.limits, None, None)
        bars, tick = judged.price, judged.tick
        if bars is None or tick is None or unused is not None or status != judged.statuses[_TICK]:
            return None
        tick = evidence.records[_TICK]
        return self._scored(step_viewed(bars.values, float(tick.price)), judged)

    def _scored(self, values: tuple[float | None, ...] | None, judged: Judged) -> Scored:
        table = self.table
        contributions = self._contributions(None if judged.level == "agents_only" else values, judged)
        raw = sum(contributions)
        score = math.tanh(raw)
        action: Action = "buy" if score >= table.buy_at else "sell" if score <= table.sell_at else "hold"
        weight = 0.0 if action == "hold" else self._target_weight(score, values)
        return Scored(action, score, weight, contributions, self._strength(score, raw, contributions, judged.summary))

    def unchanged(self, evidence: Evidence, now_ms: int) -> tuple[float, float]:
        """From when until before when (epoch milliseconds) `judge` says of ``evidence`` what it says at ``now_ms``, but for ages:
        the nearest moments at which an input turns stale or missing, or is no longer ahead of the clock. In between a decision
        differs by its confidence alone.
        """
        limits = self.limits
        turns: list[int] = []
        for life_of, record in zip(self._lives, evidence.records):  # noqa: B905 - it costs more
            if record is not None:
                is_tick = record.__class__ is TickRecord
                turns += tick_turns_ms(limits, record) if is_tick else turns_ms(limits, record.as_of_ms, life_of(limits, record))
        return narrowed(turns, now_ms, -math.inf, math.inf)

    def judge(
        self,
        evidence: Evidence,
        now_ms: int,
        *,
        price: float | None = None,
        max_age_s: float | None = None,
        unproven: Trouble | None = None,
    ) -> Judged:
        """Which of the inputs may be used at ``now_ms``, and how far down the fallback ladder that leaves the decision."""
        limits = self.limits
        max_age_ms = None if max_age_s is None else max_age_s * 1000.0
        statuses: list[Status] = []
        ages_s: list[float | None] = []
        reasons: list[str | None] = []
        used: list[Used] = []
        place, tick_unused = 0, None
        for life_of, record, trouble in zip(self._lives, evidence.records, evidence.troubles):  # noqa: B905 - it costs more
            if record is None:
                status, age_s, reason = judge_input(None, trouble, now_ms, 0.0, limits, max_age_ms)
            elif place == _TICK:
                status, age_s, reason, tick_unused = judge_tick(evidence, place, now_ms, limits, max_age_ms, unproven)
                anyway = "price_given" if price is not None else None if statuses[_PRICE] in USABLE else "no_bars"
                tick_unused = tick_unused or anyway
                if tick_unused is None:
                    used.append((place, record.time_us // 1000, math.inf))
            else:
                as_of_ms, life_ms = record.as_of_ms, life_of(limits, record)
                status, age_s, reason = judge_input(as_of_ms, trouble, now_ms, life_ms, limits, max_age_ms)
                if unproven is not None and status == "present":
                    status, reason = "stale", unproven
                if status in USABLE:
                    used.append((place, as_of_ms, life_ms))
            statuses.append(status)
            ages_s.append(age_s)
            reasons.append(reason)
            place += 1
        found, records = tuple(statuses), evidence.records[:place]
        if price is not None:
            # It takes the last trade's place, whatever that is like.
            statuses[_TICK] = "present"
        return self._judged(records, found, tuple(ages_s), used, statuses, reasons, tick_unused)

    def _judged(
        self,
        records: tuple[Any, ...],
        found: tuple[Status, ...],
        ages_s: tuple[float | None, ...],
        used: list[Used],
        statuses: list[Status],
        reasons: list[str | None],
        tick_unused: str | None,
    ) -> Judged:
        """What `judge` says of ``records``, each as it was ``found``; the ladder has them as ``statuses``, with ``reasons``."""
        summary = self._looked_into(records, statuses, reasons)
        if summary.used == 0:
            used = [each for each in used if each[0] != _AGENTS]
        level = self.kinds.ladder[tuple(statuses)]
        if level == "neutral":
            used, tick_unused = [], tick_unused or "no_bars"
        if len(used) + records.count(None) < len(records):
            places = {each[0] for each in used}
            records = tuple([record if at in places else None for at, record in enumerate(records)])
        reason = None if level == "none" else self._first_reason(statuses, reasons)
        return Judged(records, found, ages_s, tuple(used), summary, level, reason, tick_unused)

    def _looked_into(self, records: tuple[Any, ...], statuses: list[Status], reasons: list[str | None]) -> AgentsSummary:
        """What the agents' views come to. An input of ``records`` that is there and has no view is missing."""
        summary = NO_AGENTS
        # By status; nobody's view leaves the record unused, while too few bars for a view leave a volatility.
        if statuses[_PRICE] in USABLE and has_no_view(records[_PRICE].values):
            statuses[_PRICE], reasons[_PRICE] = "missing", "too_few_bars"
        if statuses[_AGENTS] in USABLE:
            views = records[_AGENTS].views
            summary = summarise_agents(views, self.limits.half_life_ms, self.table.default_confidence)
            # A record in which nobody has a view is there, and is reported so, but the decision rests on prices alone.
            if summary.used == 0:
                summed_up = "summaries_alone" if views and not summary.abstained else "abstained"
                statuses[_AGENTS], reasons[_AGENTS] = "missing", "failed" if summary.failed else summed_up
        return summary

    def _first_reason(self, statuses: Sequence[Status], reasons: Sequence[str | None]) -> str:
        """Of the first input that is not as it should be; one that only refines the others may be missing."""
        return next(
            f"{name}_{reason}"
            for (name, is_needed), status, reason in zip(self._names, statuses, reasons, strict=True)
            if reason is not None and (is_needed or status not in HARMLESS)
        )

    def _contributions(self, values: tuple[float | None, ...] | None, judged: Judged) -> tuple[float, ...]:
        table = self.table
        agents = table.weight_agents * judged.summary.view
        if values is None:
            return (agents, 0.0, 0.0, 0.0, 0.0, 0.0)
        trend, momentum, rsi, macd, range_position = price_views(values, table)
        return (
            agents,
            table.weight_trend * trend,
            table.weight_momentum * momentum,
            table.weight_rsi * rsi,
            table.weight_macd * macd,
            table.weight_range_position * range_position,
        )

    @staticmethod
    def _strength(score: float, raw: float, contributions: tuple[float, ...], summary: AgentsSummary) -> float:
        """Square root of |score|, times agreement.

        Agreement runs from 0.5 to 1: half of it is how far the contributions point one way, half how far the agents do.
        """
        absolute = sum(map(abs, contributions))
        if absolute == 0.0:
            return 0.0
        one_way = abs(raw) / absolute
        return math.sqrt(abs(score)) * (0.5 + 0.25 * (one_way + summary.agreement))

    def _target_weight(self, score: float, values: tuple[float | None, ...] | None) -> float:
        """Share of the portfolio by volatility targeting: ``score * target volatility / own volatility``, clipped."""
        table = self.table
        volatility = None if values is None else values[_VOLATILITY]
        if volatility is None:
            volatility = table.assumed_volatility
        weight = score * table.target_volatility / max(volatility, table.volatility_floor)
        return max(-table.max_weight, min(table.max_weight, weight))
