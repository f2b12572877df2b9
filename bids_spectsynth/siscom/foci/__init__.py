"""Foci: clusters of a map, their names and what is known of the injection."""
