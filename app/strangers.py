"""Variables that Decide does not read: of similar services, with what does the same here, and settings of the version before,
with what became of them. A leaf: it imports nothing of the project.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Stranger(NamedTuple):
    """A name that similar services use: the setting that is called so here (empty: none is), or what does it instead."""

    setting: str
    instead: str = ""


STRANGERS = {
    "API_HOST": Stranger("HOST"),
    "API_PORT": Stranger("PORT"),
    "CACHE_TTL": Stranger("L1_TTL_S"),
    "ENVIRONMENT": Stranger(
        "", "nothing depends on it; LOG_FORMAT, ACCESS and PAGES are what production and development differ in"
    ),
    "METRICS_ENABLED": Stranger("", "GET /metrics is always there; METRICS_ACCESS=keys closes it to strangers"),
    "MODEL_TYPE": Stranger("", "there is one policy, which GET /version names"),
    "HEALTH_CHECK_INTERVAL": Stranger("", "whoever probes /livez and /readyz says how often"),
}
"""Others' names of settings, which would be passed over in silence in the process's environment."""
GONE = {
    "BODY_TIMEOUT_S": "a body may take 5 s",
    "BREAKER_FAILURES": "nobody waits for L2 after 5 failures in a row",
    "BREAKER_PAUSE_S": "an L2 that does not answer is tried every 2 s at least",
    "CLOCK_SKEW_S": "an input may lie 300 s ahead of the clock",
    "FEED_WAIT_MS": "a change on SQLite is seen within 100 ms",
    "L1_REFRESH_SHARE": "a hit loads its symbol anew after 80 % of L1_TTL_S",
    "L1_TTL_JITTER": "lifetimes are shortened by 10 % at most",
    "L2_MAX_CONNECTIONS": "a worker has 16 connections for reads",
    "L2_MAX_PENDING": "20,000 symbols may be on their way from L2",
    "LIVE_PRICE_DEVIATIONS": "it is 10; LIVE_PRICE_OUTSIDE=accept takes any price",
    "LOOP": "uvloop is taken where it is installed",
    "MAX_BODY_BYTES": "it follows BATCH_MAX: 262,144 bytes for every 1,000",
    "MAX_IN_FLIGHT": "10,000 decisions may be waited for",
    "NEGATIVE_MAX_ENTRIES": "10,000 unknown symbols are remembered",
    "NEGATIVE_TTL_S": "an unknown symbol is remembered for 5 s",
    "PRICE_MAX_BARS": "it is 2; PRICE_MAX_AGE_S says it in seconds",
    "STREAM_HEARTBEAT_S": "a sign of life comes after 15 s",
    "STREAM_QUEUE": "10,000 events may wait for a subscriber",
    "WARM_MEMORY_MB": "`decide warm --memory-mb` says it",
}
"""Settings that the version before had. For this version they are told and passed over; in the next they are unknown."""


def instead(stranger: str) -> str:
    """What is to be done in place of a variable of `STRANGERS`."""
    setting, instead = STRANGERS[stranger]
    return f"it is {setting} here" if setting else instead


def strangers_told(environ: Mapping[str, str]) -> list[str]:
    """A line for each variable of the process's environment that similar services read, and Decide does not: it may be meant for
    it, or for whoever else runs there.
    """
    return [f"{name} in the environment is not a setting; {instead(name)}" for name in STRANGERS if environ.get(name)]
