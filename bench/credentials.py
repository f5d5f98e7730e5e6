"""The API key that the harness presents, if the server wants one."""

import os
import re

from bench.scenario import ScenarioError

VARIABLE = "DECIDE_API_KEY"
_is_key = re.compile(r"[!-~]{1,512}").fullmatch


def key_headers() -> dict[str, str]:
    """The header with the key of the environment, none without one. An argument would stand in the list of processes.

    Raises:
        ScenarioError: it cannot be a header's value.
    """
    key = os.environ.get(VARIABLE, "").strip()
    if not key:
        return {}
    if not _is_key(key):
        raise ScenarioError(f"{VARIABLE} is no API key: it has characters that no header may have")
    return {"X-API-Key": key}
