"""The journal's vocabulary: one record for every consumed input, in the words that other programs read."""

from typing import Final

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
