"""How large a demo is and where its input lies. Refuses to run without the checkout's data."""

from pathlib import Path
from typing import NamedTuple

from app.errors import OperatorError

REPOSITORY = Path(__file__).parents[2]
# In the repository and not in the package: a demo is run from a checkout, and the tests read the same file.
PURCHASES_FILE = REPOSITORY / "tests" / "data" / "cdnow_purchases.csv.gz"
MAPPING_FILE = Path(__file__).with_name("purchases.yaml")
ALL_PURCHASES = 69_659
SIGNALS_A_PURCHASE = 2

SCENES = ("ramp", "pause", "resume", "crash", "drill", "kill")


class Plan(NamedTuple):
    """rate: signals a second of both feeds together. skip: scenes left out, so that a missing expectation can be seen."""

    purchases: int = ALL_PURCHASES
    users: int = 5_000
    rate: float = 1_800.0
    seed: int = 1
    skip: frozenset[str] = frozenset()

    @property
    def real_signals(self) -> int:
        return SIGNALS_A_PURCHASE * self.purchases

    def shares(self, generated: int) -> tuple[float, float]:
        """Signals a second of the purchases and of the generated sessions: both feeds end at about the same time."""
        real = self.rate * self.real_signals / (self.real_signals + generated)
        return real, self.rate - real


def check_data() -> None:
    if not PURCHASES_FILE.is_file():
        raise OperatorError(
            f"the demo's purchases are not at {PURCHASES_FILE}", "Run the demo in a checkout of the repository: make demo"
        )
