"""What jobs that go on tell of, line by line."""

import json
from collections.abc import Callable
from typing import Any, TextIO


def sayer(stream: TextIO, name: str = "warm") -> Callable[..., None]:
    """What a job tells of, beside its reports: lines for people on a terminal, JSON lines elsewhere."""

    def say(event: str, **facts: Any) -> None:  # noqa: ANN401
        told = json.dumps({"event": event, **facts})
        if stream.isatty():
            told = f"{name}: {event}" + "".join(f", {name} {value}" for name, value in facts.items())
        stream.write(f"{told}\n")
        stream.flush()

    return say
