"""The processes, by their names."""

from collections.abc import Callable, Mapping
from typing import Any

from warm.stream.synthetic.process import Process
from warm.stream.synthetic.random_walk import RandomWalk
from warm.stream.synthetic.stochastic_volatility import StochasticVolatility

PROCESSES: Mapping[str, Callable[[int], Process[Any]]] = {
    "stochastic-volatility": StochasticVolatility,
    "random-walk": RandomWalk,
}
"""Each is made of a seed."""
