"""Scenarios: what to send, how, and what must hold. They are data, in TOML; this module reads them."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FOLDER = Path(__file__).parent / "scenarios"

Share = Annotated[float, Meta(ge=0, le=1)]


class ScenarioError(Exception):
    """A scenario that cannot be run, for people."""


class Mix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests a phase sends.

    Popular symbols are drawn by Zipf's law: the k-th most popular with a weight of k to the power of minus ``zipf_exponent``.
    ``cold``, ``unknown`` and ``batch`` are shares of the requests: a symbol that the run has not asked for yet (as long as there
    are any), one outside the universe, and ``batch_size`` popular symbols at once. ``live_price`` is the share of single
    requests that carry a price near the last close, where there is one. With ``max_age_s`` every request asks for it, and every
    decision is made anew. ``rotate`` takes ``symbols`` symbols one after the other and draws nothing.
    """

    symbols: Annotated[int, Meta(ge=1)] | None = None
    zipf_exponent: Annotated[float, Meta(ge=0, le=5)] = 1.0
    cold: Share = 0.0
    unknown: Share = 0.0
    batch: Share = 0.0
    batch_size: Annotated[int, Meta(ge=1, le=10_000)] = 20
    live_price: Share = 0.0
    max_age_s: Annotated[float, Meta(ge=0, le=1e10)] | None = None
    rotate: bool = False


class Checks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must hold after a phase: upper bounds, and two lower ones, ``hit_rate`` and ``goodput``. ``server_errors`` are answers
    of 5xx by the client's count and by the server's; ``faults`` are requests without a whole answer; ``invalid`` are answers that
    are not what `app.payloads` says; ``hit_rate`` is that of L1 by the server's ``/metrics``; ``goodput`` is decisions per second
    as a share of the best measured closed phase before; ``refusal_p99_ms`` is that of answers of 503, from when the request was
    sent; ``single_p99_ms`` that of single decisions, from when they were due; ``p99_ratio`` is the phase's p99 as a multiple of
    the first measured phase's.
    """

    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    hit_rate: float | None = None
    goodput: float | None = None
    refusal_p99_ms: float | None = None
    single_p99_ms: float | None = None
    p99_ratio: float | None = None
    server_errors: int | None = None
    faults: int | None = None
    invalid: int | None = None


COUNTS = ("server_errors", "faults", "invalid")
"""The checks that no machine's noise excuses."""
LOWER_BOUNDS = ("hit_rate", "goodput")


class Beside(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Connections beside the load: that do nothing, or that send a head or a body of a byte a second."""

    idle: Annotated[int, Meta(ge=0, le=20_000)] = 0
    slow_headers: Annotated[int, Meta(ge=0, le=20_000)] = 0
    slow_bodies: Annotated[int, Meta(ge=0, le=20_000)] = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.idle + self.slow_headers + self.slow_bodies


class Phase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of load.

    ``closed``: each connection sends its next request when it has its answer; the server sets the pace. ``open``: requests are
    due at a constant rate, whatever the server does, and latency counts from when they were due. The rate is ``rate_per_s``, or
    ``share_of_peak`` of the fastest measured closed phase before it; a request that finds no idle connection for ``patience_s``
    is given up unsent, as callers do. A phase ends after ``requests`` or ``duration_s``.

    Only ``judged_share`` of the answers are held against the contract and asked for their tier, since taking a large batch apart
    costs the harness what making it costs the server. Others of status 200 are believed to have all decisions asked for.
    """

    name: str
    loop: Literal["closed", "open"]
    connections: Annotated[int, Meta(ge=1, le=20_000)] = 16
    requests: Annotated[int, Meta(ge=1)] | None = None
    duration_s: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    rate_per_s: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    share_of_peak: Annotated[float, Meta(gt=0, le=10)] | None = None
    patience_s: Annotated[float, Meta(gt=0, le=3600)] | None = None
    measured: bool = True
    judged_share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    mix: Mix = Mix()
    beside: Beside = Beside()
    checks: Checks = Checks()


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name, a sentence, and phases that run one after the other."""

    description: str
    phases: Annotated[tuple[Phase, ...], Meta(min_length=1)]
    name: str = ""
    seed: int = 1


def names() -> list[str]:
    """The scenarios that come with the harness."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Scenario:
    """The scenario of that name, or in that file if the name ends in ``.toml``.

    Raises:
        ScenarioError: there is none, or it says something that makes no sense.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ScenarioError(f"no scenario {name!r}: {error.strerror}; there are {', '.join(names())}, or a .toml file") from error
    try:
        scenario = msgspec.toml.decode(text, type=Scenario)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: {error}") from error
    peak = measured = False
    for phase in scenario.phases:
        _check(path, phase, peak=peak, measured=measured)
        measured = measured or phase.measured
        peak = peak or (phase.loop == "closed" and phase.measured)
    return msgspec.structs.replace(scenario, name=scenario.name or path.stem)


def _check(path: Path, phase: Phase, *, peak: bool, measured: bool) -> None:
    """``peak`` and ``measured``: whether a measured closed phase, or a measured one, was before it."""
    where = f"{path}: phase {phase.name!r}"
    if (phase.requests is None) == (phase.duration_s is None):
        raise ScenarioError(f"{where} needs either requests or duration_s")
    rates = (phase.rate_per_s is not None) + (phase.share_of_peak is not None)
    if rates != (phase.loop == "open"):
        raise ScenarioError(f"{where}: an open loop needs either rate_per_s or share_of_peak, a closed one neither")
    if (phase.share_of_peak is not None or phase.checks.goodput is not None) and not peak:
        raise ScenarioError(f"{where}: share_of_peak and goodput need a closed phase before it")
    if phase.checks.p99_ratio is not None and not measured:
        raise ScenarioError(f"{where}: p99_ratio needs a measured phase before it")
    if phase.patience_s is not None and phase.loop == "closed":
        raise ScenarioError(f"{where}: in a closed loop no request waits for a connection, so patience_s has no meaning")
    mix = phase.mix
    if mix.cold + mix.unknown + mix.batch > 1:
        raise ScenarioError(f"{where}: cold, unknown and batch are more than all requests")


def shortened(scenario: Scenario, factor: float) -> Scenario:
    """The same with ``factor`` of each duration, one second at least."""
    phases = tuple(
        phase if phase.duration_s is None else msgspec.structs.replace(phase, duration_s=max(1.0, phase.duration_s * factor))
        for phase in scenario.phases
    )
    return msgspec.structs.replace(scenario, phases=phases)


def allowing(scenario: Scenario, margin: float) -> Scenario:
    """The same with bounds of time ``margin`` times as high and lower bounds a ``margin``-th as high; counts stay as they are."""
    return msgspec.structs.replace(
        scenario,
        phases=tuple(msgspec.structs.replace(phase, checks=_wider(phase.checks, margin)) for phase in scenario.phases),
    )


def _wider(checks: Checks, margin: float) -> Checks:
    bounds = {name: getattr(checks, name) for name in checks.__struct_fields__ if name not in COUNTS}
    return msgspec.structs.replace(
        checks,
        **{
            name: bound / margin if name in LOWER_BOUNDS else bound * margin
            for name, bound in bounds.items()
            if bound is not None
        },
    )
