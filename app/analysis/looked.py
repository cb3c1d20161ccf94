"""A look as a governance record: written before anything is shown that compares arms, by whoever looks.

Owns which looks must be recorded, and what such a record says: the moment up to which records were looked at, which of the
planned looks it was or that it was by hand, how many people it rested on, and the p that an effect had to be below. It never
says what was seen. Refuses to look without a key while the arms are blinded.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.analysis.experiment import Story
from app.analysis.lift_report import LiftReport
from app.analysis.occasion import stop_rules
from app.contract.times import format_us, parse_us
from app.errors import CallerError
from app.governance import drafts
from app.governance.console import run, signing_key
from app.governance.writer import Appended, GovernanceWriter
from app.settings import Settings


class LookRecord(NamedTuple):
    key: str
    version: int
    body: dict[str, Any]


def due(told: Mapping[str, Story], report: LiftReport, *, by_hand: bool, blinded: bool, named: str | None) -> LookRecord | None:
    """The record that must be in the log before the report is shown; None: it shows no arms, or the look is there already.

    blinded: whether the experiment runs and has looks to come. When it has none, everybody may look, and the record is written
    for those who ask for it by naming their key.
    """
    if not report.is_open or parse_us(report.looked_at) in told[report.key].looks or not (blinded or named):
        return None
    people = {size.arm: size.assigned if report.claim == "assigned" else size.exposed for size in report.arms}
    body = {"door": "lift", "at": report.looked_at, "planned": not by_hand, "look": report.look, "people": people}
    return LookRecord(report.key, report.versions[1], body | {"level": report.level})


def unblinding(told: Mapping[str, Story], key: str, at_us: int, door: str) -> LookRecord:
    """The record of opening another door by hand. CallerError: no such experiment, or one without a plan to spend from."""
    story = told.get(key)
    newest = None if story is None else story.newest_lifted
    if newest is None:
        raise CallerError(f"{key!r} is no experiment that is blinded", "Name one of those that the command says are blinded")
    if stop_rules(newest.policy) is None:
        raise CallerError(
            f"{key} has no stop_rules, so a look before its end would leave nothing to claim",
            "End it first, or propose it with stop_rules",
        )
    return LookRecord(key, newest.number, {"door": door, "at": format_us(at_us), "planned": False})


def record_look(settings: Settings, name: str | None, look: LookRecord, reason: str) -> Appended:
    """In the log when this returns. CallerError: no key is chosen."""
    key = signing_key(settings, name)

    async def append() -> Appended:
        async with GovernanceWriter(settings, key) as writer:
            return await writer.append(drafts.look(look.key, look.version, look.body), reason=reason)

    return run(append())
