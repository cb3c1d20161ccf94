"""Off-policy evaluation: what a candidate would have earned, from decisions whose propensities are in the journal."""
