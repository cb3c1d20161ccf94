"""What a change of the partition count would do, said before it is done."""

from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from app.errors import CallerError, OperatorError
from app.scaling.inventory import Inventory

# Each worker drains, joins the group again and opens what it has got; measured with tests/bench/scaling.py on two cores.
REBALANCE_SECONDS = 1.0
# A unit that its new home asks for waits for three commits: of the question, of its departure, of its arrival.
HOPS = 3
# agents/growth.py: so often a tick gives units up while they move.
TICK_SECONDS = 0.2


class Plan(NamedTuple):
    """topics: those to expand, as on the cluster. hop_ms: from append to decision, median of the last; None: no journal."""

    previous: int
    partitions: int
    topics: list[str]
    inventory: Inventory
    units_per_tick: int
    hop_ms: float | None

    @property
    def seconds(self) -> float:
        """Of moving all units, at the pace of the ticks."""
        return self.inventory.most_in_one / self.units_per_tick * TICK_SECONDS

    @property
    def pause_ms(self) -> float | None:
        """That a unit is expected to see when it moves."""
        return None if self.hop_ms is None else HOPS * self.hop_ms

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": "truelift.scaling_plan/1",
            "previous": self.previous,
            "partitions": self.partitions,
            "topics": self.topics,
            **self.inventory._asdict(),
            "expected": {
                "moving_seconds": round(self.seconds, 1),
                "pause_of_a_unit_ms": self.pause_ms,
                "pause_of_all_seconds": REBALANCE_SECONDS,
            },
        }


def check_strays(inventory: Inventory, previous: int) -> None:
    """OperatorError: such units would not be found again by those who go by the key."""
    if inventory.strays:
        raise OperatorError(
            f"{inventory.strays:,} units live in another of the {previous} partitions than their key's hash gives "
            f"({', '.join(inventory.stray_examples)}): their producers do not use Kafka's default partitioner",
            "Set murmur2 in every producer (librdkafka: partitioner=murmur2_random) and let the users come anew, then scale",
        )


def check_count(previous: int, count: int) -> None:
    if count == previous:
        raise CallerError(f"there are {previous} partitions already", f"Give {2 * previous}, or another multiple")
    if count < previous or count % previous:
        raise CallerError(
            f"{count} is no multiple of the {previous} partitions that there are",
            f"Give {2 * previous}, {3 * previous} or another multiple; Kafka takes no partition away",
        )


def show(plan: Plan, console: Console) -> None:
    found = plan.inventory
    console.print(
        f"from {plan.previous} to {plan.partitions} partitions: {len(plan.topics)} topics are expanded", highlight=False
    )
    table = Table("rows", "there", "move", box=None)
    table.add_row("units", f"{found.units:,}", f"{found.moving_units:,}")
    for name, rows in found.rows.items():
        table.add_row(name, f"{rows:,}", f"{found.moving_rows[name]:,}")
    console.print(table)
    pause = "unknown, nothing was decided yet" if plan.pause_ms is None else f"about {plan.pause_ms:,.0f} ms, once"
    console.print(
        f"expected pause: of all, about {REBALANCE_SECONDS:g} s, once; of a unit that moves, {pause}", highlight=False
    )
    console.print(f"expected time to move all: {plan.seconds:,.0f} s, while everything goes on", highlight=False)
