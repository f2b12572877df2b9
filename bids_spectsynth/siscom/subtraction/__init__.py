"""What is subtracted from what: alignment, resolution, level, mask, and the maps."""
