"""The group's tables: summaries, comparisons, agreement."""
