"""The table of alarms: each question, what it takes away, and what to do. In the order in which they explain each other."""

from app.analysis.alarms import days, drift, lateness, rates, ratios, scores
from app.analysis.alarms.alarm import Alarm, Question, alarm
from app.analysis.alarms.facts import Facts

_DRAW = "Look for a redirect, a filter or a crash that meets one arm alone; start again when it is found"
_RENDER = "Render and acknowledge all arms by the same code, the empty slot too"
_SEGMENT = "Look at that segment's client: one arm is lost or never acknowledged there"
_TRAIT = "Claim of everybody assigned, not of those in time; make that segment faster"
_DRIFT = "Say whom the lift was measured of; go on until the new mix has been seen in whole weeks"
_MODEL = "See which feature moved and why (truelift drift); a sender may have changed, or the model needs other people"
_TRAIN = "Train the model on what came since, or choose by what it still gets right"

ALARMS: tuple[Question[Facts], ...] = (
    Question("an arm is never acknowledged", "verdict", _RENDER, ratios.never_acknowledged),
    Question("sample ratio mismatch", "verdict", _DRAW, ratios.sample_ratio),
    Question("unequal acknowledgement", "verdict", _RENDER, ratios.acknowledged_alike),
    Question("sample ratio mismatch within phase", "verdict", _DRAW, ratios.ratio_within_phase),
    Question("sample ratio mismatch within device", "verdict", _SEGMENT, ratios.ratio_within("device")),
    Question("sample ratio mismatch within route", "verdict", _SEGMENT, ratios.ratio_within("route")),
    Question(
        "latency bias", "verdict", "Make all arms wait for the same work before they are decided", lateness.decided_in_time
    ),
    Question(
        "latency bias of rendering", "on_time", "Claim of all who were shown it, in time or not", lateness.rendered_in_time
    ),
    Question("latency by device", "on_time", _TRAIT, lateness.in_time_by("device")),
    Question("latency by locale", "on_time", _TRAIT, lateness.in_time_by("locale")),
    Question("latency by route", "on_time", _TRAIT, lateness.in_time_by("route")),
    Question("rerolls", "verdict", "Find what lost assignments: truelift check, truelift replay verify", rates.rerolled),
    Question("crossovers", "verdict", "Identify people before they are decided for", rates.crossovers),
    Question("identity breaks", "none", "Send identify at every login, with both ids", rates.re_identified),
    Question("exposures without decision", "verdict", "Find who writes them: truelift check", rates.without_decision),
    Question("duplicate exposures", "none", "Count by assignment; find who writes them: truelift check", rates.duplicates),
    Question("missing days", "none", "Sync or ingest those days; else say that the lift is without them", days.missing),
    Question("covariate drift by device", "none", _DRIFT, drift.covariate("device")),
    Question("covariate drift by locale", "none", _DRIFT, drift.covariate("locale")),
    Question("covariate drift by route", "none", _DRIFT, drift.covariate("route")),
    Question("score by arm", "verdict", _DRAW, scores.alike_in_arms),
    Question("score drift", "none", _MODEL, scores.drifted(lambda facts: facts.scores, "score of")),
    Question("feature drift", "none", _MODEL, scores.drifted(lambda facts: facts.features, "feature")),
    Question("calibration", "none", _TRAIN, scores.calibrated),
    Question("holdout drift", "holdout", "Compare the catalogue's versions: a holdout keeps its seed and size", drift.holdout),
    Question("holdout shown", "holdout", "Find who shows it past the decision: truelift check", rates.held_out_shown),
)


def alarms(facts: Facts) -> list[Alarm]:
    """Every reading, fired or not: what was looked at is part of what is claimed."""
    return [alarm(question, reading) for question in ALARMS for reading in question.ask(facts)]
