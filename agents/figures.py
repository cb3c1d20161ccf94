"""What a Truelift worker tells beside any worker's figures: its view of the governance log."""

from collections.abc import Iterator

from app.governance.follower import GovernanceFollower
from app.stream.families import Family, one


def governance_families(governance: GovernanceFollower, unserved_types: int) -> Iterator[Family]:
    """For Prometheus. unserved_types: event types of the catalogue without an agent here."""
    text = "Of the last governance record that this worker decides by."
    yield one("gauge", "truelift_governance_offset", text, governance.policies.offset)
    text = "Since the last proof that no newer governance record exists."
    yield one("gauge", "truelift_governance_age_seconds", text, governance.age_seconds())
    text = "1 while this worker treats nobody, since its view of the governance log is too old."
    yield one("gauge", "truelift_governance_stale", text, governance.stale())
    ignored = [((code,), float(count)) for code, count in sorted(governance.refused().items())]
    text = "Governance records refused: unsigned, illegal, out of the chain."
    yield Family("counter", "truelift_governance_ignored_records", text, ("code",), ignored)
    text = "Event types of the catalogue without an agent here."
    yield one("gauge", "truelift_unserved_event_types", text, unserved_types)
