"""Three tours of five minutes, one for each kind of user: words, commands, and the page that shows the same.

The one source of the help page and of the README's text; a test runs the commands as they stand, in this order.
"""

from typing import NamedTuple


class Step(NamedTuple):
    command: str
    shows: str


class Tour(NamedTuple):
    """page: (path, title) of the console."""

    who: str
    about: str
    steps: tuple[Step, ...]
    page: tuple[str, str]


BEGIN = Step("make demo CONSOLE=1", "an installation to walk through: broker, worker, console; in another terminal:")
WHERE = Step("export TRUELIFT_DATA_DIR=.truelift/demo", "which installation is meant")
POLICY = "onboarding_nudge_v1"

TOURS = (
    Tour(
        "Platform team",
        "What runs, who may do what, and whether a class of policies may be automated.",
        (
            Step("truelift partitions --json", "each partition group: owner, lag, size, rate, skew (live without --json)"),
            Step("truelift keys list", "people and automatic writers, with their roles"),
            Step("truelift acl worker --user worker-1 --commands", "the Kafka rights of a worker, no more and no fewer"),
            Step(f"truelift policy log {POLICY}", "who changed what, when and why"),
            Step("truelift readiness", "ids, schema errors, duplicates, budgets: which class may be automated now"),
        ),
        ("/partitions", "Partitions"),
    ),
    Tour(
        "Analyst",
        "From the raw topics to what may be claimed.",
        (
            Step("truelift replay verify", "every decision made again, byte for byte"),
            Step("truelift warehouse sync", "every fact into Iceberg tables, exactly once"),
            Step(
                'truelift sql "SELECT policy, count(*) AS shown FROM exposures GROUP BY 1"', "exposures by policy, arms blinded"
            ),
            Step(f"truelift lift {POLICY} --as ola", "the verdict in words; before its look: not yet"),
            Step(f"truelift audit {POLICY} --html audit.html", "ten points; what is not shown yet is said"),
        ),
        (f"/policies/{POLICY}/experiment", "Experiment"),
    ),
    Tour(
        "SRE",
        "Is it well, what was refused, and how to stop it.",
        (
            Step("truelift check", "lost, duplicated, rerolled: counted from the topics alone"),
            Step("truelift latency", "from the signal to the decision and the rendering, against each budget"),
            Step("truelift deadletter list", "what could not be accepted, and why"),
            Step(f'truelift policy pause {POLICY} --as ola --reason "pager"', "nobody is treated any more"),
            Step(f'truelift policy resume {POLICY} --as ola --reason "all is well"', "and again"),
        ),
        (f"/policies/{POLICY}", "Policy, with pause, resume and kill"),
    ),
)
# Commands that say no with exit code 1 where data is young: their answer is the tour's matter, not their praise.
MAY_SAY_NO = ("truelift audit", "truelift readiness")


def as_markdown() -> str:
    """For the README."""
    parts = [f"```\n{BEGIN.command:<44}# {BEGIN.shows}\n{WHERE.command:<44}# {WHERE.shows}\n```\n"]
    for tour in TOURS:
        width = max(len(step.command) for step in tour.steps) + 2
        lines = "\n".join(f"{step.command:<{width}}# {step.shows}" for step in tour.steps)
        path, title = tour.page
        parts.append(
            f"**{tour.who}, five minutes.** {tour.about}\n\n```\n{lines}\n```\n\nThe same in the console: {title} (`{path}`).\n"
        )
    return "\n".join(parts)
