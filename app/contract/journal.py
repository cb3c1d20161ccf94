"""The journal's vocabulary: one record for every consumed input, in the words that other programs read."""

from typing import Any, Final

from app.contract.times import format_us, milliseconds

DECISION_SCHEMA: Final = "truelift.decision/1"
EXPOSURE_SCHEMA: Final = "truelift.exposure/1"
OUTCOME_SCHEMA: Final = "truelift.outcome/1"
DEADLETTER_SCHEMA: Final = "truelift.deadletter/1"
TICK_SCHEMA: Final = "truelift.tick/1"

STATUSES: Final = (
    "decided", "no_match", "duplicate", "rejected", "forwarded", "linked", "exposed", "delivered", "outcome", "fired",
    "moved_out", "moved_in",
)  # fmt: skip

REASONS: Final = (
    "assigned", "sticky", "killed", "paused", "holdout", "ineligible", "layer_excluded", "not_covered", "delayed", "waiting",
    "expired", "late_fallback", "model_unavailable", "governance_stale", "identity_pending", "shadow", "non_experimental",
)  # fmt: skip

GATES: Final = (
    "trigger", "kill", "eligibility", "holdout", "existing_assignment", "layer", "coverage", "variant", "timing", "lateness",
)  # fmt: skip


def latency_fields(
    *, signal_us: int | None, received_us: int | None, appended_us: int, decided_us: int, base_us: int, budget_ms: int | None
) -> dict[str, Any]:
    """The latency object of a journal record. `base_us` is the moment from which lateness counts (broker or trusted edge)."""
    elapsed_ms = milliseconds(decided_us - base_us)
    return {
        "signal_ts": None if signal_us is None else format_us(signal_us),
        "received_ts": None if received_us is None else format_us(received_us),
        "appended_ts": format_us(appended_us),
        "decided_ts": format_us(decided_us),
        "client_skew_ms": None if signal_us is None else milliseconds(base_us - signal_us),
        "signal_to_decision_ms": elapsed_ms,
        "budget_ms": budget_ms,
        "within_budget": None if budget_ms is None else elapsed_ms <= budget_ms,
    }
