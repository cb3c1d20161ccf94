"""Analysis: what may be claimed from exposures and outcomes. The calculators in here are pure functions of their arguments."""
