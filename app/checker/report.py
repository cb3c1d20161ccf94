"""What the checker counted and found: plain values, and the screen that shows them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.table import Table

Kind = Literal[
    "lost", "duplicated", "out_of_order", "phantom", "unreadable", "timer_lost", "timer_duplicated", "rerolled",
    "governance_back", "treated_after_halt", "wrong_id", "exposure_lost", "exposure_duplicated", "exposure_unexplained",
    "outcome_lost", "outcome_duplicated", "outcome_unexplained", "deadletter_lost", "deadletter_duplicated",
    "deadletter_unexplained", "stale_treated", "assignment_wrong", "row_wrong", "zombie_write", "store_differs",
    "unit_lost", "unit_duplicated", "unit_changed", "link_lost", "link_unexplained", "adoption_wrong", "crossover_hidden",
    "device_decided",
]  # fmt: skip

MEANING: dict[Kind, str] = {
    "unit_lost": "units that left a partition and did not arrive in another",
    "unit_duplicated": "units that arrived and had not left, or left twice",
    "unit_changed": "units that arrived with other rows than they left with",
    "link_lost": "links that the journal names and the topic lacks",
    "link_unexplained": "links that no journal record names",
    "adoption_wrong": "assignments that did not come from a device to its user as they were",
    "crossover_hidden": "users who had two arms by a login that the journal does not call a crossover",
    "device_decided": "decisions for an anonymous unit that had a user already",
    "lost": "inputs without a journal record",
    "duplicated": "inputs with more than one journal record",
    "out_of_order": "journal records that come after a later input of the same topic",
    "phantom": "journal records whose input is not in its topic",
    "unreadable": "records that are none of their topic's kind",
    "timer_lost": "timers long due that never fired and were never cancelled",
    "timer_duplicated": "fired records of a timer that was not waiting",
    "rerolled": "units whose variant changed without a version that reassigns",
    "governance_back": "governance offsets that go back within a partition",
    "treated_after_halt": "treatments decided with a kill or pause in force",
    "wrong_id": "ids that do not follow from their inputs",
    "exposure_lost": "exposures that the journal names and the topic lacks",
    "exposure_duplicated": "exposures counted more than once",
    "exposure_unexplained": "exposures that no journal record names",
    "outcome_lost": "outcomes that the journal names and the topic lacks",
    "outcome_duplicated": "outcomes counted more than once",
    "outcome_unexplained": "outcomes that no journal record names",
    "deadletter_lost": "rejected records without a dead letter",
    "deadletter_duplicated": "rejected records with more than one dead letter",
    "deadletter_unexplained": "dead letters of inputs that the journal did not reject",
    "stale_treated": "treatments decided by a governance log older than it may be",
    "assignment_wrong": "assignments and waiting timers of a unit that do not follow from the journal",
    "row_wrong": "rows of a changelog that do not follow from the journal",
    "zombie_write": "rows of a changelog that fall back behind what was there",
    "store_differs": "rows on a worker's disk that differ from their changelog",
}


class Finding(NamedTuple):
    kind: Kind
    topic: str
    partition: int
    offset: int
    what: str


@dataclass(frozen=True)
class CheckReport:
    """inputs: committed records by topic; journal: records by status. Arms are named 'policy/variant'; holdout: (held, asked).
    logins: what became of an assignment when an anonymous unit turned out to be a user, by verdict.

    rows: in the changelogs, by table. stores: on disks, those at the end of their changelog and those behind; store_rows:
    compared. unchecked: what could not be compared, and why.

    waiting: inputs after the last journalled one of their topic, while the worker still runs. Counts are of read_committed
    records, never arithmetic on offsets.
    """

    inputs: Mapping[str, int]
    ticks: int
    waiting: int
    journal: Mapping[str, int]
    journalled_by_topic: Mapping[str, int]
    fired: int
    poisoned_ticks: int
    reasons: Mapping[str, int]
    assignments: Mapping[str, int]
    exposures: Mapping[str, int]
    acknowledgements: Mapping[str, int]
    outcomes: Mapping[str, int]
    deadletters: Mapping[str, int]
    rows: Mapping[str, int]
    stores: Mapping[str, int]
    store_rows: int
    unchecked: tuple[str, ...]
    held_out: int
    units_asked_for_holdout: int
    units: int
    findings: Mapping[Kind, int]
    first: tuple[Finding, ...]
    moved_by_ticks: int = 0
    logins: Mapping[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not self.findings

    def found(self, *kinds: Kind) -> int:
        return sum(self.findings.get(kind, 0) for kind in kinds)

    @property
    def lost(self) -> int:
        return self.found(
            "lost", "timer_lost", "exposure_lost", "outcome_lost", "deadletter_lost", "unit_lost", "link_lost"
        )  # fmt: skip

    @property
    def duplicated(self) -> int:
        return self.found(
            "duplicated", "timer_duplicated", "exposure_duplicated", "outcome_duplicated", "deadletter_duplicated",
            "unit_duplicated",
        )  # fmt: skip

    @property
    def rerolled(self) -> int:
        return self.found("rerolled")

    @property
    def wrong(self) -> int:
        """Everything else that was found."""
        return sum(self.findings.values()) - self.lost - self.duplicated - self.rerolled

    def as_json(self) -> dict[str, Any]:
        plain = {name: value for name, value in vars(self).items() if name != "first"}
        verdict = {name: getattr(self, name) for name in ("clean", "lost", "duplicated", "rerolled", "wrong")}
        return {"schema": "truelift.check_report/1", **verdict, **plain, "first": [finding._asdict() for finding in self.first]}


def show(report: CheckReport, console: Console) -> None:
    console.print(equation(report), highlight=False)
    table = Table(show_header=False, box=None)
    table.add_row("journal by status", _counts(report.journal))
    table.add_row("decisions by reason", _counts(report.reasons))
    table.add_row("assigned units by arm", _counts(report.assignments))
    table.add_row("exposures by arm", _counts(report.exposures))
    table.add_row("acknowledgements", _counts(report.acknowledgements))
    table.add_row("outcomes by arm", _counts(report.outcomes))
    table.add_row("dead letters", _counts(report.deadletters))
    if report.logins:
        table.add_row("logins by verdict", _counts(report.logins))
    share = report.held_out / report.units_asked_for_holdout if report.units_asked_for_holdout else 0.0
    table.add_row("holdout", f"{report.held_out:,} of {report.units_asked_for_holdout:,} units ({share:.1%})")
    if report.rows:
        table.add_row("rows by changelog", _counts(report.rows))
        table.add_row("stores on disks", f"{_counts(report.stores)}; {report.store_rows:,} rows compared")
    console.print(table)
    for what in report.unchecked:
        console.print(f"[yellow]not compared[/yellow] {what}", highlight=False)
    for kind, count in sorted(report.findings.items()):
        console.print(f"[red]{kind}[/red] {count:,}: {MEANING[kind]}", highlight=False)
    for finding in report.first:
        place = f"{finding.topic}[{finding.partition}]@{finding.offset}"
        console.print(f"  {finding.kind} {place}: {finding.what}", highlight=False, markup=False, soft_wrap=True)
    colour = "green" if report.clean else "red"
    verdict = ", ".join(f"{name} {getattr(report, name)}" for name in ("lost", "duplicated", "rerolled", "wrong"))
    console.print(f"[{colour}]{verdict}[/{colour}]")


# Of the equation; the other terms are shown when there are any.
ALWAYS_SHOWN = ("signals", "acknowledgements", "fired timers")


def equation(report: CheckReport) -> str:
    """Journal = what came in + what fired, both sides counted."""
    acknowledged, links = (report.inputs.get(name, 0) for name in ("events.experiment_exposure", "identity_links"))
    terms = {
        "signals": sum(report.inputs.values()) - acknowledged - links,
        "acknowledgements": acknowledged,
        "fired timers": report.fired,
        "links": links,
        "moves by ticks": report.moved_by_ticks,
        "poisoned ticks": report.poisoned_ticks,
        "waiting": -report.waiting,
    }
    journal, right = sum(report.journal.values()), sum(terms.values())
    shown = [(name, count) for name, count in terms.items() if count or name in ALWAYS_SHOWN]
    parts = "".join(f" {'-' if count < 0 else '+'} {abs(count):,} {name}" for name, count in shown).removeprefix(" + ")
    return f"journal {journal:,} {'=' if journal == right else '≠'} {parts} = {right:,}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"
