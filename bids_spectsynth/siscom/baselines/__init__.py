"""The baselines that an ictal scan is compared with."""
