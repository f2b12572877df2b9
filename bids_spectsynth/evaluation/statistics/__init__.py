"""Tests, effect sizes and agreement, as functions of arrays."""
