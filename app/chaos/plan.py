"""What a drill is to do: how long, on what, and how much must have happened for it to count."""

import random
from dataclasses import dataclass, field
from typing import Any

# Users of an ordinary product: some are there all day (Zipf's law).
USERS = 5_000
SKEW = 1.0


@dataclass(frozen=True)
class Plan:
    """rate: signals a second. least_*: the floors, below which a run has proved too little.

    only: these kinds of faults; none: all. stop_when_enough: at the floor of every kind. planted: mistakes, in every worker.
    """

    minutes: float = 10.0
    workers: int = 3
    seed: int = 1
    brokers: int = 3
    rate: int = 1_050
    least_rate: float = 1_000.0
    least_each: int = 5
    least_each_minute: float = 20.0
    users: int = USERS
    skew: float = SKEW
    session_timeout_seconds: float = 6.0
    commit_interval_ms: int = 50
    only: tuple[str, ...] = ()
    stop_when_enough: bool = False
    planted: dict[str, Any] = field(default_factory=dict)
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chance", random.Random(self.seed))

    @property
    def partitions(self) -> int:
        """Two for each worker, so that every rebalance moves some."""
        return 2 * self.workers
