"""What the parts of one edge process share, put together in application.py and handed to each endpoint."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from app.edge.decide import Decider
from app.edge.feed import Feed
from app.edge.intake import Taken
from app.edge.keeper import Keeper
from app.edge.limits import Bodies, Rates
from app.edge.rules import Rules
from app.edge.tokens import TokenKeys


@dataclass
class Edge:
    """current_rules: as the governed catalogue stands at that moment. counts: since the start, for /status."""

    keeper: Keeper
    current_rules: Callable[[], Rules]
    body_seconds: float
    decider: Decider
    tokens: TokenKeys
    rates: Rates
    feed: Feed
    counts: Counter[str] = field(default_factory=Counter)
    bodies: Bodies = field(default_factory=Bodies)

    @property
    def rules(self) -> Rules:
        return self.current_rules()

    def largest_body(self, usual_bytes: int) -> int:
        """Before the key is known: some collectors have it in the body."""
        return max(usual_bytes, self.rules.largest_body_bytes)

    def counted(self, collector: str, taken: Taken) -> None:
        rejected = len(taken.rejected)
        self.counts[f"{collector}_accepted"] += len(taken.records) - rejected
        self.counts[f"{collector}_rejected"] += rejected
