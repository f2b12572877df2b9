"""A simulated cohort with known truth, to prove the machinery."""
