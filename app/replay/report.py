"""What verify found: counts of everything, the first findings in full, as a value and on a screen."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.table import Table

Kind = Literal[
    "different", "other_engine", "unverifiable", "missing", "duplicate", "missing_fired", "extra_fired", "not_in_topic",
    "unreadable", "governance_back", "governance_missing", "output_different", "output_missing", "output_unexpected",
    "output_unverifiable",
]  # fmt: skip

# In words, for the one who reads the screen.
MEANING: dict[Kind, str] = {
    "different": "journal records that the engine would write otherwise",
    "other_engine": "journal records of another engine_semantics: never identical",
    "unverifiable": "journal records whose input or state cannot be reached any more",
    "missing": "inputs without a journal record",
    "duplicate": "inputs with more than one journal record, or out of order",
    "missing_fired": "due timers without a `fired` record",
    "extra_fired": "`fired` records of a tick that fires no such timer",
    "not_in_topic": "journal records whose input is not in its topic",
    "unreadable": "records of the journal topic that are no journal records",
    "governance_back": "governance offsets that go back within a partition",
    "governance_missing": "governance offsets at which the log has no record",
    "output_different": "exposures, outcomes, dead letters that the engine would write otherwise",
    "output_missing": "exposures, outcomes, dead letters that are missing",
    "output_unexpected": "exposures, outcomes, dead letters that no journal record explains",
    "output_unverifiable": "exposures, outcomes, dead letters that retention took",
}
SHOWN_FINDINGS = 10
SHOWN_CHARS = 100


class Finding(NamedTuple):
    """topic, partition, offset: where to look. path, recorded, replayed: the first differing field with both values."""

    kind: Kind
    topic: str
    partition: int
    offset: int
    what: str
    path: str | None = None
    recorded: Any = None
    replayed: Any = None


class FromCheckpoint(NamedTuple):
    """Where the replay of a partition began: what lies before was compared when the checkpoint was made."""

    partition: int
    checkpoint: str
    journal: int


@dataclass
class VerifyReport:
    """records: journal records read. compared: selected and reachable ones. waiting: inputs after the last journalled."""

    records: int = 0
    compared: int = 0
    identical: int = 0
    outputs_compared: int = 0
    outputs_identical: int = 0
    waiting: int = 0
    seconds: float = 0.0
    counts: Counter[Kind] = field(default_factory=Counter)
    shown: list[Finding] = field(default_factory=list)
    partitions: list[int] = field(default_factory=list)
    from_checkpoints: list[FromCheckpoint] = field(default_factory=list)

    @property
    def all_identical(self) -> bool:
        return not self.counts and self.compared == self.identical and self.compared > 0

    def begin(self, partition: int, checkpoint: str | None, journal: int) -> None:
        """checkpoint: the name of the one that the partition's replay begins at, at that journal offset."""
        self.partitions.append(partition)
        if checkpoint is not None:
            self.from_checkpoints.append(FromCheckpoint(partition, checkpoint, journal))

    def note(self, finding: Finding) -> None:
        """Every finding is counted, the first are kept."""
        self.counts[finding.kind] += 1
        if len(self.shown) < SHOWN_FINDINGS:
            self.shown.append(finding)

    def add(self, part: "VerifyReport") -> None:
        """The report of other partitions, added to this one."""
        self.records += part.records
        self.compared += part.compared
        self.identical += part.identical
        self.outputs_compared += part.outputs_compared
        self.outputs_identical += part.outputs_identical
        self.waiting += part.waiting
        self.counts += part.counts
        self.shown = (self.shown + part.shown)[:SHOWN_FINDINGS]
        self.partitions += part.partitions
        self.from_checkpoints += part.from_checkpoints

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": "truelift.verify_report/1",
            "all_identical": self.all_identical,
            "records": self.records,
            "compared": self.compared,
            "identical": self.identical,
            "outputs_compared": self.outputs_compared,
            "outputs_identical": self.outputs_identical,
            "waiting": self.waiting,
            "partitions": self.partitions,
            "from_checkpoints": [begun._asdict() for begun in self.from_checkpoints],
            "findings": dict(self.counts),
            "first": [finding._asdict() for finding in self.shown],
            "seconds": round(self.seconds, 3),
        }


def show(report: VerifyReport, console: Console) -> None:
    table = Table(show_header=False, box=None)
    table.add_row("journal records", f"{report.records:,}", f"partitions {', '.join(map(str, report.partitions))}")
    for name in sorted({begun.checkpoint for begun in report.from_checkpoints}):
        places = ", ".join(f"{b.partition}@{b.journal}" for b in report.from_checkpoints if b.checkpoint == name)
        table.add_row("from checkpoint", name, f"partition@offset {places}; what lies before was compared when it was made")
    table.add_row("compared", f"{report.compared:,}", "")
    table.add_row("identical", f"{report.identical:,}", "byte for byte, state digest included")
    outputs = "exposures, outcomes, dead letters"
    table.add_row(outputs, f"{report.outputs_compared:,}", f"{report.outputs_identical:,} identical")
    table.add_row("not yet processed", f"{report.waiting:,}", "inputs after the journal's last")
    for kind, count in sorted(report.counts.items()):
        table.add_row(f"[red]{kind}[/red]", f"{count:,}", MEANING[kind])
    console.print(table)
    for finding in report.shown:
        _show_finding(finding, console)
    rate = report.records / report.seconds if report.seconds else 0.0
    verdict = "[green]all identical[/green]" if report.all_identical else "[red]not identical[/red]"
    if not report.compared and not report.counts:
        verdict = "[yellow]nothing to compare[/yellow]"
    console.print(f"{verdict} in {report.seconds:.1f} s ({rate:,.0f} records/s)")


def _show_finding(finding: Finding, console: Console) -> None:
    place = f"{finding.topic}[{finding.partition}]@{finding.offset}"
    console.print(f"[red]{finding.kind}[/red] {place}: {finding.what}", highlight=False, soft_wrap=True)
    if finding.path is not None:
        console.print(f"  {finding.path}", highlight=False, markup=False)
        console.print(f"    recorded {_short(finding.recorded)}", highlight=False, markup=False)
        console.print(f"    replayed {_short(finding.replayed)}", highlight=False, markup=False)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
