"""Variables that similar services read and Decide does not, with what does the same here. A leaf: it imports nothing of the
project.
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
    "HEALTH_CHECK_INTERVAL": Stranger("", "whoever probes /livez and /readyz says how often; STREAM_HEARTBEAT_S is of streams"),
}
"""Others' names of settings, which would be passed over in silence in the process's environment."""


def instead(stranger: str) -> str:
    """What is to be done in place of a variable of `STRANGERS`."""
    setting, instead = STRANGERS[stranger]
    return f"it is {setting} here" if setting else instead


def strangers_told(environ: Mapping[str, str]) -> list[str]:
    """A line for each variable of the process's environment that similar services read, and Decide does not: it may be meant for
    it, or for whoever else runs there.
    """
    return [f"{name} in the environment is not a setting; {instead(name)}" for name in STRANGERS if environ.get(name)]
